//! Settings of jobs by the clock and of the heartbeat.

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schedule;

/// Jobs by the clock.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cron {
    /// Run jobs when they are due. Off, they are kept, and run by hand only.
    pub enabled: bool,
    /// How late a repeated job may still run, in seconds, after nobody was there to run it: once, for the last time
    /// that was missed. What was missed longer ago is noted as skipped. A job for one time runs up to a week late.
    pub missed_grace_s: u64,
    /// Time zone of cron expressions that name none, such as `Europe/Berlin`. Empty takes the machine's.
    pub time_zone: String,
}

impl Default for Cron {
    fn default() -> Self {
        Self {
            enabled: true,
            missed_grace_s: 3600,
            time_zone: String::new(),
        }
    }
}

impl Cron {
    /// How late a repeated job may run, in milliseconds.
    pub(crate) fn grace_ms(&self) -> i64 {
        i64::try_from(self.missed_grace_s.saturating_mul(1000)).unwrap_or(i64::MAX / 2)
    }

    /// The zone of expressions that name none.
    pub(crate) fn zone(&self) -> TimeZone {
        schedule::zone(&self.time_zone).unwrap_or(TimeZone::UTC)
    }
}

/// The agent looks around by itself now and then.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Heartbeat {
    /// Seconds between two heartbeats; 0 is never, until a client switches them on.
    pub every_s: u64,
    /// What the agent is asked.
    pub prompt: String,
    /// Where it tells what it found: `last` is where it was last talked to, `telegram:123456789` or
    /// `telegram:work:123456789` a conversation, empty nowhere but to clients.
    pub to: String,
    /// An answer that says `HEARTBEAT_OK` and no more than this besides, in characters, is told to nobody.
    pub ack_max_chars: usize,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self {
            every_s: 0,
            prompt: "Look around: is there anything that needs attention or that you were asked to keep an eye on? \
                     If there is, say it in a few words. If there is nothing, answer HEARTBEAT_OK."
                .into(),
            to: String::new(),
            ack_max_chars: 300,
        }
    }
}

/// Time between two heartbeats where a client switches them on and the settings name none.
const USUAL_S: u64 = 1800;

impl Heartbeat {
    /// Milliseconds between two heartbeats once they are on.
    pub(crate) fn every_ms(&self) -> i64 {
        let every_s = if self.every_s == 0 {
            USUAL_S
        } else {
            self.every_s
        };
        i64::try_from(every_s.saturating_mul(1000)).unwrap_or(i64::MAX / 2)
    }
}
