//! One fault for each promise, chosen so that it is sure to be seen when the promise is not kept.
//!
//! `./gateway sabotage` breaks the promises one by one and runs these; docs/FAULTS.md says what was seen.

use tests::{
    chaos::{fault::Fault, round::round, system::System, table::Table},
    stage::Hears,
};

use crate::webhook;

fn assert_kept(table: Table) {
    eprintln!("{table}");
    assert!(table.broken().is_empty(), "{:#?}", table.broken());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_platform_told_survives_the_adapter() {
    let system = System::start(Hears::Polling).await;
    assert_kept(Table(vec![round(&system, Fault::DiesWhileNatsHangs).await]));
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
