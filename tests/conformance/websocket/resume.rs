//! Clients that go on where they were: nothing is missed, and nothing comes twice.

use std::time::Duration;

use tests::model::Answer;

use super::{
    chat::{answered, happen},
    services::Services,
    *,
};

/// A client that goes on after `cursor`; an empty one begins now.
async fn resume(gateway: &Gateway, protocol: u8, cursor: &str) -> Client {
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let params = connect_with(protocol, |params| params["resume"] = json!(cursor));
    client.shake(params).await;
    client
}

impl Client {
    /// The `chat` events of ends up to `events.resumed`, and that one.
    async fn resumed(&mut self) -> (Vec<Value>, Value) {
        let mut ends = Vec::new();
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => match self.next().await {
                    Heard::Frame(frame) => frame,
                    close => panic!("{close:?}"),
                },
            };
            if event["event"] == "events.resumed" {
                return (ends, event["payload"].clone());
            }
            if event["event"] == "chat" && event["payload"]["state"] != "delta" {
                ends.push(event["payload"].clone());
            }
        }
    }

    /// The next `chat` event in one of `states`.
    async fn next_chat(&mut self, states: &[&str]) -> Value {
        loop {
            let payload = self.event("chat").await["payload"].clone();
            if states.iter().any(|state| payload["state"] == *state) {
                return payload;
            }
        }
    }
}

fn shown(payload: &Value) -> &str {
    payload["message"]["content"][0]["text"].as_str().unwrap()
}

fn message(key: &str) -> Value {
    json!({"sessionKey": "main", "message": "a b c d e f g h", "idempotencyKey": key})
}

/// An answer that takes a while: eight pieces.
fn slow() -> Answer {
    Answer {
        pieces: 8,
        between: Duration::from_millis(100),
        ..Answer::default()
    }
}

#[tokio::test]
async fn who_is_cut_off_is_told_the_end_by_another_replica_once() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let other = gateway.replica().await;
    house.model.always(slow());
    for protocol in [3, 4] {
        let key = format!("key-{protocol}");
        let mut client = resume(&gateway, protocol, "").await;
        let (ends, resumed) = client.resumed().await;
        assert_eq!((ends.len(), &resumed["complete"]), (0, &json!(true)));
        let cursor = resumed["cursor"].as_str().unwrap().to_owned();
        client.done("chat.send", message(&key)).await;
        client.next_chat(&["delta"]).await;
        drop(client);
        let mut witness = other.client(4).await;
        let waited = witness.done("agent.wait", json!({"runId": key})).await;
        assert_eq!(waited["status"], "ok");
        let mut back = resume(&other, protocol, &cursor).await;
        let (ends, resumed) = back.resumed().await;
        let last: Vec<_> = ends.iter().filter(|end| end["runId"] == key).collect();
        assert_eq!(last.len(), 1, "{ends:?}");
        assert_eq!(
            (&last[0]["state"], shown(last[0])),
            (&json!("final"), "you said: a b c d e f g h")
        );
        assert_eq!(resumed["complete"], true);
        let newest = last[0]["cursor"].as_str().unwrap();
        let mut again = resume(&gateway, protocol, newest).await;
        let (ends, resumed) = again.resumed().await;
        assert_eq!((ends.len(), &resumed["complete"]), (0, &json!(true)));
    }
}

#[tokio::test]
async fn who_comes_back_mid_answer_has_all_of_it_and_no_word_twice() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let other = gateway.replica().await;
    house.model.always(slow());
    let mut client = resume(&gateway, 4, "").await;
    let (_, resumed) = client.resumed().await;
    client.done("chat.send", message("key-1")).await;
    let mut seq = client.next_chat(&["delta"]).await["seq"].as_u64().unwrap();
    drop(client);
    let mut back = resume(&other, 4, resumed["cursor"].as_str().unwrap()).await;
    let mut text = String::new();
    loop {
        let told = back.next_chat(&["delta", "final"]).await;
        let number = told["seq"].as_u64().unwrap();
        assert!(number >= seq, "{told}");
        // The rule for those who come back: what has a number that they know is known.
        if number == seq && !text.is_empty() {
            continue;
        }
        seq = number;
        if told["state"] == "final" {
            assert_eq!(shown(&told), text);
            break;
        }
        if told["replace"] == true {
            text.clear();
        }
        text.push_str(told["deltaText"].as_str().unwrap());
        assert_eq!(shown(&told), text);
    }
    assert_eq!(text, "you said: a b c d e f g h");
}

#[tokio::test]
async fn what_is_not_known_any_more_is_said_to_be_missing() {
    let gateway = Gateway::start().await;
    let (_, here) = resume(&gateway, 4, "").await.resumed().await;
    let here = here["cursor"].as_str().unwrap().to_owned();
    let (stream, _) = here.split_once('-').unwrap();
    for lost in ["what", "1-1", &format!("{stream}-")] {
        let (ends, resumed) = resume(&gateway, 4, lost).await.resumed().await;
        assert_eq!(ends.len(), 0);
        assert_eq!(resumed, json!({"cursor": here, "complete": false}));
    }
}

#[tokio::test]
async fn a_replica_that_is_behind_tells_nothing_twice() {
    let gateway = Gateway::start().await;
    let (_, here) = resume(&gateway, 4, "").await.resumed().await;
    let (stream, sequence) = here["cursor"].as_str().unwrap().split_once('-').unwrap();
    let next = u64::from_str_radix(sequence, 16).unwrap() + 1;
    let ahead = format!("{stream}-{next:x}");
    let mut client = resume(&gateway, 4, &ahead).await;
    let (_, resumed) = client.resumed().await;
    assert_eq!(resumed, json!({"cursor": ahead, "complete": true}));
    happen(&gateway, "known", answered("known")).await;
    happen(&gateway, "new", answered("new")).await;
    assert_eq!(shown(&client.next_chat(&["final"]).await), "new");
}

#[tokio::test]
async fn who_does_not_ask_hears_nothing_of_cursors() {
    let gateway = Gateway::start().await;
    for protocol in [3, 4] {
        let mut client = gateway.client(protocol).await;
        let id = format!("t{protocol}");
        happen(&gateway, &id, answered("done")).await;
        loop {
            let Heard::Frame(event) = client.next().await else {
                panic!("closed")
            };
            assert_ne!(event["event"], "events.resumed");
            assert_eq!(event["payload"].get("cursor"), None, "{event}");
            if event["payload"]["state"] == "final" {
                break;
            }
        }
    }
}
