//! The whole path: fake Telegram in to fake Telegram out, the model at 0 ms.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tests::stage::{Fakes, Hears, chats, text};

use crate::{machine, start::ms, table::Table};

/// Messages before anything is measured.
const WARM_UP: usize = 200;
/// Time that latency is measured for.
const LATENCY_S: usize = 20;
/// Chats that keep one message in flight each, and how many turns they make.
const CHATS: i64 = 200;
const TURNS: usize = 8_000;

pub(crate) async fn measure(table: &mut Table) {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let gateway = fakes.gateway();
    gateway.ready().await;
    let family = machine::family(gateway.process().pid());
    let chats = chats(CHATS);
    for n in 0..WARM_UP {
        fakes
            .telegram
            .say(chats[n % chats.len()], &text(chats[n % chats.len()], n));
    }
    fakes.telegram.wait_sent_in_all(WARM_UP).await;
    for rate in [50, 100] {
        paced(&fakes, &chats, rate, table).await;
    }
    sustained(&fakes, &chats, &family, table).await;
    let each = machine::memory(&family);
    let parts: Vec<String> = each
        .iter()
        .map(|(name, mb)| format!("{name} {mb:.0}"))
        .collect();
    let total: f64 = each.iter().map(|(_, mb)| mb).sum();
    table.row(
        "resident memory, after the load",
        format!("{total:.0} MB ({})", parts.join(", ")),
        "",
    );
}

/// Says `rate` messages a second, evenly, whatever comes back; latency counts from the moment of saying.
async fn paced(fakes: &Fakes, chats: &[i64], rate: usize, table: &mut Table) {
    let already = fakes.telegram.sent_in_all();
    let skip = fakes.telegram.latencies().len();
    let mut tick = tokio::time::interval(
        Duration::from_secs(1) / u32::try_from(rate).expect("a small number"),
    );
    let count = rate * LATENCY_S;
    for n in 0..count {
        tick.tick().await;
        let chat = chats[n % chats.len()];
        fakes.telegram.say(chat, &text(chat, n));
    }
    fakes.telegram.wait_sent_in_all(already + count).await;
    let mut latencies = fakes.telegram.latencies().split_off(skip);
    latencies.sort_unstable();
    let at = |quantile: f64| ms(latencies[((latencies.len() - 1) as f64 * quantile) as usize]);
    let value = format!(
        "p50 {:.1} ms, p99 {:.1} ms, max {:.0} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
    let aim = if rate == 50 {
        "p50 < 15, p99 < 60"
    } else {
        "p50 < 10, p99 < 50"
    };
    table.row(&format!("added latency at {rate} messages/s"), value, aim);
}

/// Each chat says its next message when it is answered.
async fn sustained(fakes: &Fakes, chats: &[i64], family: &[(u32, String)], table: &mut Table) {
    let (before, begun) = (machine::cpu_each(family), Instant::now());
    let each = TURNS / chats.len();
    let mut told = fakes.telegram.told();
    let mut said: HashMap<i64, usize> = chats.iter().map(|chat| (*chat, 1)).collect();
    for chat in chats {
        fakes.telegram.say(*chat, &text(*chat, 0));
    }
    for _ in 0..each * chats.len() {
        let chat = told.recv().await.expect("the fake runs");
        let n = said.entry(chat).or_default();
        if *n < each {
            fakes.telegram.say(chat, &text(chat, *n));
            *n += 1;
        }
    }
    let (took, after) = (begun.elapsed(), machine::cpu_each(family));
    let turns = (each * chats.len()) as f64;
    let parts: Vec<(String, f64)> = before
        .iter()
        .zip(&after)
        .map(|((name, before), (_, after))| (name.clone(), ms(*after - *before) / turns))
        .collect();
    let total: f64 = parts.iter().map(|(_, ms)| ms).sum();
    let parts: Vec<String> = parts
        .iter()
        .map(|(name, ms)| format!("{name} {ms:.2}"))
        .collect();
    table.row(
        &format!("sustained, {CHATS} chats"),
        format!("{:.0} turns/s", turns / took.as_secs_f64()),
        "> 300",
    );
    table.row(
        "processor a turn",
        format!("{total:.2} ms ({})", parts.join(", ")),
        "< 4 ms",
    );
}
