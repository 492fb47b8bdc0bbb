//! What nodes tell, and what waits for them.

use proto::{
    subject,
    v1::{Answered, Event, event::What},
};

use super::*;

/// A node that was approved.
async fn approved(gateway: &Gateway, operator: &mut Client) -> Node {
    let node = Node::connect(gateway, 1, 4, &COMMANDS).await;
    approve(operator).await;
    node
}

async fn tell(node: &mut Node, event: &str, payload: Value) -> Value {
    node.client
        .done(
            "node.event",
            json!({"event": event, "payloadJSON": payload.to_string()}),
        )
        .await
}

#[tokio::test]
async fn a_node_tells_how_its_machine_does_before_it_is_approved_and_nothing_else() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let mut node = Node::connect(&gateway, 1, 4, &COMMANDS).await;
    let stats = json!({"cpuCount": 2, "loadAverage": [1.5, 1.0, 0.5], "memoryTotalBytes": 8, "memoryFreeBytes": 4});
    let heard = tell(&mut node, "node.host.stats", stats).await;
    let expected =
        json!({"ok": true, "event": "node.host.stats", "handled": true, "reason": "updated"});
    assert_eq!(heard, expected);
    let told = operator.event("node.hostStats").await["payload"].clone();
    assert_eq!(
        (&told["nodeId"], &told["hostStats"]["cpuCount"]),
        (&json!(node.id), &json!(2))
    );
    assert_eq!(
        row(&mut operator, &node.id).await["hostStats"]["memoryFreeBytes"],
        4
    );
    let odd = tell(&mut node, "node.host.stats", json!({"cpuCount": "many"})).await;
    assert_eq!(
        (&odd["handled"], &odd["reason"]),
        (&json!(false), &json!("invalid_payload"))
    );

    let early = json!({"event": "chat.subscribe", "payload": {"sessionKey": "main"}});
    let refused = node.client.refused("node.event", early).await;
    assert_eq!(refused["details"]["code"], "PAIRING_CHANGED");
    let runner = json!({"protocolFeatures": ["node-worker-supervisor-v6"], "workerHost": {"enabled": false}});
    let refused = node
        .client
        .refused("node.runnerInventory.update", runner.clone())
        .await;
    let message = refused["message"].as_str().unwrap();
    assert!(
        message.starts_with("node capability surface is awaiting operator approval"),
        "{message}"
    );
    approve(&mut operator).await;
    let kept = node
        .client
        .done("node.runnerInventory.update", runner)
        .await;
    assert_eq!(kept, json!({"nodeId": node.id}));
    let unknown = tell(&mut node, "no.such.event", json!({})).await;
    assert_eq!(
        (&unknown["handled"], &unknown["reason"]),
        (&json!(false), &json!("unsupported_event"))
    );
}

#[tokio::test]
async fn a_node_hears_the_sessions_that_it_subscribed_to() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let mut node = approved(&gateway, &mut operator).await;
    let answered = |n: usize, session: &str| Event {
        id: format!("e{n}"),
        agent: "main".into(),
        session_key: session.into(),
        turn_id: format!("t{n}"),
        what: Some(What::Answered(Answered {
            text: "hello".into(),
            ..Answered::default()
        })),
        ..Event::default()
    };
    let heard = tell(&mut node, "chat.subscribe", json!({"sessionKey": "main"})).await;
    assert_eq!(heard["handled"], true);
    for (n, session) in [(1, "webchat:dm:other"), (2, "webchat:main")] {
        let event = answered(n, session);
        gateway
            .bus
            .publish(&subject::event(&event), &event.id, &event)
            .await
            .unwrap();
    }
    let chat = node.client.event("chat").await;
    assert_eq!(
        chat["payload"]["runId"], "t2",
        "the other session is none of its business"
    );
    tell(&mut node, "chat.unsubscribe", json!({"sessionKey": "main"})).await;
}

#[tokio::test]
async fn what_is_said_to_a_node_is_asked_of_the_agent_once() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let mut node = approved(&gateway, &mut operator).await;
    let said = json!({"text": "what time is it", "sessionKey": "main", "eventId": "u1"});
    assert_eq!(
        tell(&mut node, "voice.transcript", said.clone()).await["reason"],
        "stored"
    );
    assert_eq!(
        tell(&mut node, "voice.transcript", said).await["reason"],
        "duplicate"
    );
    let shared = json!({"message": "read this", "sessionKey": "main"});
    assert_eq!(
        tell(&mut node, "agent.request", shared).await["reason"],
        "stored"
    );
    let empty = tell(&mut node, "agent.request", json!({"message": " "})).await;
    assert_eq!(
        (&empty["handled"], &empty["reason"]),
        (&json!(false), &json!("invalid_payload"))
    );
}

#[tokio::test]
async fn work_waits_for_a_node_until_it_asks() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let mut node = approved(&gateway, &mut operator).await;
    let ask =
        |kind: &str, priority: &str| json!({"nodeId": node.id, "type": kind, "priority": priority});
    let first = operator
        .done("node.pending.enqueue", ask("status.request", "normal"))
        .await;
    let again = operator
        .done("node.pending.enqueue", ask("status.request", "normal"))
        .await;
    assert_eq!(
        first["queued"]["id"], again["queued"]["id"],
        "asked for twice, asked once"
    );
    operator
        .done("node.pending.enqueue", ask("location.request", "high"))
        .await;
    let drained = node.client.done("node.pending.drain", json!({})).await;
    let kinds: Vec<_> = drained["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["type"])
        .collect();
    assert_eq!(kinds, ["location.request", "status.request"]);
    assert_eq!(drained["hasMore"], false);
    let empty = node
        .client
        .done("node.pending.drain", json!({"maxItems": 1}))
        .await;
    assert_eq!(empty["items"][0]["id"], "baseline-status");
    let pulled = node.client.done("node.pending.pull", json!({})).await;
    assert_eq!(pulled, json!({"nodeId": node.id, "actions": []}));
    let bad = node
        .client
        .refused("node.pending.drain", json!({"maxItems": 11}))
        .await;
    assert!(
        bad["message"]
            .as_str()
            .unwrap()
            .starts_with("invalid node.pending.drain params: at /maxItems")
    );
    let unknown = json!({"nodeId": "nobody", "type": "status.request"});
    let refused = operator.refused("node.pending.enqueue", unknown).await;
    assert_eq!(refused["details"]["code"], "PAIRING_CHANGED");
}

#[tokio::test]
async fn a_command_that_a_sleeping_phone_could_not_do_waits_until_it_wakes() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let phone = |params: &mut Value| params["client"]["platform"] = json!("iOS 26.1");
    let mut node = Node::connect_as(&gateway, 1, 4, &["canvas.present"], phone).await;
    approve(&mut operator).await;
    let params = json!({"nodeId": node.id, "command": "canvas.present", "params": {"url": "/"}, "idempotencyKey": "k"});
    operator
        .send(&json!({"type": "req", "id": "i", "method": "node.invoke", "params": params}))
        .await;
    let asked = node.asked().await;
    let error = json!({"code": "NODE_BACKGROUND_UNAVAILABLE", "message": "in the background"});
    let result = json!({"id": asked["id"], "nodeId": node.id, "ok": false, "error": error});
    node.client.done("node.invoke.result", result).await;
    let Heard::Frame(told) = operator.next_answer().await else {
        panic!("closed")
    };
    assert_eq!(told["error"]["details"]["code"], "QUEUED_UNTIL_FOREGROUND");
    let pulled = node.client.done("node.pending.pull", json!({})).await;
    let action = &pulled["actions"][0];
    assert_eq!(
        (&action["command"], &action["paramsJSON"]),
        (&json!("canvas.present"), &json!(r#"{"url":"/"}"#))
    );
    let acknowledged = node
        .client
        .done("node.pending.ack", json!({"ids": [action["id"]]}))
        .await;
    assert_eq!(acknowledged["remainingCount"], 0);
}

#[tokio::test]
async fn a_node_tells_its_skills_and_tools() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let mut node = approved(&gateway, &mut operator).await;
    let skill = json!({"name": "web-search", "description": "Searches.", "content": "# How"});
    let kept = node
        .client
        .done("node.skills.update", json!({"skills": [skill]}))
        .await;
    assert_eq!(kept["skills"][0]["name"], "web-search");
    let tool = json!({"pluginId": "p", "name": "look", "description": "Looks."});
    let kept = node
        .client
        .done("node.pluginTools.update", json!({"tools": [tool]}))
        .await;
    assert_eq!(kept["tools"], json!([tool]));
    let row = row(&mut operator, &node.id).await;
    assert_eq!(row["nodePluginTools"], json!([tool]));
    assert_eq!(
        row["nodeSkills"],
        json!([{"name": "web-search", "description": "Searches."}])
    );
    assert_eq!(
        node.client.done("skills.bins", json!({})).await,
        json!({"bins": []})
    );
    let bad = json!({"skills": [{"name": "Bad Name", "description": "x", "content": "y"}]});
    let refused = node.client.refused("node.skills.update", bad).await;
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("/skills/0/name"),
        "{refused}"
    );
}
