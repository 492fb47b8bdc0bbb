//! Nodes of one replica, seen and asked through another.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::*;

/// Two replicas, a node at the first, and an operator at the second who sees it.
async fn apart(seed: u8) -> (Gateway, Gateway, Node, Arc<Mutex<Client>>) {
    let near = Gateway::start().await;
    let far = near.replica().await;
    let node = Node::connect(&near, seed, 4, &COMMANDS).await;
    let operator = Arc::new(Mutex::new(operator(&far, 4).await));
    seen(&operator, &node, true).await;
    (near, far, node, operator)
}

/// Waits until the operator sees the node as connected, or not.
async fn seen(operator: &Arc<Mutex<Client>>, node: &Node, connected: bool) {
    eventually("the other replica to know where the node is", async || {
        let row = row(&mut *operator.lock().await, &node.id).await;
        (row["connected"] == connected).then_some(())
    })
    .await;
}

/// Asks the node for something; the whole answer.
fn ask(operator: &Arc<Mutex<Client>>, params: Value) -> JoinHandle<Value> {
    let operator = operator.clone();
    tokio::spawn(async move { operator.lock().await.call("node.invoke", params).await })
}

#[tokio::test]
async fn a_node_is_approved_and_asked_through_any_replica() {
    let (_near, _far, mut node, operator) = apart(1).await;
    let asked = operator
        .lock()
        .await
        .done("node.pair.list", json!({}))
        .await;
    assert_eq!(asked["pending"][0]["nodeId"], node.id.as_str());
    approve(&mut *operator.lock().await).await;
    assert_eq!(
        node.client.event("node.pair.resolved").await["payload"]["decision"],
        "approved"
    );
    let answer = ask(&operator, invoke(&node, "system.which", "k"));
    let call = node.asked().await;
    node.answer(&call, json!({"bins": {}})).await;
    assert_eq!(
        answer.await.unwrap()["payload"]["payload"],
        json!({"bins": {}})
    );
}

#[tokio::test]
async fn large_parameters_and_results_cross_replicas() {
    let (_near, _far, mut node, operator) = apart(1).await;
    approve(&mut *operator.lock().await).await;
    // More than a message on the bus may have.
    let large = "x".repeat(12 << 20);
    let mut params = invoke(&node, "system.run", "k");
    params["params"] = json!({"command": [large]});
    let answer = ask(&operator, params);
    let call = node.asked().await;
    assert_eq!(
        call["paramsJSON"].as_str().unwrap().len(),
        large.len() + r#"{"command":[""]}"#.len()
    );
    node.answer(&call, json!(large)).await;
    let answer = answer.await.unwrap();
    assert_eq!(
        answer["payload"]["payload"].as_str().unwrap().len(),
        large.len()
    );
    assert_eq!(
        answer["payload"]["payloadJSON"],
        Value::Null,
        "told once, or it would not fit"
    );
}

#[tokio::test]
async fn a_node_that_leaves_another_replica_ends_the_call() {
    let (_near, _far, mut node, operator) = apart(1).await;
    approve(&mut *operator.lock().await).await;
    let answer = ask(&operator, invoke(&node, "system.run", "k"));
    node.asked().await;
    drop(node);
    let error = answer.await.unwrap()["error"].clone();
    assert_eq!(
        (&error["code"], &error["details"]["code"]),
        (&json!("UNAVAILABLE"), &json!("NOT_CONNECTED"))
    );
}

#[tokio::test]
async fn a_replica_that_falls_silent_takes_its_nodes_along() {
    let (near, _far, mut node, operator) = apart(1).await;
    approve(&mut *operator.lock().await).await;
    let answer = ask(&operator, invoke(&node, "system.run", "k"));
    node.asked().await;
    // It tells nobody goodbye.
    near.serving.abort();
    let error = answer.await.unwrap()["error"].clone();
    assert_eq!(
        (&error["code"], &error["details"]["code"]),
        (&json!("UNAVAILABLE"), &json!("NOT_CONNECTED"))
    );
    assert_eq!(error["details"]["nodeCommandDispatched"], true);
    seen(&operator, &node, false).await;
}

#[tokio::test]
async fn the_newest_connection_of_a_node_is_asked_and_an_older_one_takes_over_when_it_ends() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let mut older = Node::connect(&gateway, 1, 4, &COMMANDS).await;
    approve(&mut operator).await;
    let mut newer = Node::connect(&gateway, 1, 4, &COMMANDS).await;
    let operator = Arc::new(Mutex::new(operator));
    let answer = ask(&operator, invoke(&newer, "system.which", "1"));
    let call = newer.asked().await;
    let old = older.answer(&call, json!("forged")).await;
    assert_eq!(
        old,
        json!({"ok": true, "ignored": true}),
        "the call is the newer one's"
    );
    newer.answer(&call, json!("newer")).await;
    assert_eq!(answer.await.unwrap()["payload"]["payload"], "newer");
    let since = row(&mut *operator.lock().await, &older.id).await["connectedAtMs"].as_i64();
    drop(newer);
    eventually("the older connection to take over", async || {
        let row = row(&mut *operator.lock().await, &older.id).await;
        (row["connectedAtMs"].as_i64() < since).then_some(())
    })
    .await;
    let answer = ask(&operator, invoke(&older, "system.which", "2"));
    let call = older.asked().await;
    older.answer(&call, json!("older")).await;
    assert_eq!(answer.await.unwrap()["payload"]["payload"], "older");
}
