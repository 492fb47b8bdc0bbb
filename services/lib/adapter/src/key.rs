//! The name of the send in hand, for platforms that drop what they have seen before.

tokio::task_local! {
    static KEY: String;
}

/// Name of the action that [`Adapter::send`](crate::Adapter::send) is doing: 32 hex digits, the same whenever the same
/// action is tried again. Empty outside of it.
///
/// Platforms with a key of their own (a nonce, a request id) get it from here; see
/// [`Capabilities::idempotent`](crate::Capabilities::idempotent).
#[must_use]
pub fn key() -> String {
    KEY.try_with(Clone::clone).unwrap_or_default()
}

/// Runs one send under its name.
pub(crate) async fn scope<F: Future>(intent: &str, send: F) -> F::Output {
    KEY.scope(proto::id::of_event(intent), send).await
}
