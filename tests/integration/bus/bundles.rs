//! Records that share a write: every reader gets them one by one, and a crash of the server loses none.

use std::collections::BTreeSet;

use bus::Bus;
use futures_util::{StreamExt, future::try_join_all};
use proto::{
    subject,
    v1::{Event, Sent, event::What},
};
use tests::servers::Nats;

use super::connect;

/// Enough to share writes, however fast the disk.
const MANY: usize = 500;

fn sent(n: usize) -> Event {
    Event {
        id: format!("e{n}"),
        session_key: format!("telegram:dm:{}", n % 2),
        what: Some(What::Sent(Sent::default())),
        ..Event::default()
    }
}

fn ids(wanted: impl Fn(usize) -> bool) -> BTreeSet<String> {
    let wanted = (0..MANY).filter(|n| wanted(*n));
    wanted.map(|n| sent(n).id).collect()
}

async fn record(bus: &Bus, n: usize) -> Result<(), bus::Error> {
    let event = sent(n);
    bus.record(&subject::event(&event), &event.id, &event).await
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_share_a_write_are_read_one_by_one() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let mut live = bus.listen::<Event>(subject::LIVE_EVENTS).await.unwrap();
    try_join_all((0..MANY).map(|n| record(&bus, n)))
        .await
        .unwrap();
    let messages = bus.stream_state("EVENT").await.unwrap().messages;
    assert!(messages < MANY as u64 / 4, "{messages} writes for {MANY}");

    let mut followed = bus.follow::<Event>("EVENT", 0).await.unwrap();
    let (mut last, mut read, mut heard) = ((0, 0), BTreeSet::new(), BTreeSet::new());
    for _ in 0..MANY {
        let record = followed.next().await.unwrap();
        let same = record.sequence == last.0 && record.rest + 1 == last.1;
        assert!(same || (record.sequence == last.0 + 1 && last.1 == 0));
        last = (record.sequence, record.rest);
        let event = record.message.unwrap();
        assert_eq!(record.subject, subject::event(&event));
        read.insert(event.id);
        heard.insert(live.next().await.unwrap().1.id);
    }
    assert_eq!(last.1, 0, "the last one is the last of its write");
    assert_eq!(read, ids(|_| true));
    assert_eq!(heard, read);

    let filter = subject::event(&sent(1));
    let past = bus.past::<Event>("EVENT", &filter, 0).await.unwrap();
    let past = past.into_iter().map(|record| record.message.unwrap().id);
    assert_eq!(past.collect::<BTreeSet<_>>(), ids(|n| n % 2 == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_is_there_after_the_server_was_killed() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let (first, second) = (0..MANY).partition::<Vec<_>, _>(|n| *n < MANY / 2);
    try_join_all(first.into_iter().map(|n| record(&bus, n)))
        .await
        .unwrap();
    let under_way = try_join_all(second.into_iter().map(|n| record(&bus, n)));
    let killed = async {
        nats.kill();
        nats.restart();
        Ok(())
    };
    tokio::try_join!(under_way, killed).unwrap();
    let mut followed = bus.follow::<Event>("EVENT", 0).await.unwrap();
    let mut missing = ids(|_| true);
    while !missing.is_empty() {
        missing.remove(&followed.next().await.unwrap().message.unwrap().id);
    }
}
