//! A message seen on its way, and one whose answer the platform refuses.

use serde_json::Value;
use tests::{
    eventually::eventually,
    gateway::Gateway,
    platforms::telegram::Failure,
    stage::{Hears, Stage},
};

/// What `openclaw trace` knows of `about`, as JSON.
fn trace(gateway: &Gateway, about: &str) -> Vec<Value> {
    let output = gateway.operate(&["trace", about, "--json"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    serde_json::from_slice(&output.stdout).expect("a list in JSON")
}

async fn ended(gateway: &Gateway, about: &str, end: &str) -> Value {
    eventually(&format!("the way of {about} to end as {end}"), || async {
        trace(gateway, about)
            .pop()
            .filter(|walk| walk["end"] == end)
    })
    .await
}

fn steps(walk: &Value) -> Vec<&str> {
    let steps = walk["steps"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| step["name"].as_str().expect("a name"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_the_way_of_a_message() {
    let stage = Stage::set(Hears::Polling, "").await;
    let gateway = stage.gateway();
    gateway.ready().await;
    stage.telegram.say(7, "a word of mine");
    stage.telegram.wait_sent(7, 1).await;
    let walk = ended(&gateway, "7", "reply").await;
    let all = [
        "written", "received", "routed", "started", "answered", "sending", "sent",
    ];
    assert_eq!(steps(&walk), all);
    let times: Vec<i64> = walk["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["atMs"].as_i64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    let sent = walk["steps"][6]["platformMessageId"].as_str().unwrap();
    assert_eq!(
        trace(&gateway, sent).pop().as_ref(),
        Some(&walk),
        "found by the platform's id too"
    );

    let id = walk["id"].as_str().unwrap();
    let output = gateway.operate(&["trace", id]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.starts_with(&format!("{id}  from telegram main 7: answered")),
        "{text}"
    );
    assert!(
        !text.contains("a word of mine") && text.contains("in all"),
        "{text}"
    );
    assert!(gateway.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whose_answer_is_refused_is_told_once() {
    let stage = Stage::set(Hears::Polling, "").await;
    let gateway = stage.gateway();
    gateway.ready().await;
    stage.telegram.say(7, "first");
    stage.telegram.wait_sent(7, 1).await;
    stage.telegram.fail_next(
        "sendMessage",
        Failure::Refuse(400, "Bad Request: no".into()),
    );
    stage.telegram.say(7, "second");
    let sent = stage.telegram.wait_sent(7, 2).await;
    assert!(sent[1].text.contains("could not be delivered"), "{sent:?}");
    let walk = ended(&gateway, "7", "dead").await;
    assert!(steps(&walk).contains(&"dead"), "{walk}");
    stage.telegram.say(7, "third");
    let sent = stage.telegram.wait_sent(7, 3).await;
    assert_eq!(sent[2].text, "you said: third", "{sent:?}");
    assert!(gateway.terminate().success());
    assert_eq!(stage.telegram.sent(7).len(), 3, "told once");
}
