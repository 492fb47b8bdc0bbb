//! Asking a node, as the operator and the node see it.

use super::*;

/// A gateway with one approved node, and its operator.
async fn ready(protocol: u8) -> (Gateway, Client, Node) {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, protocol).await;
    let node = Node::connect(&gateway, 1, protocol, &COMMANDS).await;
    if protocol >= 4 {
        approve(&mut operator).await;
    }
    (gateway, operator, node)
}

/// Sends a request whose answer comes later.
async fn begin(client: &mut Client, id: &str, method: &str, params: Value) {
    client
        .send(&json!({"type": "req", "id": id, "method": method, "params": params}))
        .await;
}

/// The answer to a request that was begun.
async fn answer(client: &mut Client, id: &str) -> Value {
    let Heard::Frame(frame) = client.next_answer().await else {
        panic!("closed")
    };
    assert_eq!(frame["id"], id);
    frame
}

#[tokio::test]
async fn a_node_does_what_it_is_asked_and_the_operator_hears_how_it_went() {
    for protocol in [3, 4] {
        let (_gateway, mut operator, mut node) = ready(protocol).await;
        begin(
            &mut operator,
            "i",
            "node.invoke",
            invoke(&node, "system.which", "k"),
        )
        .await;
        let asked = node.asked().await;
        assert_eq!(
            (&asked["nodeId"], &asked["command"]),
            (&json!(node.id), &json!("system.which"))
        );
        assert_eq!(asked["paramsJSON"], r#"{"bins":["git"]}"#);
        assert_eq!(asked["idempotencyKey"], "k");
        let left_ms = asked["timeoutMs"].as_u64().unwrap();
        assert!((1..=60_000).contains(&left_ms), "{left_ms}");
        let progress = json!({"invokeId": asked["id"], "nodeId": node.id, "seq": 0, "chunk": "."});
        if protocol == 4 {
            let taken = node.client.done("node.invoke.progress", progress).await;
            assert_eq!(taken, json!({"ok": true}));
        }
        let told = node
            .answer(&asked, json!({"bins": {"git": "/usr/bin/git"}}))
            .await;
        assert_eq!(told, json!({"ok": true}));
        let answer = answer(&mut operator, "i").await;
        let payload = json!({"bins": {"git": "/usr/bin/git"}});
        let expected = json!({
            "ok": true, "nodeId": node.id, "command": "system.which", "payload": payload,
            "payloadJSON": payload.to_string(),
        });
        assert_eq!(answer["payload"], expected);
        let late = node.answer(&asked, json!({})).await;
        assert_eq!(
            late,
            json!({"ok": true, "ignored": true}),
            "an outcome counts once"
        );
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_node_is_told_in_the_words_of_the_protocol() {
    for (protocol, message) in [(3, "no such file"), (4, "ENOENT: no such file")] {
        let (_gateway, mut operator, mut node) = ready(protocol).await;
        begin(
            &mut operator,
            "i",
            "node.invoke",
            invoke(&node, "system.run", "k"),
        )
        .await;
        let asked = node.asked().await;
        let error = json!({"code": "ENOENT", "message": "no such file"});
        let result = json!({"id": asked["id"], "nodeId": node.id, "ok": false, "payloadJSON": null, "error": error});
        node.client.done("node.invoke.result", result).await;
        let told = answer(&mut operator, "i").await["error"].clone();
        assert_eq!(
            (&told["code"], &told["message"]),
            (&json!("UNAVAILABLE"), &json!(message))
        );
        assert_eq!(told["details"]["nodeError"], error);
    }
}

#[tokio::test]
async fn a_node_that_takes_too_long_is_told_that_nobody_waits() {
    let (_gateway, mut operator, mut node) = ready(4).await;
    let mut params = invoke(&node, "system.which", "k");
    params["timeoutMs"] = json!(50);
    let refused = operator.refused("node.invoke", params).await;
    assert_eq!(refused["message"], "TIMEOUT: node invoke timed out");
    assert_eq!(refused["details"]["nodeCommandDispatched"], true);
    let asked = node.asked().await;
    let cancelled = node.client.event("node.invoke.cancel").await["payload"].clone();
    assert_eq!(
        cancelled,
        json!({"invokeId": asked["id"], "nodeId": node.id})
    );
    assert_eq!(node.answer(&asked, json!({})).await["ignored"], true);
}

#[tokio::test]
async fn another_node_cannot_say_how_a_call_went() {
    let (gateway, mut operator, mut node) = ready(4).await;
    let mut thief = Node::connect(&gateway, 2, 4, &COMMANDS).await;
    begin(
        &mut operator,
        "i",
        "node.invoke",
        invoke(&node, "system.which", "k"),
    )
    .await;
    let asked = node.asked().await;
    let forged = |node_id: &str| json!({"id": asked["id"], "nodeId": node_id, "ok": true, "payloadJSON": "\"forged\""});
    let refused = thief
        .client
        .refused("node.invoke.result", forged(&node.id))
        .await;
    assert_eq!(refused["message"], "nodeId mismatch");
    let own = forged(&thief.id.clone());
    let ignored = thief.client.done("node.invoke.result", own).await;
    assert_eq!(ignored, json!({"ok": true, "ignored": true}));
    let progress = json!({"invokeId": asked["id"], "nodeId": thief.id, "seq": 0, "chunk": "x"});
    assert_eq!(
        thief.client.done("node.invoke.progress", progress).await["ignored"],
        true
    );
    // Nor can an older connection of the same node.
    node.answer(&asked, json!("true")).await;
    assert_eq!(
        answer(&mut operator, "i").await["payload"]["payload"],
        "true"
    );
}

#[tokio::test]
async fn a_node_that_leaves_while_it_works_ends_the_call_at_once() {
    let (_gateway, mut operator, mut node) = ready(4).await;
    begin(
        &mut operator,
        "i",
        "node.invoke",
        invoke(&node, "system.run", "k"),
    )
    .await;
    node.asked().await;
    drop(node);
    let told = answer(&mut operator, "i").await["error"].clone();
    assert_eq!(told["code"], "UNAVAILABLE");
    assert_eq!(told["details"]["code"], "NOT_CONNECTED");
    assert_eq!(told["details"]["nodeCommandDispatched"], true);
    assert!(
        told["message"].as_str().unwrap().contains("may have run"),
        "{told}"
    );
}

#[tokio::test]
async fn the_same_key_asks_a_node_once() {
    let (gateway, mut operator, mut node) = ready(4).await;
    let mut other = super::operator(&gateway, 4).await;
    let params = invoke(&node, "system.run", "k");
    begin(&mut operator, "1", "node.invoke", params.clone()).await;
    let asked = node.asked().await;
    begin(&mut other, "2", "node.invoke", params.clone()).await;
    node.answer(&asked, json!({"ran": 1})).await;
    let first = answer(&mut operator, "1").await["payload"].clone();
    assert_eq!(answer(&mut other, "2").await["payload"], first);
    let elsewhere = gateway.replica().await;
    let third = &tokio::sync::Mutex::new(super::operator(&elsewhere, 4).await);
    let again = eventually("the other replica to see the node", async || {
        let again = third.lock().await.call("node.invoke", params.clone()).await;
        (again["ok"] == true).then_some(again)
    })
    .await;
    assert_eq!(again["payload"], first);
    let conflict = operator
        .refused("node.invoke", invoke(&node, "system.which", "k"))
        .await;
    assert_eq!(conflict["details"]["reason"], "node-invoke-conflict");
    // The node was asked once: the next that it hears of is another call.
    begin(
        &mut operator,
        "3",
        "node.invoke",
        invoke(&node, "system.which", "other"),
    )
    .await;
    assert_eq!(node.asked().await["idempotencyKey"], "other");
}

#[tokio::test]
async fn commands_are_allowed_by_platform_declaration_and_settings() {
    let gateway =
        Gateway::start_with(|config| config.node_commands_allow = vec!["custom.echo".into()]).await;
    let mut operator = operator(&gateway, 4).await;
    let declared = [
        "system.which",
        "custom.echo",
        "custom.other",
        "screen.record",
        "system.execApprovals.get",
    ];
    let mut node = Node::connect(&gateway, 1, 4, &declared).await;
    approve(&mut operator).await;
    for (command, reason) in [
        ("custom.other", "command not allowlisted"),
        ("screen.record", "command not allowlisted"),
        ("system.run", "command not declared by node"),
    ] {
        let refused = operator
            .refused("node.invoke", invoke(&node, command, command))
            .await;
        assert_eq!(refused["code"], "INVALID_REQUEST");
        assert_eq!(
            refused["details"],
            json!({"reason": reason, "command": command})
        );
    }
    let refused = operator
        .refused("node.invoke", invoke(&node, "custom.other", "k"))
        .await;
    let message =
        "node command not allowed: \"custom.other\" is not in the allowlist for platform \"linux\"";
    assert_eq!(refused["message"], message);
    let refused = operator
        .refused(
            "node.invoke",
            invoke(&node, "system.execApprovals.get", "k"),
        )
        .await;
    let message = "node.invoke does not allow system.execApprovals.*; use exec.approvals.node.*";
    assert_eq!(refused["message"], message);
    let forged = json!({"nodeId": node.id, "command": "system.run", "idempotencyKey": "f", "params": {"approved": true}});
    operator.refused("node.invoke", forged).await;
    begin(
        &mut operator,
        "i",
        "node.invoke",
        invoke(&node, "custom.echo", "echo"),
    )
    .await;
    assert_eq!(node.asked().await["command"], "custom.echo");
}

#[tokio::test]
async fn what_reaches_past_a_nodes_own_rules_takes_an_admin() {
    let gateway = Gateway::start().await;
    let mut admin = operator(&gateway, 4).await;
    let node = Node::connect(&gateway, 1, 4, &["fs.listDir"]).await;
    approve(&mut admin).await;
    let mut writer = Client::open(gateway.at, "/", &[]).await;
    writer
        .shake(connect_with(4, |params| {
            params["scopes"] = json!(["operator.write"])
        }))
        .await;
    let refused = writer
        .refused("node.invoke", invoke(&node, "fs.listDir", "k"))
        .await;
    assert_eq!(refused["message"], "missing scope: operator.admin");
}
