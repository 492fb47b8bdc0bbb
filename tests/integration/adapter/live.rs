//! Answers that are shown while they are made.

use ::adapter::Streaming;
use adapter_loopback::{Answer, Call, Config};
use bus::Bucket;
use proto::{
    id, subject,
    v1::{Delta, DeltaKind, Outbound},
};
use tests::eventually::{DEADLINE, eventually};
use tokio::time::timeout;

use super::{World, address, config, outbound};

/// Streams the beginning of the answer `turn-0`, and waits for what is shown of it.
async fn stream_beginning(world: &mut World) -> String {
    let delta = |seq, kind: DeltaKind, text: &str| Delta {
        turn_id: "turn".into(),
        session_key: "loopback:dm:c".into(),
        seq,
        text: text.into(),
        reply_to: Some(address("c")),
        kind: kind.into(),
        ..Delta::default()
    };
    let subject = subject::delta(&address("c"), "loopback:dm:c");
    world
        .bus
        .tell(&subject, &delta(1, DeltaKind::Start, ""))
        .await
        .unwrap();
    let typing = timeout(DEADLINE, world.asked.recv())
        .await
        .expect("typing")
        .unwrap();
    assert_eq!(typing.call, Call::Type);
    typing.answer(Answer::Done(String::new()));
    world
        .bus
        .tell(&subject, &delta(2, DeltaKind::Text, "Once upon"))
        .await
        .unwrap();
    let shown = world.asked().await;
    let text = shown.text().to_owned();
    shown.answer(Answer::Done("preview".into()));
    text
}

#[tokio::test]
async fn an_answer_grows_in_one_message() {
    let mut world = World::new().await;
    let process = world
        .start(Config {
            streaming: Streaming::Edit,
            ..config()
        })
        .await;
    // An account's first message proves to the process that it owns the account.
    world.publish("c", "hello", "hello").await;
    assert_eq!(world.done().await, "hello");
    assert_eq!(stream_beginning(&mut world).await, "Once upon …");
    let whole = Outbound {
        turn_id: "turn".into(),
        ..outbound("c", &id::of_outbound("turn", 0), "Once upon a time")
    };
    world.publish_all(whole).await;
    let request = world.asked().await;
    let change = Call::Change {
        message_id: "preview".into(),
        text: "Once upon a time".into(),
    };
    assert_eq!(request.call, change);
    request.answer(Answer::Done("preview".into()));
    process.stop().await;
}

#[tokio::test]
async fn a_new_owner_finishes_the_message_that_the_old_one_began_to_show() {
    let mut world = World::new().await;
    let config = Config {
        streaming: Streaming::Edit,
        ..config()
    };
    let process = world.start(config.clone()).await;
    world.publish("c", "hello", "hello").await;
    assert_eq!(world.done().await, "hello");
    stream_beginning(&mut world).await;
    let key = format!("{}.p", id::of_outbound("turn", 0));
    let intents = world.bus.bucket(Bucket::Intents);
    let (intents, key) = (&intents, key.as_str());
    eventually("the preview to be known", || async {
        let (intent, _) = intents.get::<proto::v1::Intent>(key).await.ok()??;
        (intent.platform_message_id == "preview").then_some(())
    })
    .await;
    process.crash().await;

    let process = world.start(config).await;
    let whole = Outbound {
        turn_id: "turn".into(),
        ..outbound("c", &id::of_outbound("turn", 0), "The end")
    };
    world.publish_all(whole).await;
    let request = world.asked().await;
    assert_eq!(
        request.call,
        Call::Change {
            message_id: "preview".into(),
            text: "The end".into()
        }
    );
    // Somebody has removed it meanwhile: the answer goes as a message of its own.
    request.answer(Answer::Refused("no such message".into()));
    let request = world.asked().await;
    assert_eq!(
        request.call,
        Call::Say {
            text: "The end".into(),
            reply_to: String::new()
        }
    );
    request.answer(Answer::Done("9".into()));
    process.stop().await;
}
