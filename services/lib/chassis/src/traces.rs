//! Sends traces to an OpenTelemetry collector, if one is named.

use opentelemetry::trace::{SpanId, TraceId, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracerProvider, Tracer};
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
            .with_id_generator(Ids(RandomIdGenerator::default()))
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

/// Gives spans the trace of the message in hand, so that a message's way through all services is
/// one trace.
#[derive(Debug)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        match bus::trace::current() {
            Some(trace) => TraceId::from(trace.trace_id),
            None => self.0.new_trace_id(),
        }
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn spans_belong_to_the_trace_of_the_message_in_hand() {
        let ids = Ids(RandomIdGenerator::default());
        let trace = bus::trace::Trace::begin();
        let within = bus::trace::scope(trace, async { ids.new_trace_id() }).await;
        assert_eq!(within, TraceId::from(trace.trace_id));
        assert_ne!(ids.new_trace_id(), within);
    }
}
