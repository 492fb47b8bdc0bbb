//! One fault for each promise, chosen so that it is sure to be seen when the promise is not kept.
//!
//! `./gateway sabotage` breaks the promises one by one and runs these. Tried on 2026-11-20, each time with the other
//! promises kept:
//!
//! | broken | what it does | what was seen |
//! |---|---|---|
//! | nothing | | 4 of 4 pass |
//! | `offset` | Telegram is told to forget an update before the bus has it | 75 of 75 updates in hand lost |
//! | `order` | each message is a lane of its own | up to 75 of 200 answers out of order, all 4 tests fail |
//! | `dedupe` | the router looks at no repetition, and each event gets a new id | 200 updates, 400 answers too many |
//! | `intents` | no record is kept of a send | 1 to 3 of 200 answers twice after a kill in mid-send |

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
    eventually::eventually,
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
    // When the adapter does nothing but wait for updates, what comes next is fetched, and cannot be stored.
    let next = load.said().iter().map(|said| said.update_id + 1).max();
    eventually("the adapter to ask for what comes next", || async {
        let asked = system.stage.telegram.calls("getUpdates").pop()?.params;
        (asked["offset"].as_i64() == next && asked["limit"] != 1).then_some(())
    })
    .await;
    system.stage.nats.kill();
    load.burst(&system, &chats, 1..4);
    lasting(IN_HAND).await;
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
