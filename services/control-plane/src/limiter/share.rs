//! Tells other replicas of guesses, and counts theirs: whoever is locked out of one is locked out of all.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt};
use proto::{subject, v1::Guess};

use crate::gateway::Gateway;

/// How long the bus may take before a guess is counted here alone.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before the bus is listened to again.
const BREATH: Duration = Duration::from_secs(1);

/// What other replicas tell of guesses, heard from the moment this exists.
pub(crate) struct Heard(Pin<Box<dyn Stream<Item = (String, Guess)> + Send>>);

impl Heard {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn begin(gateway: &Gateway) -> Result<Self, bus::Error> {
        let guesses = gateway.bus.listen(subject::GUESS).await?;
        Ok(Self(Box::pin(guesses)))
    }
}

/// Shares guesses until the gateway stops. Nobody waits for it: a slow bus only makes others hear later.
pub(crate) async fn share(gateway: &Gateway, mut heard: Heard) {
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
            while let Some((_, guess)) = heard.0.next().await {
                gateway.limiter.heard(&guess, Instant::now());
            }
            tokio::time::sleep(BREATH).await;
            if let Ok(anew) = Heard::begin(gateway).await {
                heard = anew;
            }
        }
    };
    tokio::select! {
        () = gateway.stop.cancelled() => {}
        () = telling => {}
        () = hearing => {}
    }
}
