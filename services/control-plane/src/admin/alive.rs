//! Health of the admin API as gRPC tools ask for it: it serves while it has the bus.

use std::{convert::Infallible, time::Duration};

use bus::Bus;
use tonic_health::{ServingStatus, server::HealthReporter};

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The name that stands for the server as a whole.
const WHOLE: &str = "";

/// Tells how it is, for ever.
pub(super) async fn tell(bus: &Bus, reporter: HealthReporter) -> Infallible {
    loop {
        let status = match bus.connected() {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        };
        reporter.set_service_status(WHOLE, status).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
