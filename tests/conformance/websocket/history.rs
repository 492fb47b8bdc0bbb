//! What was said, as the ledger remembers it.

use std::sync::Arc;

use proto::{
    session, subject,
    v1::{HistoryReply, HistoryRequest, Line},
};

use super::*;

/// Plays the ledger: `lines` lines in the main session, at most 100 of them an answer.
fn remember(gateway: &Gateway, lines: u64) {
    let (bus, stop) = (gateway.bus.clone(), gateway.stop.clone());
    let line = |id| Line {
        id,
        role: if id % 2 == 1 { "user" } else { "assistant" }.into(),
        text: format!("line {id}"),
        at_ms: id as i64,
        turn_id: "t".into(),
        ..Line::default()
    };
    let all: Arc<Vec<Line>> = Arc::new((1..=lines).map(line).collect());
    tokio::spawn(async move {
        let answer = |asked: HistoryRequest| {
            let all = all.clone();
            async move {
                let end = if asked.before == 0 {
                    all.len()
                } else {
                    asked.before as usize - 1
                };
                let begin = end.saturating_sub((asked.limit as usize).min(100));
                let lines = match asked.session_key == session::Key::main().to_string() {
                    true => all[begin..end].to_vec(),
                    false => Vec::new(),
                };
                Ok::<_, String>(HistoryReply {
                    lines,
                    total: all.len() as u64,
                    session_id: "s1".into(),
                })
            }
        };
        let _ = bus.answer(subject::HISTORY, &stop, answer).await;
    });
}

#[tokio::test]
async fn history_has_the_shape_of_its_protocol_and_pages_back() {
    let gateway = Gateway::start().await;
    remember(&gateway, 450);
    let mut new = gateway.client(4).await;
    let history = tests::eventually::eventually("the ledger", async || {
        let mut client = gateway.client(4).await;
        let answer = client
            .call("chat.history", json!({"sessionKey": "main", "limit": 2}))
            .await;
        (answer["ok"] == true).then(|| answer["payload"].clone())
    })
    .await;
    assert_eq!(
        (&history["sessionKey"], &history["sessionId"]),
        (&json!("main"), &json!("s1"))
    );
    assert_eq!(
        (
            &history["hasMore"],
            &history["totalMessages"],
            &history["nextOffset"]
        ),
        (&json!(true), &json!(450), &json!(2))
    );
    let last = &history["messages"][1];
    assert_eq!(
        (&last["role"], &last["timestamp"]),
        (&json!("assistant"), &json!(450))
    );
    assert_eq!(
        last["content"],
        json!([{"type": "text", "text": "line 450"}])
    );
    assert_eq!(
        (&last["__openclaw"]["id"], &last["__openclaw"]["seq"]),
        (&json!("450"), &json!(450))
    );

    let mut seen = Vec::new();
    let mut offset = json!(0);
    while !offset.is_null() {
        let params = json!({"sessionKey": "agent:main:main", "limit": 300, "offset": offset});
        let page = new.done("chat.history", params).await;
        let texts = page["messages"].as_array().unwrap().iter();
        let mut texts: Vec<_> = texts
            .map(|m| m["content"][0]["text"].as_str().unwrap().to_owned())
            .collect();
        texts.append(&mut seen);
        seen = texts;
        offset = page["nextOffset"].clone();
    }
    let all: Vec<_> = (1..=450).map(|n| format!("line {n}")).collect();
    assert_eq!(seen, all);

    let mut old = gateway.client(3).await;
    let history = old
        .done("chat.history", json!({"sessionKey": "main"}))
        .await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 200);
    assert_eq!(
        history["messages"][199],
        json!({
            "role": "assistant", "content": [{"type": "text", "text": "line 450"}], "timestamp": 450, "provider": "",
            "model": "", "stopReason": "",
            "usage": {"input": 0, "output": 0, "totalTokens": 0, "cacheRead": 0, "cacheWrite": 0},
        })
    );
    assert_eq!(history.get("hasMore"), None);
    let error = old
        .refused("chat.history", json!({"sessionKey": "main", "limit": 1001}))
        .await;
    assert_eq!(
        error["message"],
        "invalid chat.history params: at /limit: must be <= 1000"
    );
    let startup = new
        .done(
            "chat.startup",
            json!({"sessionKey": "main", "maxBytes": 1024}),
        )
        .await;
    assert_eq!(startup["agentsList"]["defaultId"], "main");
    assert!(
        startup["messages"].as_array().unwrap().len() < 10,
        "as many as fit"
    );
    assert!(startup["messages"].to_string().len() <= 1024 + 2);
}
