//! More work than can be done: high stays fast, low still moves.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bus::{Bus, Delivery, Outcome, Source, consume};
use proto::v1::{Priority, Turn};
use tests::servers::Nats;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{start::ms, table::Table};

/// Messages a second of critical, high, normal and low: 146 % of what can be done.
const OFFERED: [u32; 4] = [5, 60, 250, 123];
/// Messages a second that the handler can do.
const CAPACITY: u32 = 300;
const FOR: Duration = Duration::from_secs(15);

pub(crate) async fn measure(table: &mut Table) {
    let nats = Nats::start();
    let settings = bus::Settings {
        partitions: 1,
        ..nats.settings()
    };
    let bus = Bus::connect(settings).await.expect("the bus");
    let stop = CancellationToken::new();
    let waits: Arc<Mutex<[Vec<Duration>; 4]>> = Arc::default();
    let worker = tokio::spawn(work(bus.clone(), stop.clone(), waits.clone()));
    let begun = Instant::now();
    let senders = Priority::ALL
        .into_iter()
        .zip(OFFERED)
        .map(|(priority, rate)| {
            let bus = bus.clone();
            tokio::spawn(async move {
                let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
                let mut n = 0_u64;
                while begun.elapsed() < FOR {
                    tick.tick().await;
                    n += 1;
                    let key = format!("loopback:dm:{}", n % 50);
                    let id = format!("{}{n}", priority.letter());
                    let turn = Turn {
                        id: id.clone(),
                        session_key: key.clone(),
                        received_at_ms: now_ms(),
                        ..Turn::default()
                    };
                    let subject = proto::subject::turn(1, priority, "main", &key);
                    bus.publish(&subject, &id, &turn).await.expect("stored");
                }
            })
        });
    futures_util::future::join_all(senders).await;
    stop.cancel();
    worker.await.expect("worker");
    let waits = waits.lock().expect("not poisoned");
    for (n, name) in ["critical", "high", "normal", "low"]
        .into_iter()
        .enumerate()
    {
        let mut waits = waits[n].clone();
        waits.sort_unstable();
        let Some(last) = waits.len().checked_sub(1) else {
            continue;
        };
        let p99 = ms(waits[last * 99 / 100]);
        let done = waits.len() as f64 / FOR.as_secs_f64();
        let value = format!(
            "{done:.0} of {} a second, p50 {:.1} ms, p99 {p99:.1} ms",
            OFFERED[n],
            ms(waits[last / 2])
        );
        let aim = ["fast", "fast", "", "still moves"][n];
        table.row(&format!("146 % load: {name}"), value, aim);
    }
}

async fn work(bus: Bus, stop: CancellationToken, waits: Arc<Mutex<[Vec<Duration>; 4]>>) {
    let source = Source {
        in_hand: 4,
        ..Source::partitions(&bus, "TURN", "bench")
    };
    // One permit every few milliseconds: the capacity.
    let permits = Arc::new(Semaphore::new(0));
    let clock = {
        let (permits, stop) = (permits.clone(), stop.clone());
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1) / CAPACITY);
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                if permits.available_permits() < 4 {
                    permits.add_permits(1);
                }
            }
            permits.close();
        })
    };
    let handle = |delivery: Delivery<Turn>| {
        let (permits, waits) = (permits.clone(), waits.clone());
        async move {
            let Ok(permit) = permits.acquire().await else {
                return Outcome::Retry(Duration::from_secs(60));
            };
            permit.forget();
            let waited = now_ms() - delivery.message.received_at_ms;
            let letter = delivery.message.id.chars().next().unwrap_or('n');
            let n = Priority::ALL
                .iter()
                .position(|priority| priority.letter() == letter)
                .unwrap_or(2);
            waits.lock().expect("not poisoned")[n]
                .push(Duration::from_millis(u64::try_from(waited).unwrap_or(0)));
            Outcome::Ack
        }
    };
    let lane = |turn: &Turn| turn.session_key.clone();
    consume(&bus, source, &stop, lane, handle)
        .await
        .expect("the bus");
    clock.await.expect("clock");
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(0)
}
