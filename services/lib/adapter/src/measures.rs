//! Every metric of an adapter; `account` is `<platform>.<account>`.

use std::time::Duration;

use proto::v1::ConnectionState;

use crate::status::Count;

/// State of the connection, as numbered in `ConnectionState`.
pub(crate) fn state(account: &str, state: ConnectionState) {
    metrics::gauge!("openclaw_adapter_state", "account" => account.to_owned())
        .set(f64::from(state as i32));
}

/// One more event heard, chunk sent, or outbound or chunk that did not certainly arrive.
pub(crate) fn message(account: &str, what: Count) {
    let name = match what {
        Count::Received => "openclaw_adapter_received_total",
        Count::Sent => "openclaw_adapter_sent_total",
        Count::Failed => "openclaw_adapter_failed_total",
    };
    metrics::counter!(name, "account" => account.to_owned()).increment(1);
}

/// What a call of the platform came to: sent, rate_limited, unavailable, unknown, rejected, unauthorized; or that an
/// unknown one is held.
pub(crate) fn call(account: String, action: &'static str, outcome: &'static str) {
    metrics::counter!("openclaw_adapter_calls_total", "account" => account, "action" => action, "outcome" => outcome)
        .increment(1);
}

/// How long a call of the platform took.
pub(crate) fn took(account: String, time: Duration) {
    metrics::histogram!("openclaw_adapter_call_seconds", "account" => account)
        .record(time.as_secs_f64());
}

/// The breaker opened: nothing is sent for a while.
pub(crate) fn breaker_opened(account: String) {
    metrics::counter!("openclaw_adapter_breaker_opened_total", "account" => account).increment(1);
}
