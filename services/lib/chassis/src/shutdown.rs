//! Hears when the process is told to stop.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long services may take to finish what they have in hand.
pub const GRACE: Duration = Duration::from_secs(10);

/// What a process that was told twice leaves with.
const TOLD_TWICE: i32 = 130;

/// Listens for SIGINT and SIGTERM: the first cancels the returned token, the second ends the
/// process at once.
///
/// # Errors
/// When the system lets us hear no signals.
pub fn listen() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let told = stop.clone();
    tokio::spawn(async move {
        let signal = signals.next().await;
        info!(signal, "told to stop");
        told.cancel();
        let signal = signals.next().await;
        warn!(signal, "told to stop again: ending at once");
        std::process::exit(TOLD_TWICE);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

#[cfg(not(unix))]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(not(unix))]
impl Signals {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> &'static str {
        self.0.recv().await;
        "Ctrl-C"
    }
}
