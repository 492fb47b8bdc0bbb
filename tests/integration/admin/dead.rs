//! Dead letters: listed, shown, replayed past everything that remembers them, dropped.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use adapter_loopback::{Answer, Config};
use bus::{Bucket, Bus, Delivery, Outcome};
use chassis::clock::now_ms;
use proto::{
    id, priority, subject,
    v1::{
        ConversationKind, DeadDone, DeadListRequest, DeadSelection, DeadShowRequest, Inbound,
        Intent, Part, Said, Sender, Turn, dead_letters_client::DeadLettersClient, inbound::Body,
    },
};
use tests::{eventually::eventually, servers::Redis};
use tonic::Code;

use super::{Account, Admin, Desk, address, publish};

fn all() -> DeadSelection {
    DeadSelection {
        all: true,
        ..DeadSelection::default()
    }
}

fn reason(reason: &str) -> DeadSelection {
    DeadSelection {
        reason: reason.into(),
        ..DeadSelection::default()
    }
}

async fn replay(dead: &mut DeadLettersClient<Admin>, selection: DeadSelection) -> DeadDone {
    dead.replay(selection).await.unwrap().into_inner()
}

async fn reasons(
    dead: &mut DeadLettersClient<Admin>,
    asked: DeadListRequest,
) -> (Vec<String>, u64) {
    let reply = dead.list(asked).await.unwrap().into_inner();
    (
        reply
            .letters
            .into_iter()
            .map(|letter| letter.reason)
            .collect(),
        reply.next_before,
    )
}

#[tokio::test]
async fn dead_letters_are_listed_newest_first_in_pages_by_stream_and_by_reason() {
    let desk = Desk::open().await;
    desk.bury_turns(&["expired", "Too Large", "expired again"])
        .await;
    let mut dead = DeadLettersClient::new(desk.door());
    let list = || DeadListRequest {
        limit: 2,
        ..DeadListRequest::default()
    };
    let (first, before) = reasons(&mut dead, list()).await;
    assert_eq!(first, ["expired again", "Too Large"]);
    let (second, end) = reasons(&mut dead, DeadListRequest { before, ..list() }).await;
    assert_eq!((second, end), (vec!["expired".to_owned()], 0));
    let (found, _) = reasons(
        &mut dead,
        DeadListRequest {
            reason: "too large".into(),
            ..list()
        },
    )
    .await;
    assert_eq!(found, ["Too Large"]);
    let (none, _) = reasons(
        &mut dead,
        DeadListRequest {
            stream: "OUT".into(),
            ..list()
        },
    )
    .await;
    assert!(none.is_empty());
    let (turns, _) = reasons(
        &mut dead,
        DeadListRequest {
            stream: "turn".into(),
            ..list()
        },
    )
    .await;
    assert_eq!(turns.len(), 2);
    desk.close().await;
}

#[tokio::test]
async fn a_dead_letter_shows_what_it_says_why_it_is_dead_and_what_to_do() {
    let desk = Desk::open().await;
    let trace = bus::trace::Trace::begin();
    bus::trace::scope(trace, desk.bury_turns(&["rejected: chat not found"])).await;
    let mut dead = DeadLettersClient::new(desk.door());
    let letter = dead
        .show(DeadShowRequest { sequence: 1 })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (letter.stream.as_str(), letter.subject.as_str()),
        ("TURN", "turn.0.n.main.x")
    );
    assert_eq!((letter.code.as_str(), letter.attempts), ("MSG_002", 1));
    assert_eq!(letter.trace_id, format!("{:032x}", trace.trace_id));
    assert!(
        letter.content.contains("text: rejected: chat not found"),
        "{}",
        letter.content
    );
    assert!(letter.dead_at_ms > 0 && letter.size_bytes > 0 && !letter.advice.is_empty());
    let none = dead
        .show(DeadShowRequest { sequence: 9 })
        .await
        .unwrap_err();
    assert_eq!(none.code(), Code::NotFound);
    desk.close().await;
}

#[tokio::test]
async fn a_replayed_turn_is_the_same_message_with_time_left_to_be_answered() {
    let desk = Desk::open().await;
    let seen: Arc<Mutex<Vec<(u64, Turn)>>> = Arc::default();
    let note = seen.clone();
    let stop = desk.work(
        "TURN",
        vec!["turn.0".into()],
        move |delivery: Delivery<Turn>| {
            let mut seen = note.lock().unwrap();
            seen.push((delivery.sequence, delivery.message));
            if seen.len() > 2 {
                Outcome::Ack
            } else {
                Outcome::Dead("the handler panicked".into())
            }
        },
    );
    let turn = Turn {
        id: "t".into(),
        received_at_ms: 1,
        deadline_ms: 120_001,
        ..Turn::default()
    };
    desk.bus
        .publish("turn.0.n.main.x", "other", &Turn::default())
        .await
        .unwrap();
    desk.bus
        .publish("turn.0.n.main.x", "t", &turn)
        .await
        .unwrap();
    desk.dead(2).await;
    let mut dead = DeadLettersClient::new(desk.door());
    let chosen = DeadSelection {
        sequences: vec![2, 7],
        ..DeadSelection::default()
    };
    let done = replay(&mut dead, chosen).await;
    assert_eq!(
        (done.done, done.failed.len(), done.failed[0].sequence),
        (1, 1, 7)
    );
    let (sequence, again) = eventually("the replay", || async {
        seen.lock().unwrap().get(2).cloned()
    })
    .await;
    assert_eq!(
        (sequence, again.id.as_str()),
        (2, "t"),
        "its sequence is that of the first time"
    );
    assert!(again.deadline_ms > now_ms());
    desk.dead(1).await;
    stop.cancel();
    desk.close().await;
}

/// Something that `ada` said.
fn said(id: &str, text: &str) -> Inbound {
    let part = Part {
        kind: 1,
        text: text.into(),
        ..Part::default()
    };
    let key = format!("loopback:main:{id}");
    let mut address = address("c");
    address.set_kind(ConversationKind::Direct);
    Inbound {
        id: id::of_event(&key),
        dedupe_key: key,
        address: Some(address),
        sender: Some(Sender {
            id: "ada".into(),
            ..Sender::default()
        }),
        body: Some(Body::Said(Said {
            message_id: id.into(),
            parts: vec![part],
            ..Said::default()
        })),
        received_at_ms: now_ms(),
        ..Inbound::default()
    }
}

async fn tell(bus: &Bus, inbound: &Inbound, message_id: &str) -> u64 {
    let key = router::route::session_key(inbound);
    let subject = subject::inbound(bus.partitions(), priority::of(inbound), "loopback", &key);
    bus.publish(&subject, message_id, inbound)
        .await
        .unwrap()
        .sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_inbound_is_let_in_once_though_the_router_has_seen_it() {
    let (desk, redis) = (Desk::open().await, Redis::start());
    let inbound = said("m1", "hello");
    let shards = (0..desk.bus.partitions())
        .map(|part| format!("in.{part}"))
        .collect();
    let buried = desk.work("IN", shards, |_: Delivery<Inbound>| {
        Outcome::Dead("the handler panicked".into())
    });
    let sequence = tell(&desk.bus, &inbound, "m1").await;
    desk.dead(1).await;
    buried.cancel();
    // The router looks before it acts, so its mark is there when a message dies after that.
    let mut cache = redis::Client::open(redis.url())
        .unwrap()
        .get_multiplexed_async_connection()
        .await
        .unwrap();
    let mark = format!("dd:{}", inbound.id);
    let () = redis::cmd("SET")
        .arg(&mark)
        .arg(sequence)
        .query_async(&mut cache)
        .await
        .unwrap();

    let access = router::Access {
        direct: router::Direct::Open,
        ..router::Access::default()
    };
    let access = HashMap::from([("loopback".into(), access)])
        .into_iter()
        .collect();
    let config = router::Config {
        access,
        ..router::Config::default()
    };
    let (ctx, url) = (
        chassis::Context::new(desk.bus.clone(), desk.stop.clone()),
        redis.url(),
    );
    tokio::spawn(async move { router::run(ctx, config, &url).await });
    let turns: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = turns.clone();
    let shards = (0..desk.bus.partitions())
        .map(|part| format!("turn.{part}"))
        .collect();
    desk.work("TURN", shards, move |delivery: Delivery<Turn>| {
        note.lock().unwrap().push(delivery.message.text);
        Outcome::Ack
    });

    let mut dead = DeadLettersClient::new(desk.door());
    assert_eq!(replay(&mut dead, reason("PANICKED")).await.done, 1);
    eventually("the turn", || async {
        (!turns.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    // What the platform itself repeats is still dropped.
    tell(&desk.bus, &inbound, "m1 again").await;
    tell(&desk.bus, &said("m2", "more"), "m2").await;
    eventually("the next turn", || async {
        (turns.lock().unwrap().len() > 1).then_some(())
    })
    .await;
    assert_eq!(*turns.lock().unwrap(), ["hello", "more"]);
    desk.close().await;
}

#[tokio::test]
async fn a_replayed_outbound_sends_what_failed_and_neither_what_was_sent_nor_what_is_unknown() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account
        .start_with(
            &desk,
            Config {
                max_text_chars: 10,
                ..Config::default()
            },
        )
        .await;
    publish(&desk, "o", "one one\n\ntwo two\n\nthree").await;
    let first = account.asked().await;
    assert_eq!(first.text(), "one one");
    first.answer(Answer::Done("1".into()));
    drop(account.asked().await);
    account
        .asked()
        .await
        .answer(Answer::Refused("chat not found".into()));
    desk.dead(1).await;
    // Settled sends are forgotten after a while; a dead letter is not.
    let intents = desk.bus.bucket(Bucket::Intents);
    let newest = intents.newest_revision().await.unwrap();
    intents.forget(newest, |_: &Intent| false).await.unwrap();

    let mut dead = DeadLettersClient::new(desk.door());
    let done = replay(&mut dead, reason("chat not found")).await;
    assert_eq!((done.done, done.left), (1, 0));
    let again = account.asked().await;
    assert_eq!(again.text(), "three");
    again.answer(Answer::Done("3".into()));
    publish(&desk, "next", "next").await;
    assert_eq!(
        account.asked().await.text(),
        "next",
        "nothing else was repeated"
    );
    desk.dead(0).await;
    desk.close().await;
}

#[tokio::test]
async fn letters_are_dropped_by_name_by_reason_or_all_and_never_by_accident() {
    let desk = Desk::open().await;
    desk.bury_turns(&["a", "b", "b", "c", "d"]).await;
    let mut dead = DeadLettersClient::new(desk.door());
    let nothing = dead.drop(DeadSelection::default()).await.unwrap_err();
    assert_eq!(nothing.code(), Code::InvalidArgument);
    let both = DeadSelection {
        sequences: vec![1],
        ..all()
    };
    assert_eq!(
        dead.drop(both).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    let one = DeadSelection {
        sequences: vec![1],
        ..DeadSelection::default()
    };
    assert_eq!(dead.drop(one.clone()).await.unwrap().into_inner().done, 1);
    assert_eq!(dead.drop(one).await.unwrap().into_inner().failed.len(), 1);
    assert_eq!(dead.drop(reason("b")).await.unwrap().into_inner().done, 2);
    // What comes after the call began is not of it.
    let old = DeadSelection { up_to: 4, ..all() };
    assert_eq!(dead.drop(old).await.unwrap().into_inner().done, 1);
    desk.dead(1).await;
    assert_eq!(dead.drop(all()).await.unwrap().into_inner().done, 1);
    desk.dead(0).await;
    desk.close().await;
}
