//! Buckets: compare and swap, changes as they come, old records forgotten.

use bus::{Bucket, Mirror};
use futures_util::StreamExt;
use proto::v1::Connection;
use tests::servers::Nats;

use super::connect;

fn named(name: &str) -> Connection {
    Connection {
        display_name: name.into(),
        ..Connection::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_compares_and_swaps_and_tells_changes() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let bucket = bus.bucket(Bucket::Connections);
    assert!(bucket.get::<Connection>("a.b").await.unwrap().is_none());
    let revision = bucket.create("a.b", &named("one")).await.unwrap().unwrap();
    assert!(bucket.create("a.b", &named("two")).await.unwrap().is_none());
    assert!(
        bucket
            .update("a.b", &named("two"), revision + 7)
            .await
            .unwrap()
            .is_none()
    );
    bucket
        .update("a.b", &named("two"), revision)
        .await
        .unwrap()
        .unwrap();
    let mut changes = bucket.watch::<Connection>().await.unwrap();
    assert_eq!(changes.next().await.unwrap().1.unwrap().display_name, "two");
    bucket.delete("a.b").await.unwrap();
    assert_eq!(changes.next().await.unwrap(), ("a.b".into(), None));
    assert!(
        bucket
            .create("a.b", &named("three"))
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(bucket.all::<Connection>().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_are_forgotten_but_those_that_are_wanted() {
    let nats = Nats::start();
    let bus = connect(&nats).await;
    let bucket = bus.bucket(Bucket::Connections);
    for name in ["old", "kept", "older"] {
        bucket.put(name, &named(name)).await.unwrap();
    }
    let revision = bucket.newest_revision().await.unwrap();
    bucket.put("new", &named("new")).await.unwrap();
    bucket.put("older", &named("renewed")).await.unwrap();
    let kept = bucket
        .forget(revision, |record: &Connection| {
            record.display_name == "kept"
        })
        .await
        .unwrap();
    assert_eq!(kept, 1);
    let mut left: Vec<_> = bucket
        .all::<Connection>()
        .await
        .unwrap()
        .into_iter()
        .map(|(key, ..)| key)
        .collect();
    left.sort();
    assert_eq!(left, ["kept", "new", "older"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mirrors_change_the_same_record_and_nothing_is_lost() {
    let nats = Nats::start();
    let (one, two) = (connect(&nats).await, connect(&nats).await);
    let one = Mirror::<Connection>::load(&one, Bucket::Connections).await;
    let two = Mirror::<Connection>::load(&two, Bucket::Connections).await;
    let (one, two) = (one.unwrap(), two.unwrap());
    let mut told = Vec::new();
    let writing = async |mirror: &Mirror<Connection>| {
        for _ in 0..50 {
            let count = |found: Option<&Connection>| {
                let attempts = found.map_or(0, |found| found.attempts) + 1;
                let counted = Connection {
                    attempts,
                    ..Connection::default()
                };
                Ok::<_, bus::Error>(Some(counted))
            };
            mirror.change("n", count).await.unwrap();
        }
    };
    let both = async {
        tokio::join!(writing(&one), writing(&two));
        for mirror in [&one, &two] {
            mirror.catch_up().await;
            assert_eq!(mirror.find("n").unwrap().attempts, 100);
        }
        let gone = one.change("n", |_| Ok::<_, bus::Error>(None)).await;
        assert!(gone.unwrap().is_none());
        two.catch_up().await;
        assert!(two.find("n").is_none() && two.all().is_empty());
    };
    tokio::select! {
        () = both => {}
        ended = one.keep_up(|_| ()) => ended.unwrap(),
        ended = two.keep_up(|key| told.push(key.to_owned())) => ended.unwrap(),
    }
    assert!(told.iter().all(|key| key == "n") && told.len() > 1);
}
