//! From the command to the first answer, and what it then takes.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tests::{
    gateway::Gateway,
    stage::{Fakes, GATEWAY_TOKEN, Hears},
};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::{machine, table::Table};

/// Starts measured; the median counts.
const STARTS: usize = 5;
/// Rest before memory is read.
const REST: Duration = Duration::from_secs(5);

pub(crate) async fn measure(table: &mut Table) {
    let mut times = Vec::new();
    for n in 0..STARTS {
        let fakes = Fakes::set(Hears::Polling, "").await;
        let begun = Instant::now();
        let gateway = fakes.gateway();
        health(&gateway).await;
        times.push(begun.elapsed());
        if n + 1 == STARTS {
            gateway.ready().await;
            tokio::time::sleep(REST).await;
            idle(&gateway, table).await;
        }
    }
    times.sort_unstable();
    let span = format!(
        "{:.0} ms ({:.0} to {:.0})",
        ms(times[STARTS / 2]),
        ms(times[0]),
        ms(times[STARTS - 1])
    );
    table.row(
        "cold start to the first WebSocket health",
        span,
        "< 1000 ms",
    );
}

async fn idle(gateway: &Gateway, table: &mut Table) {
    let family = machine::family(gateway.process().pid());
    let each = machine::memory(&family);
    let total: f64 = each.iter().map(|(_, mb)| mb).sum();
    let parts: Vec<String> = each
        .iter()
        .map(|(name, mb)| format!("{name} {mb:.0}"))
        .collect();
    table.row(
        "resident memory, idle",
        format!("{total:.0} MB ({})", parts.join(", ")),
        "< 100 MB",
    );
    let before = machine::cpu(&family);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let used = machine::cpu(&family) - before;
    table.row(
        "processor, idle",
        format!("{:.1} % of a core", ms(used) / 100.0),
        "",
    );
}

/// Asks for `health` until it is answered.
async fn health(gateway: &Gateway) {
    loop {
        if let Some(true) = ask(gateway).await {
            return;
        }
        gateway.process().assert_runs();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn ask(gateway: &Gateway) -> Option<bool> {
    let (mut socket, _) = connect_async(gateway.ws()).await.ok()?;
    let client = json!({"id": "cli", "version": "0", "platform": "linux", "mode": "cli"});
    let connect = json!({"minProtocol": 4, "maxProtocol": 4, "client": client, "role": "operator",
        "scopes": ["operator.read"], "auth": {"token": GATEWAY_TOKEN}});
    for (id, method, params) in [("1", "connect", connect), ("2", "health", json!({}))] {
        let frame = json!({"type": "req", "id": id, "method": method, "params": params});
        socket.send(Message::text(frame.to_string())).await.ok()?;
        let answer = loop {
            let frame: Value =
                serde_json::from_str(socket.next().await?.ok()?.to_text().ok()?).ok()?;
            if frame["id"] == id {
                break frame;
            }
        };
        if answer["ok"] != true {
            return Some(false);
        }
    }
    Some(true)
}

pub(crate) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
