//! The frame every service stands in: settings, logs, traces, metrics, health, shutdown.

use bus::Bus;
use tokio_util::sync::CancellationToken;

pub use ready::Ready;
pub use secret::Secret;

pub mod breaker;
pub mod clock;
pub mod frame;
pub mod health;
pub mod log;
pub mod metrics;
mod ready;
mod secret;
pub mod settings;
pub mod shutdown;
mod traces;

/// What a service is given to live with: nothing else is global.
#[derive(Clone)]
pub struct Context {
    /// Carries messages to and from the other services.
    pub bus: Bus,
    /// Cancelled when the service is to finish what it has in hand and return.
    pub stop: CancellationToken,
    /// Dropped by the service once it serves; see [`Ready`].
    pub ready: Ready,
}

impl Context {
    /// Makes a context that nobody asks whether it is ready, as tests want it.
    pub fn new(bus: Bus, stop: CancellationToken) -> Self {
        let (ready, _) = Ready::new("service");
        Self { bus, stop, ready }
    }
}
