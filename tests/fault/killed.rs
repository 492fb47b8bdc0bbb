//! One fault for each promise, chosen so that it is sure to be seen when the promise is not kept.
//!
//! `./gateway sabotage` breaks the promises one by one and runs these; docs/FAULTS.md says what was seen.

use std::time::Duration;

use tests::{
    chaos::{
        fault::Fault,
        judge::settle,
        load::Load,
        round::{judged, round},
        system::System,
        table::Table,
    },
    process::lasting,
    stage::Hears,
};

use crate::webhook;

/// People who write.
const CHATS: i64 = 25;
/// Long enough to fetch updates, and shorter than the lease, after which the adapter would let them go itself.
const IN_HAND: Duration = Duration::from_millis(500);

fn assert_kept(table: Table) {
    eprintln!("{table}");
    assert!(table.broken().is_empty(), "{:#?}", table.broken());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_told_survives_the_adapter() {
    let system = System::start(Hears::Polling).await;
    let (load, chats) = (Load::default(), system.fresh_chats(CHATS));
    load.burst(&system, &chats, 0..1);
    settle(&system, &load).await;
    // Now the adapter does nothing but wait for updates: what comes next is fetched, and cannot be stored.
    system.stage.nats.kill();
    load.burst(&system, &chats, 1..4);
    lasting(IN_HAND).await;
    eprintln!("DEBUG waiting {} polls {:?}", system.stage.telegram.waiting(), system.stage.telegram.calls("getUpdates").iter().rev().take(4).map(|c| c.params.to_string()).collect::<Vec<_>>());
    system.kill("telegram");
    system.stage.nats.restart();
    assert_kept(Table(vec![
        judged(
            &system,
            &load,
            "telegram: SIGKILL with updates in hand".into(),
            false,
        )
        .await,
    ]));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_stand_in_the_order_of_the_questions() {
    let system = System::start(Hears::Polling).await;
    assert_kept(Table(vec![round(&system, Fault::Kill("router")).await]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_told_three_times_is_answered_once() {
    let system = System::start(Hears::Webhook).await;
    assert_kept(Table(vec![webhook::told_three_times(&system).await]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_may_be_there_is_not_sent_again() {
    let system = System::start(Hears::Polling).await;
    let row = round(&system, Fault::DiesInMidSend).await;
    let unknown = row.verdict.unknown;
    assert_kept(Table(vec![row]));
    assert!(
        unknown > 0,
        "nothing was in mid-send: the test shows nothing"
    );
}
