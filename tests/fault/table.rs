//! The table of faults and promises: every fault, one after the other, on systems that live through all of them.
//!
//! `OPENCLAW_FAULTS=nats` tries only those with this in their name.

use bus::Bucket;
use proto::v1::Intent;
use tests::{
    chaos::{
        clock::Clock,
        fault::Fault,
        round::{round, round_named},
        system::System,
        table::{Row, Table},
    },
    servers::Nats,
    stage::Hears,
};

use crate::{disk, webhook};

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_each_message_is_answered_once_and_in_order() {
    let started = std::time::Instant::now();
    // Side by side: most of the time they wait for something to heal.
    let (mut rows, more) = tokio::join!(polling(), others());
    rows.extend(more);
    let table = Table(rows);
    eprintln!(
        "\n{table}\n{} faults in {:.0?}",
        table.0.len(),
        started.elapsed()
    );
    assert!(table.broken().is_empty(), "{:#?}", table.broken());
}

async fn polling() -> Vec<Row> {
    let system = System::start(Hears::Polling).await;
    let mut rows = Vec::new();
    let only = std::env::var("OPENCLAW_FAULTS").unwrap_or_default();
    for fault in Fault::all()
        .into_iter()
        .filter(|fault| fault.to_string().contains(&only))
    {
        rows.push(round(&system, fault).await);
        if fault.concerns_the_model() {
            // Who found the model down leaves it alone for half a minute; a new process knows nothing of that.
            system.renew("agent-bridge").await;
        }
    }
    rows
}

async fn others() -> Vec<Row> {
    if std::env::var_os("OPENCLAW_FAULTS").is_some() {
        return Vec::new();
    }
    let mut rows = called().await;
    rows.extend(with_a_clock_that_jumps().await);
    rows.extend(disk::full().await);
    rows
}

async fn called() -> Vec<Row> {
    let system = System::start(Hears::Webhook).await;
    let mut rows = vec![
        webhook::told_three_times(&system).await,
        webhook::told_in_another_order(&system).await,
    ];
    for fault in [
        Fault::Kill("telegram"),
        Fault::End("telegram"),
        Fault::NatsDies,
        Fault::NatsHangs,
    ] {
        rows.push(round_named(&system, fault, format!("webhook; {fault}")).await);
    }
    rows
}

async fn with_a_clock_that_jumps() -> Vec<Row> {
    let Some(clock) = Clock::find() else {
        eprintln!("SKIPPED: clock jumps need libfaketime; `./gateway test` installs it on Debian");
        return Vec::new();
    };
    let system = System::start_on(Nats::start(), Hears::Polling, Some(clock)).await;
    let mut rows = Vec::new();
    for hours in [1, -1] {
        rows.push(round(&system, Fault::Clock(hours)).await);
        assert!(
            jumped(&system, hours).await,
            "the clock never showed {hours:+} h: the test shows nothing"
        );
    }
    rows
}

/// Whether some answer was sent at a time at least half as far away.
async fn jumped(system: &System, hours: i64) -> bool {
    let now = chassis::clock::now_ms();
    let all = system
        .bus
        .bucket(Bucket::Intents)
        .all::<Intent>()
        .await
        .expect("intents");
    let half = hours * 3_600_000 / 2;
    all.iter().any(|(_, intent, _)| {
        if hours > 0 {
            intent.at_ms > now + half
        } else {
            intent.at_ms < now + half
        }
    })
}
