//! Tells other replicas of guesses, and counts theirs: whoever is locked out of one is locked out of all.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use proto::{subject, v1::Guess};

use crate::gateway::Gateway;

/// How long the bus may take before a guess is counted here alone.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before the bus is listened to again.
const BREATH: Duration = Duration::from_secs(1);

/// Shares guesses until the gateway stops. Nobody waits for it: a slow bus only makes others hear later.
pub(crate) async fn share(gateway: &Gateway) {
    let telling = async {
        loop {
            let guess = gateway.limiter.untold().await;
            let told = gateway.bus.tell(subject::GUESS, &guess);
            if !matches!(tokio::time::timeout(PATIENCE, told).await, Ok(Ok(()))) {
                tracing::debug!("other replicas do not hear of a guess");
            }
        }
    };
    let hearing = async {
        loop {
            if let Ok(mut guesses) = gateway.bus.listen::<Guess>(subject::GUESS).await {
                while let Some((_, guess)) = guesses.next().await {
                    gateway.limiter.heard(&guess, Instant::now());
                }
            }
            tokio::time::sleep(BREATH).await;
        }
    };
    tokio::select! {
        () = gateway.stop.cancelled() => {}
        () = telling => {}
        () = hearing => {}
    }
}
