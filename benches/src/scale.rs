//! Cost as work grows: more sessions, more replicas, a long run.

use std::time::{Duration, Instant};

use tests::{
    gateway::Service,
    stage::{Fakes, Hears, Stage, chats, text},
};

use crate::{machine, start::ms, table::Table};

/// Sessions, each with one message.
const SESSIONS: [i64; 3] = [1_000, 10_000, 100_000];
/// Copies of router and agent-bridge.
const REPLICAS: [usize; 3] = [1, 2, 4];
/// Messages a second of the long run, and how many.
const LONG_RATE: u32 = 200;
const LONG: usize = 100_000;
/// Messages that may be on their way at once.
const IN_FLIGHT: usize = 300;

/// Each of many people says one thing.
pub(crate) async fn sessions(table: &mut Table) {
    for count in SESSIONS {
        let fakes = Fakes::set(Hears::Polling, "").await;
        let gateway = fakes.gateway();
        gateway.ready().await;
        let family = machine::family(gateway.process().pid());
        let (cpu, begun) = (machine::cpu(&family), Instant::now());
        for (n, chat) in chats(count).into_iter().enumerate() {
            fakes.telegram.say(chat, &text(chat, 0));
            if n % IN_FLIGHT == 0 {
                fakes
                    .telegram
                    .wait_sent_in_all(n.saturating_sub(IN_FLIGHT))
                    .await;
            }
        }
        let count = usize::try_from(count).unwrap_or_default();
        fakes.telegram.wait_sent_in_all(count).await;
        report(
            &format!("{count} sessions"),
            count,
            begun.elapsed(),
            machine::cpu(&family) - cpu,
            &family,
            table,
        );
    }
}

/// The same load on one, two and four of each service, in processes of their own.
pub(crate) async fn replicas(table: &mut Table) {
    for copies in REPLICAS {
        let stage = Stage::set(Hears::Polling, "").await;
        let names = ["telegram", "ledger"].into_iter();
        let scaled = ["router", "agent-bridge"]
            .into_iter()
            .flat_map(|name| std::iter::repeat_n(name, copies));
        let services: Vec<Service> = names
            .chain(scaled)
            .map(|name| stage.service(name))
            .collect();
        for service in &services {
            service.ready().await;
        }
        let mut family: Vec<_> = services
            .iter()
            .flat_map(|service| machine::family(service.process().pid()))
            .collect();
        family.extend(machine::family(stage.nats.pid()));
        family.extend(machine::family(stage.redis.pid()));
        let (cpu, begun, count) = (machine::cpu(&family), Instant::now(), 5_000);
        for n in 0..count {
            let chat = 1001 + i64::try_from(n % 200).unwrap_or_default();
            stage.telegram.say(chat, &text(chat, n));
            if n % IN_FLIGHT == 0 {
                stage
                    .telegram
                    .wait_sent_in_all(n.saturating_sub(IN_FLIGHT))
                    .await;
            }
        }
        stage.telegram.wait_sent_in_all(count).await;
        report(
            &format!("{copies} of each service"),
            count,
            begun.elapsed(),
            machine::cpu(&family) - cpu,
            &family,
            table,
        );
    }
}

/// A hundred thousand messages at an even pace: does anything grow?
pub(crate) async fn long(table: &mut Table) {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let gateway = fakes.gateway();
    gateway.ready().await;
    let family = machine::family(gateway.process().pid());
    let mut tick = tokio::time::interval(Duration::from_secs(1) / LONG_RATE);
    let mut first = Vec::new();
    for n in 0..LONG {
        tick.tick().await;
        let chat = 1001 + i64::try_from(n % 500).unwrap_or_default();
        fakes.telegram.say(chat, &text(chat, n));
        if n == LONG / 10 {
            first = machine::memory(&family);
        }
    }
    fakes.telegram.wait_sent_in_all(LONG).await;
    for ((name, before), (_, after)) in first.iter().zip(machine::memory(&family)) {
        let grown = 100.0 * (after - before) / before;
        let value = format!("{before:.0} MB, then {after:.0} MB ({grown:+.0} %)");
        table.row(
            &format!("memory of {name}, {} and {LONG} messages", LONG / 10),
            value,
            "within 20 %",
        );
    }
}

fn report(
    what: &str,
    count: usize,
    took: Duration,
    cpu: Duration,
    family: &[(u32, String)],
    table: &mut Table,
) {
    let memory: f64 = machine::memory(family).iter().map(|(_, mb)| mb).sum();
    let (rate, cost) = (count as f64 / took.as_secs_f64(), ms(cpu) / count as f64);
    table.row(
        what,
        format!("{rate:.0} turns/s, {cost:.2} CPU-ms a turn, {memory:.0} MB"),
        "",
    );
}
