//! The heartbeat as snapshots tell of it.

use serde_json::{Value, json};

use crate::{cron::heartbeat, gateway::Gateway};

/// The heartbeat as snapshots tell of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Beat {
    on: bool,
    every_ms: i64,
    prompt: String,
    to: String,
    ack_max_chars: usize,
}

impl Beat {
    /// How it stands now; off where nobody knows.
    pub(super) async fn now(gateway: &Gateway) -> Self {
        let settings = &gateway.config.heartbeat;
        let on = heartbeat::is_on(gateway, &gateway.config.default_agent).await;
        Self {
            on: on.unwrap_or_default(),
            every_ms: settings.every_ms(),
            prompt: settings.prompt.clone(),
            to: settings.to.clone(),
            ack_max_chars: settings.ack_max_chars,
        }
    }

    /// Seconds between two; 0 where there are none.
    pub(super) fn seconds(&self) -> i64 {
        if self.on { self.every_ms / 1000 } else { 0 }
    }

    /// In short, as `status` has it.
    pub(super) fn short(&self) -> Value {
        match self.on {
            true => {
                let minutes = self.every_ms / 60_000;
                let every = match self.every_ms % 60_000 {
                    0 => format!("{minutes}m"),
                    _ => format!("{}s", self.every_ms / 1000),
                };
                json!({"enabled": true, "every": every, "everyMs": self.every_ms})
            }
            false => json!({"enabled": false, "every": "0m", "everyMs": null}),
        }
    }

    /// In full, as `health` has it.
    pub(super) fn full(&self) -> Value {
        let mut full = self.short();
        let target = if self.to.is_empty() { "none" } else { &self.to };
        full["prompt"] = self.prompt.as_str().into();
        full["target"] = target.into();
        full["ackMaxChars"] = self.ack_max_chars.into();
        full
    }
}
