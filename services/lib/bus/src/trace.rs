//! One trace a message: W3C `traceparent`, carried in headers and, within a handler, by the task.
//!
//! Source: W3C Trace Context, level 1, `traceparent` version 00.

use std::{fmt, future::Future, str::FromStr};

tokio::task_local! {
    static CURRENT: Trace;
}

/// Header that carries the trace.
pub(crate) const HEADER: &str = "traceparent";

/// Where in which trace we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Of the whole journey; never zero.
    pub trace_id: u128,
    /// Of this step; never zero.
    pub span_id: u64,
}

impl Trace {
    /// A new journey.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            trace_id: uuid::Uuid::new_v4().as_u128().max(1),
            span_id: span(),
        }
    }

    /// The next step of the same journey.
    #[must_use]
    pub fn step(self) -> Self {
        Self {
            span_id: span(),
            ..self
        }
    }
}

fn span() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().1.max(1)
}

impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "00-{:032x}-{:016x}-01", self.trace_id, self.span_id)
    }
}

/// The text is no `traceparent` that this version understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no traceparent of version 00")]
pub struct Invalid;

impl FromStr for Trace {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.split('-');
        let (Some("00"), Some(trace), Some(span), Some(_flags), None) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(Invalid);
        };
        if trace.len() != 32 || span.len() != 16 {
            return Err(Invalid);
        }
        let trace_id = u128::from_str_radix(trace, 16).map_err(|_| Invalid)?;
        let span_id = u64::from_str_radix(span, 16).map_err(|_| Invalid)?;
        if trace_id == 0 || span_id == 0 {
            Err(Invalid)
        } else {
            Ok(Self { trace_id, span_id })
        }
    }
}

/// The trace that this task works in, if any.
#[must_use]
pub fn current() -> Option<Trace> {
    CURRENT.try_with(|trace| *trace).ok()
}

/// Runs `work` inside `trace`: what it publishes belongs to it.
pub async fn scope<F: Future>(trace: Trace, work: F) -> F::Output {
    CURRENT.scope(trace, work).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_prints_and_parses() {
        let trace = Trace::begin();
        assert_eq!(trace.to_string().parse(), Ok(trace));
        assert_eq!(trace.step().trace_id, trace.trace_id);
        assert_ne!(trace.step().span_id, trace.span_id);
    }

    #[test]
    fn garbage_is_no_trace() {
        for text in [
            "",
            "00",
            "01-1-1-1",
            "00-0-0-00",
            &format!("00-{:032}-{:016}-01", 0, 0),
        ] {
            assert_eq!(text.parse::<Trace>(), Err(Invalid), "{text}");
        }
    }
}
