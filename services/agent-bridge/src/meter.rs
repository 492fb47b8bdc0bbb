//! What is measured: turns, tokens, cost, the model's speed, the breaker.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::asking::Answer;

/// A turn ended: `answered`, `aborted`, or the kind of its failure.
pub(crate) fn ended(result: &'static str, took: Duration) {
    counter!("openclaw_turns_total", "result" => result).increment(1);
    histogram!("openclaw_turn_seconds", "result" => result).record(took);
}

/// Turns that run here now.
pub(crate) fn running(count: usize) {
    gauge!("openclaw_turns_running").set(count as f64);
}

/// What an answer used up.
pub(crate) fn used(provider: &str, answer: &Answer, cost_micro_usd: u64) {
    let counts = [
        ("input", answer.usage.input_tokens),
        ("output", answer.usage.output_tokens),
    ];
    let estimated = if answer.estimated { "true" } else { "false" };
    for (direction, count) in counts {
        let provider = provider.to_owned();
        counter!("openclaw_model_tokens_total", "provider" => provider, "direction" => direction, "estimated" => estimated)
            .increment(count);
    }
    counter!("openclaw_model_cost_micro_usd_total", "provider" => provider.to_owned())
        .increment(cost_micro_usd);
}

/// From asking to the first piece.
pub(crate) fn first_piece(provider: &str, took: Duration) {
    histogram!("openclaw_model_first_piece_seconds", "provider" => provider.to_owned())
        .record(took);
}

/// From asking to the end of the answer.
pub(crate) fn asked(provider: &str, took: Duration) {
    histogram!("openclaw_model_seconds", "provider" => provider.to_owned()).record(took);
}

/// The model is asked again after a failure of `kind`.
pub(crate) fn retried(provider: &str, kind: &'static str) {
    counter!("openclaw_model_retries_total", "provider" => provider.to_owned(), "kind" => kind)
        .increment(1);
}

/// 1 while the model is left alone.
pub(crate) fn breaker(provider: &str, is_open: bool) {
    gauge!("openclaw_model_breaker_open", "provider" => provider.to_owned()).set(if is_open {
        1.0
    } else {
        0.0
    });
}
