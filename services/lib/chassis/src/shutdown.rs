//! Hears when the process is told to stop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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

/// Has the process begin anew: it stops as at a signal, and whoever runs it starts the program again in its place.
#[derive(Clone, Debug)]
pub struct Again {
    stop: CancellationToken,
    wanted: Arc<AtomicBool>,
}

impl Again {
    /// Begins anew by way of `stop`, the token of [`listen`].
    pub fn new(stop: &CancellationToken) -> Self {
        Self {
            stop: stop.clone(),
            wanted: Arc::default(),
        }
    }

    /// Stops, to begin anew.
    pub fn begin(&self) {
        info!("told to begin anew");
        self.wanted.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    /// Whether the stop is to be followed by a new beginning.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }
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
