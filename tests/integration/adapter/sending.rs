//! What we say: in order, once, or told why not.

use std::time::{Duration, Instant};

use ::adapter::OnUnknown;
use adapter_loopback::{Answer, Config};
use futures_util::StreamExt;
use proto::{
    subject,
    v1::{Outbound, Priority, event::What},
};
use tests::eventually::DEADLINE;
use tokio::time::timeout;

use super::{World, address, config, next, outbound};

#[tokio::test]
async fn a_message_whose_sender_crashed_is_held_and_told_and_the_next_one_goes() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world.publish("c", "first", "first").await;
    world.publish("c", "second", "second").await;
    let request = world.asked().await;
    assert_eq!(request.text(), "first");
    process.crash().await;
    request.answer(Answer::Done("1".into()));

    let process = world.start(config()).await;
    assert_eq!(
        world.done().await,
        "second",
        "the first may have arrived and is not repeated"
    );
    let unsure = next("doubt", &mut events, |what| match what {
        What::Unsure(unsure) => Some(unsure),
        _ => None,
    });
    assert_eq!(unsure.await.outbound_id, "first");
    process.stop().await;
}

#[tokio::test]
async fn a_message_whose_sender_crashed_is_sent_again_if_the_account_wants_that() {
    let mut world = World::new().await;
    let config = Config {
        on_unknown: OnUnknown::Resend,
        ..config()
    };
    let process = world.start(config.clone()).await;
    world.publish("c", "first", "first").await;
    world.publish("c", "second", "second").await;
    let request = world.asked().await;
    process.crash().await;
    drop(request);

    let process = world.start(config).await;
    assert_eq!(world.done().await, "first");
    assert_eq!(world.done().await, "second");
    process.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_not_repeated() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world.publish("c", "first", "first").await;
    world.publish("c", "second", "second").await;
    drop(world.asked().await);
    assert_eq!(world.done().await, "second");
    let outcome = next("doubt", &mut events, |what| match what {
        What::Unsure(unsure) => Some(unsure),
        _ => None,
    });
    assert_eq!(outcome.await.why, "delivery unknown: the answer was lost");
    process.stop().await;
}

#[tokio::test]
async fn what_is_answered_while_the_bus_is_away_is_remembered() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    world.publish("c", "first", "first").await;
    world.publish("c", "second", "second").await;
    let request = world.asked().await;
    world.nats.kill();
    request.answer(Answer::Done("1".into()));
    world.nats.restart();
    assert_eq!(world.done().await, "second", "the first is not repeated");
    let mut events = world.events().await;
    for id in ["first", "second"] {
        let sent = next("what was sent", &mut events, |what| match what {
            What::Sent(sent) => Some(sent),
            What::Unsure(unsure) => panic!("{unsure:?}"),
            _ => None,
        });
        assert_eq!(sent.await.outbound_id, id);
    }
    process.stop().await;
}

#[tokio::test]
async fn a_limited_message_waits_as_long_as_the_platform_says() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    world.publish("c", "first", "first").await;
    let request = world.asked().await;
    let refused = Instant::now();
    request.answer(Answer::TooFast { wait_s: 2 });
    assert_eq!(world.done().await, "first");
    assert!(refused.elapsed() >= Duration::from_secs(2));
    process.stop().await;
}

#[tokio::test]
async fn a_refused_message_is_a_dead_letter_with_its_reason_and_can_be_replayed() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world.publish("c", "first", "first").await;
    world
        .asked()
        .await
        .answer(Answer::Refused("too rude".into()));
    let dead = next("a dead letter", &mut events, |what| match what {
        What::Dead(dead) => Some(dead),
        _ => None,
    });
    assert_eq!(dead.await.reason, "rejected: too rude");
    let mut letters = world.bus.follow::<Outbound>("DEAD", 0).await.unwrap();
    let letter = timeout(DEADLINE, letters.next())
        .await
        .expect("a dead letter")
        .unwrap();
    assert_eq!(letter.message.unwrap().id, "first");

    // An operator replays it, under another id of the bus.
    let again = outbound("c", "first", "first");
    let subject = subject::outbound(&address("c"), Priority::Normal);
    world
        .bus
        .publish(&subject, "replay-first", &again)
        .await
        .unwrap();
    assert_eq!(world.done().await, "first");
    process.stop().await;
}

#[tokio::test]
async fn an_expired_message_is_not_sent() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world
        .publish_all(Outbound {
            expires_at_ms: 1,
            ..outbound("c", "late", "late")
        })
        .await;
    world.publish("c", "fresh", "fresh").await;
    assert_eq!(world.done().await, "fresh");
    let dead = next("a dead letter", &mut events, |what| match what {
        What::Dead(dead) => Some(dead),
        _ => None,
    });
    assert_eq!(dead.await.reason, "expired");
    process.stop().await;
}

#[tokio::test]
async fn a_conversation_keeps_its_order_over_retries_and_holds_up_no_other() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    for id in ["a1", "a2", "b1", "b2", "b3"] {
        world.publish(&id[..1], id, id).await;
    }
    let mut seen = Vec::new();
    let mut busy = 2;
    while seen
        .iter()
        .filter(|text: &&String| text.as_str() == "a2")
        .count()
        == 0
    {
        let request = world.asked().await;
        seen.push(request.text().to_owned());
        if request.text() == "a1" && busy > 0 {
            busy -= 1;
            request.answer(Answer::Busy);
        } else {
            let id = request.text().to_owned();
            request.answer(Answer::Done(id));
        }
    }
    let of = |letter: char| {
        seen.iter()
            .filter(|text| text.starts_with(letter))
            .collect::<Vec<_>>()
    };
    assert_eq!(of('a'), ["a1", "a1", "a1", "a2"]);
    assert_eq!(
        of('b'),
        ["b1", "b2", "b3"],
        "the other conversation was done before"
    );
    process.stop().await;
}

#[tokio::test]
async fn a_long_text_arrives_in_pieces_and_each_is_told() {
    let mut world = World::new().await;
    let process = world
        .start(Config {
            max_text_chars: 20,
            ..config()
        })
        .await;
    let mut events = world.events().await;
    world
        .publish(
            "c",
            "long",
            "first words here\n\nsecond words\n\nthird words are here",
        )
        .await;
    assert_eq!(world.done().await, "first words here");
    assert_eq!(world.done().await, "second words");
    assert_eq!(world.done().await, "third words are here");
    for n in 0..3 {
        let sent = next("a chunk", &mut events, |what| match what {
            What::Sent(sent) => Some(sent),
            _ => None,
        });
        let sent = sent.await;
        assert_eq!((sent.chunk, sent.chunks), (n, 3));
        assert!(sent.platform_message_id.starts_with("id of "));
    }
    process.stop().await;
}
