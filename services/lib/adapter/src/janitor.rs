//! Forgets settled sends that nothing can ask for again, so that the bus does not grow with every message.

use std::{collections::VecDeque, time::Duration};

use bus::{Bucket, Bus, Error};
use chassis::clock::now_ms;
use proto::v1::{Intent, IntentState};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// How often it looks.
const ROUND: Duration = Duration::from_secs(60);
/// A send is kept for at least this long after it is settled, whatever the streams say.
const AT_LEAST_MS: i64 = 2 * 60 * 1000;
/// What an operator has not decided about for so long is forgotten like the rest.
const UNDECIDED_MS: i64 = 3 * 24 * 60 * 60 * 1000;
/// The streams whose messages may bring a send up again.
const ASKING: [&str; 3] = ["IN", "TURN", "OUT"];

/// Forgets once a minute, until `stop`; of all processes that do, one at a time.
///
/// # Errors
/// As [`bus::owned`].
pub(crate) async fn run(bus: &Bus, stop: &CancellationToken) -> Result<(), Error> {
    bus::owned(
        bus,
        "janitor",
        "janitor.intents",
        stop,
        |_, drain: CancellationToken| async move {
            // When which revision was the newest: what is at or below it is older than that.
            let mut marks: VecDeque<(i64, u64)> = VecDeque::new();
            while drain
                .run_until_cancelled(tokio::time::sleep(ROUND))
                .await
                .is_some()
            {
                if let Err(error) = round(bus, &mut marks).await {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "settled sends are forgotten later"
                    );
                }
            }
        },
    )
    .await
}

async fn round(bus: &Bus, marks: &mut VecDeque<(i64, u64)>) -> Result<(), Error> {
    let intents = bus.bucket(Bucket::Intents);
    let mut safe_ms = now_ms() - AT_LEAST_MS;
    for stream in ASKING {
        let state = bus.stream_state(stream).await?;
        if state.messages > 0 {
            safe_ms = safe_ms.min(state.oldest_ms - AT_LEAST_MS);
        }
    }
    let mut through = None;
    while let Some((at_ms, revision)) = marks.front().copied().filter(|(at_ms, _)| *at_ms < safe_ms)
    {
        debug!(at_ms, revision, "settled sends up to here are forgotten");
        through = Some(revision);
        marks.pop_front();
    }
    marks.push_back((now_ms(), intents.newest_revision().await?));
    if let Some(revision) = through {
        let undecided_since_ms = now_ms() - UNDECIDED_MS;
        let open = |intent: &Intent| {
            // `sending` is the last record of most that were sent: nothing waits to be sent any more.
            matches!(intent.state(), IntentState::Queued | IntentState::Unknown)
                && intent.at_ms > undecided_since_ms
        };
        intents.forget(revision, open).await?;
    }
    Ok(())
}
