//! Sends traces to an OpenTelemetry collector, if one is named.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracerProvider, Tracer};
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Where the collector is, as OpenTelemetry calls it everywhere.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The export of this process's traces; what is left is sent when it is dropped.
#[derive(Debug)]
pub(crate) struct Export(SdkTracerProvider);

impl Export {
    /// Starts the export if the environment names a collector.
    pub(crate) fn from_environment(service: &str) -> Option<Self> {
        std::env::var_os(ENDPOINT).filter(|endpoint| !endpoint.is_empty())?;
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .build();
        let exporter = match exporter {
            Ok(exporter) => exporter,
            Err(error) => {
                // Logs have not begun yet.
                eprintln!("traces are not exported: {ENDPOINT}: {error}");
                return None;
            }
        };
        let name = Resource::builder().with_service_name(service.to_owned());
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(name.build())
            .build();
        Some(Self(provider))
    }

    /// Turns `tracing` spans into exported ones.
    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, Tracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        OpenTelemetryLayer::new(self.0.tracer("openclaw"))
    }
}

impl Drop for Export {
    fn drop(&mut self) {
        // The collector may be gone; a process that ends has nobody to tell.
        let _ = self.0.shutdown();
    }
}
