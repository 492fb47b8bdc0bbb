//! What the bot hears by polling, and when Telegram may forget it.

use std::time::Instant;

use adapter_telegram::Config;
use proto::v1::{ConnectionState, inbound::Body};
use serde_json::json;
use tests::platforms::telegram::{Call, Failure, Webhook};

use super::{Line, text};

fn message(chat: i64, text: &str) -> serde_json::Value {
    json!({"message": {"message_id": 1, "date": 1, "chat": {"id": chat, "type": "private"}, "from": {"id": chat, "is_bot": false, "first_name": "P"}, "text": text}})
}

#[tokio::test]
async fn what_is_said_is_heard_and_then_forgotten_by_telegram() {
    let line = Line::open().await;
    let adapter = line.run(line.polling());
    let id = line.telegram.say(7, "hello");
    let heard = line.heard().await;
    assert_eq!(
        (text(&heard).as_str(), heard.dedupe_key),
        ("hello", format!("telegram:main:{id}"))
    );
    line.telegram.wait_confirmed().await;
    let connected = line
        .connection("connected", |now| now.state() == ConnectionState::Connected)
        .await;
    assert_eq!(connected.via, "polling");
    line.close(adapter).await;
}

#[tokio::test]
async fn telegram_forgets_nothing_while_the_bus_is_away() {
    let line = Line::open().await;
    let adapter = line.run(line.polling());
    line.telegram.say(7, "before");
    assert_eq!(line.texts(1).await, ["before"]);
    line.telegram.wait_confirmed().await;

    line.nats.kill();
    let ids: Vec<i64> = (0..3)
        .map(|n| line.telegram.say(7, &format!("during {n}")))
        .collect();
    assert_eq!(line.telegram.waiting(), 3);

    let back = Instant::now();
    line.nats.restart();
    assert_eq!(line.texts(3).await, ["during 0", "during 1", "during 2"]);
    line.telegram.wait_confirmed().await;
    let calls = line.telegram.calls("getUpdates");
    let confirms = |call: &&Call| call.params["offset"].as_i64() > Some(ids[0]);
    assert!(calls.iter().filter(confirms).all(|call| call.at > back));
    line.nothing_more(7).await;
    line.close(adapter).await;
}

#[tokio::test]
async fn an_update_polled_again_is_heard_once() {
    let line = Line::open().await;
    // Telegram gave it and will give it again: it was never confirmed.
    line.telegram
        .fail_times("getUpdates", 2, Failure::LoseAnswer);
    line.telegram.say(7, "hello");
    let adapter = line.run(line.polling());
    assert_eq!(line.texts(1).await, ["hello"]);
    line.nothing_more(7).await;
    line.close(adapter).await;
}

#[tokio::test]
async fn nothing_spoils_the_batch_it_comes_in() {
    let line = Line::open().await;
    line.telegram.say(7, "first");
    line.telegram
        .push(json!({"update_id": 1002, "telepathy": {"chat": {"id": 7}}}));
    line.telegram
        .push(json!({"update_id": 1003, "message": {"chat": "?", "text": ["odd"]}}));
    line.telegram.push_raw(&br#"{"no_number": true}"#[..]);
    line.telegram.push_raw(&b"{\"update_id\":1005,\"message\":{\"message_id\":4,\"chat\":{\"id\":7},\"text\":\"caf\xe9\"}}"[..]);
    line.telegram.push_raw(&br#"[{}]"#[..]);
    line.telegram.next_update_id(9_000_000_000);
    line.telegram.say(7, "last");
    let adapter = line.run(line.polling());

    let mut heard = Vec::new();
    for _ in 0..7 {
        heard.push(line.heard().await);
    }
    let mut texts: Vec<_> = heard
        .iter()
        .map(text)
        .filter(|text| !text.is_empty())
        .collect();
    texts.sort();
    assert_eq!(texts, ["caf\u{fffd}", "first", "last"]);
    assert!(
        heard
            .iter()
            .any(|event| event.dedupe_key == "telegram:main:9000000000")
    );
    let unknown = heard
        .iter()
        .filter(|event| matches!(event.body, Some(Body::Unknown(_))));
    assert_eq!(unknown.count(), 4, "what is not understood is kept, raw");
    line.telegram.wait_confirmed().await;
    line.close(adapter).await;
}

#[tokio::test]
async fn updates_without_a_number_are_stepped_over() {
    let line = Line::open().await;
    let adapter = line.run(line.polling());
    line.telegram.say(7, "first");
    assert_eq!(line.texts(1).await, ["first"]);
    line.telegram.push_raw(&b"\"not an update\""[..]);
    assert!(matches!(line.heard().await.body, Some(Body::Unknown(_))));
    line.telegram.wait_confirmed().await;
    line.nothing_more(7).await;
    line.close(adapter).await;
}

#[tokio::test]
async fn each_conversation_keeps_its_order() {
    let line = Line::open().await;
    for n in 0..60 {
        for chat in [11, 12, 13] {
            line.telegram.say(chat, &format!("{chat} {n}"));
        }
    }
    let adapter = line.run(line.polling());
    let texts = line.texts(180).await;
    for chat in [11, 12, 13] {
        let own: Vec<_> = texts
            .iter()
            .filter(|text| text.starts_with(&chat.to_string()))
            .cloned()
            .collect();
        assert_eq!(
            own,
            (0..60).map(|n| format!("{chat} {n}")).collect::<Vec<_>>()
        );
    }
    line.telegram.wait_confirmed().await;
    line.close(adapter).await;
}

#[tokio::test]
async fn a_failing_or_silent_server_is_asked_again() {
    let line = Line::open().await;
    line.telegram.fail_next("getUpdates", Failure::Status(502));
    line.telegram.fail_next("getUpdates", Failure::TooMany(1));
    line.telegram.fail_next("getUpdates", Failure::Malformed);
    line.telegram.fail_next("getUpdates", Failure::Hang);
    let config = Config {
        poll_timeout_s: 0,
        request_timeout_ms: 300,
        ..line.polling()
    };
    let adapter = line.run(config);
    line.telegram.say(7, "hello");
    assert_eq!(line.texts(1).await, ["hello"]);
    line.connection("connected again", |now| {
        now.state() == ConnectionState::Connected
    })
    .await;
    line.close(adapter).await;
}

#[tokio::test]
async fn another_poller_is_reported_until_it_is_gone() {
    let line = Line::open().await;
    let conflict = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
    line.telegram
        .fail_times("getUpdates", 2, Failure::Refuse(409, conflict.into()));
    let adapter = line.run(line.polling());
    let state = line
        .connection("the conflict", |now| {
            now.error.contains("another process polls")
        })
        .await;
    assert_eq!(state.state(), ConnectionState::Reconnecting);
    line.telegram.say(7, "hello");
    assert_eq!(line.texts(1).await, ["hello"]);
    line.close(adapter).await;
}

#[tokio::test]
async fn a_webhook_of_somebody_else_is_left_alone_unless_told() {
    let line = Line::open().await;
    let theirs = Webhook {
        url: "https://example.org/theirs".into(),
        secret: String::new(),
        max_connections: 1,
    };
    line.telegram.break_webhook(true);
    line.telegram.set_webhook(Some(theirs.clone()));
    let adapter = line.run(line.polling());
    line.connection("their webhook", |now| {
        now.error.contains("someone else has set a webhook")
    })
    .await;
    assert_eq!(line.telegram.webhook(), Some(theirs));
    line.stop.cancel();
    adapter.await.unwrap().unwrap();

    let line = Line::open().await;
    line.telegram.break_webhook(true);
    line.telegram.set_webhook(Some(Webhook {
        url: "https://example.org/theirs".into(),
        secret: String::new(),
        max_connections: 1,
    }));
    line.telegram.say(7, "hello");
    let adapter = line.run(Config {
        replace_webhook: true,
        ..line.polling()
    });
    assert_eq!(
        line.texts(1).await,
        ["hello"],
        "nothing that waited was dropped"
    );
    line.close(adapter).await;
}

#[tokio::test]
async fn the_commands_are_put_into_the_menu() {
    let line = Line::open().await;
    let adapter = line.run(Config {
        commands: true,
        ..line.polling()
    });
    let menu = line.telegram.wait_calls("setMyCommands", 1).await[0].params["commands"].clone();
    let names: Vec<_> = menu
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["command"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["start", "help", "status", "new", "stop"]);
    line.close(adapter).await;
}

#[tokio::test]
async fn a_poll_asks_for_all_it_understands() {
    let line = Line::open().await;
    let adapter = line.run(line.polling());
    line.telegram.push(message(7, "hi"));
    line.heard().await;
    let asked = &line.telegram.calls("getUpdates")[0].params;
    assert_eq!(
        (&asked["limit"], &asked["timeout"]),
        (&json!(100), &json!(2))
    );
    let kinds = asked["allowed_updates"].as_array().unwrap();
    assert!(
        [
            "message",
            "message_reaction",
            "callback_query",
            "chat_member"
        ]
        .iter()
        .all(|kind| kinds.contains(&json!(kind)))
    );
    line.close(adapter).await;
}
