//! Streamed answers, and what becomes of a run when its reader goes away.

use std::time::Duration;

use super::*;

/// The events of a stream: name, if it has one, and data.
async fn events(request: RequestBuilder) -> Vec<(String, String)> {
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let kind = response.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    let text = response.text().await.unwrap();
    let field = |event: &str, name: &str| {
        let mut lines = event.lines();
        let found = lines.find_map(|line| line.strip_prefix(name));
        found.unwrap_or_default().trim().to_owned()
    };
    let events = text.split("\n\n").filter(|event| !event.is_empty());
    events
        .map(|event| (field(event, "event:"), field(event, "data:")))
        .collect()
}

fn slow() -> Answer {
    Answer {
        between: Duration::from_millis(60),
        ..Answer::default()
    }
}

#[tokio::test]
async fn a_completion_streams_in_chunks_to_done() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(slow());
    let mut request = chat("one two three");
    request["stream"] = json!(true);
    request["stream_options"] = json!({"include_usage": true});
    let mut events = events(gateway.post("/v1/chat/completions", &request)).await;
    assert_eq!(events.pop().unwrap().1, "[DONE]");
    let chunks: Vec<Value> = events
        .iter()
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect();
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "chat.completion.chunk"
                && chunk["id"] == chunks[0]["id"])
    );
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "you said: one two three");
    let [.., last, usage] = chunks.as_slice() else {
        panic!("{chunks:?}")
    };
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert!(usage["usage"]["total_tokens"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn a_response_streams_its_events_in_order() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(slow());
    let request = json!({"model": "openclaw", "input": "one two three", "stream": true});
    let events = events(gateway.post("/v1/responses", &request)).await;
    let datas: Vec<Value> = events
        .iter()
        .map(|(_, data)| serde_json::from_str(data).unwrap())
        .collect();
    for (n, ((name, _), data)) in events.iter().zip(&datas).enumerate() {
        assert_eq!(
            (&data["type"], &data["sequence_number"]),
            (&json!(name), &json!(n))
        );
    }
    let mut names: Vec<_> = events.iter().map(|(name, _)| name.as_str()).collect();
    names.dedup();
    assert_eq!(
        names,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let text: String = datas
        .iter()
        .filter_map(|data| data["delta"].as_str())
        .collect();
    assert_eq!(text, "you said: one two three");
    assert_eq!(
        datas.last().unwrap()["response"]["output"][0]["content"][0]["text"],
        text.as_str()
    );
}

#[tokio::test]
async fn a_stream_that_fails_says_so_in_its_shape() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(Answer {
        fault: Fault::Error(2),
        ..slow()
    });
    let mut request = chat("one two three");
    request["stream"] = json!(true);
    let events = events(gateway.post("/v1/chat/completions", &request)).await;
    let last: Value = serde_json::from_str(&events.last().unwrap().1).unwrap();
    assert_eq!(last["error"]["type"], "server_error", "{events:?}");
}

#[tokio::test]
async fn who_goes_away_stops_the_run_streamed_or_not() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(Answer::fault(Fault::Hang(2)));
    let mut watcher = gateway.client(4).await;
    for stream in [true, false] {
        let mut request = chat("one two three");
        request["stream"] = json!(stream);
        let asking = tokio::spawn(gateway.post("/v1/chat/completions", &request).send());
        while watcher.event("chat").await["payload"]["state"] != "delta" {}
        if stream {
            drop(asking.await.unwrap().unwrap());
        } else {
            asking.abort();
        }
        let end = loop {
            let told = watcher.event("chat").await["payload"].clone();
            if told["state"] != "delta" && told["state"] != "status" {
                break told;
            }
        };
        assert_eq!(end["state"], "aborted");
    }
}
