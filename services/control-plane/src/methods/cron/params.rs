//! A job as clients of either protocol write it.

use proto::v1::{
    Job, JobAside, JobAt, JobDelivery, JobEvent, JobEvery, JobPattern, JobTurn, job::What,
    job::When,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::delivery::Delivery;
use crate::{refusal::Refusal, schema::Text};

/// A new job: protocol 3 and 4 in one. Open: what is not served is refused by name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Add {
    name: Text,
    display_name: Option<Text>,
    agent_id: Option<Text>,
    session_key: Option<Text>,
    description: Option<String>,
    enabled: Option<bool>,
    delete_after_run: Option<bool>,
    schedule: Schedule,
    session_target: Text,
    wake_mode: WakeMode,
    payload: Payload,
    delivery: Option<Delivery>,
    isolation: Option<Isolation>,
    declaration_key: Option<Text>,
    pacing: Option<Value>,
    trigger: Option<Value>,
    failure_alert: Option<Value>,
}

/// When.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Schedule {
    #[serde(rename_all = "camelCase")]
    At {
        /// Protocol 4: ISO 8601; without an offset it is UTC.
        at: Option<String>,
        /// Protocol 3: Unix epoch.
        at_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    Every {
        every_ms: i64,
        anchor_ms: Option<i64>,
    },
    #[serde(rename_all = "camelCase")]
    Cron {
        expr: Text,
        tz: Option<String>,
        stagger_ms: Option<i64>,
    },
    OnExit {},
    Stream {},
}

/// Whether a note is told at once or with the next heartbeat.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WakeMode {
    NextHeartbeat,
    Now,
}

/// What.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub(super) enum Payload {
    SystemEvent {
        text: Option<Text>,
    },
    #[serde(rename_all = "camelCase")]
    AgentTurn {
        message: Option<Text>,
        model: Option<String>,
        thinking: Option<String>,
        timeout_seconds: Option<f64>,
        deliver: Option<bool>,
        channel: Option<Text>,
        to: Option<String>,
        best_effort_deliver: Option<bool>,
    },
    Command {},
    Script {},
}

/// What the main session hears of an isolated run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Isolation {
    post_to_main_prefix: Option<String>,
    post_to_main_mode: Option<String>,
    post_to_main_max_chars: Option<u32>,
}

impl Add {
    /// The job that it asks for.
    ///
    /// # Errors
    /// A sentence about what is missing or not served.
    pub(super) fn job(self, id: String, protocol: u8, now_ms: i64) -> Result<Job, Refusal> {
        let not_served = [
            ("declarationKey", self.declaration_key.is_some()),
            ("pacing", self.pacing.is_some()),
            ("trigger", self.trigger.is_some()),
            ("failureAlert", is_wanted(self.failure_alert.as_ref())),
        ];
        refuse(not_served)?;
        let when = self.schedule.when(now_ms)?;
        let once = matches!(when, When::At(_));
        let session_key = self.session_key.map(|key| key.0).unwrap_or_default();
        let delivery = match self.delivery {
            Some(delivery) => delivery.apply(None)?,
            None => self.payload.delivery(protocol),
        };
        Ok(Job {
            id,
            name: self.name.0,
            display_name: self.display_name.map(|name| name.0).unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            agent: self.agent_id.map(|agent| agent.0).unwrap_or_default(),
            enabled: self.enabled.unwrap_or(true),
            delete_after_run: self.delete_after_run.unwrap_or(once && protocol >= 4),
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            session_target: target(&self.session_target, &session_key),
            wake_mode: self.wake_mode.name().into(),
            what: Some(self.payload.apply(None)?),
            when: Some(when),
            delivery,
            aside: self.isolation.map(Isolation::aside),
            session_key,
            ..Job::default()
        })
    }
}

impl Schedule {
    /// As jobs keep it.
    ///
    /// # Errors
    /// A sentence about what is missing or not served.
    pub(super) fn when(&self, now_ms: i64) -> Result<When, Refusal> {
        Ok(match self {
            Self::At { at, at_ms } => When::At(JobAt {
                at_ms: match (at, at_ms) {
                    (Some(at), _) => instant(at)?,
                    (None, Some(at_ms)) => *at_ms,
                    (None, None) => {
                        return Err(wrong("at /schedule: must have required property 'at'"));
                    }
                },
            }),
            Self::Every {
                every_ms,
                anchor_ms,
            } => When::Every(JobEvery {
                every_ms: *every_ms,
                anchor_ms: anchor_ms.unwrap_or(now_ms),
            }),
            Self::Cron {
                expr,
                tz,
                stagger_ms,
            } => When::Pattern(JobPattern {
                expression: expr.trim().to_owned(),
                time_zone: tz.as_deref().unwrap_or_default().trim().to_owned(),
                stagger_ms: stagger_ms.unwrap_or_default(),
            }),
            Self::OnExit {} | Self::Stream {} => {
                return Err(wrong(
                    "at /schedule/kind: this gateway starts no programs, so nothing can end or be read; use at, every or cron",
                ));
            }
        })
    }
}

impl Payload {
    /// As jobs keep it; what is absent stays as it was.
    ///
    /// # Errors
    /// A sentence about what is missing or not served.
    pub(super) fn apply(&self, was: Option<&What>) -> Result<What, Refusal> {
        let missing = |name: &str| {
            wrong(&format!(
                "at /payload: must have required property '{name}'"
            ))
        };
        match self {
            Self::SystemEvent { text } => {
                let was = match was {
                    Some(What::Event(was)) => Some(&was.text),
                    _ => None,
                };
                let text = text.as_ref().map(|text| &text.0).or(was);
                let text = text.ok_or_else(|| missing("text"))?.clone();
                Ok(What::Event(JobEvent { text }))
            }
            Self::AgentTurn {
                message,
                model,
                thinking,
                timeout_seconds,
                ..
            } => {
                let mut turn = match was {
                    Some(What::Turn(was)) => was.clone(),
                    _ => JobTurn::default(),
                };
                if let Some(message) = message {
                    turn.message.clone_from(&message.0);
                }
                for (new, old) in [(model, &mut turn.model), (thinking, &mut turn.thinking)] {
                    if let Some(new) = new {
                        old.clone_from(new);
                    }
                }
                if let Some(seconds) = timeout_seconds {
                    // A day is longer than any turn may take.
                    turn.timeout_ms = (seconds.clamp(0.0, 86_400.0) * 1000.0) as i64;
                }
                match turn.message.as_str() {
                    "" => Err(missing("message")),
                    _ => Ok(What::Turn(turn)),
                }
            }
            Self::Command {} | Self::Script {} => Err(wrong(
                "at /payload/kind: this gateway runs no commands and no scripts; use systemEvent or agentTurn",
            )),
        }
    }

    /// Where the answer goes if nothing else says so: in protocol 3 as the payload says, in protocol 4 to the last
    /// conversation.
    pub(super) fn delivery(&self, protocol: u8) -> Option<JobDelivery> {
        let Self::AgentTurn {
            deliver,
            channel,
            to,
            best_effort_deliver,
            ..
        } = self
        else {
            return None;
        };
        let wanted = deliver.unwrap_or(protocol >= 4 || to.is_some());
        let channel = channel.as_ref().map_or("last", |channel| channel);
        wanted.then(|| JobDelivery {
            channel: channel.to_owned(),
            to: to.clone().unwrap_or_default(),
            // Who did not ask for it does not want to fail for it.
            best_effort: best_effort_deliver.unwrap_or(deliver.is_none() && to.is_none()),
            ..JobDelivery::default()
        })
    }
}

impl WakeMode {
    /// As jobs keep it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NextHeartbeat => "next-heartbeat",
            Self::Now => "now",
        }
    }
}

impl Isolation {
    /// As jobs keep it.
    pub(super) fn aside(self) -> JobAside {
        JobAside {
            prefix: self.post_to_main_prefix.unwrap_or_else(|| "Cron".into()),
            full: self.post_to_main_mode.as_deref() == Some("full"),
            max_chars: self.post_to_main_max_chars.unwrap_or_default(),
        }
    }
}

/// The session that is meant: `current` is the one that asks, where it says which it is.
pub(super) fn target(target: &str, session_key: &str) -> String {
    match (target, session_key) {
        ("current", "") => "isolated".into(),
        ("current", key) => format!("session:{key}"),
        (target, _) => target.to_owned(),
    }
}

/// Refuses what is wanted and not served, by its name.
pub(super) fn refuse<const N: usize>(wanted: [(&str, bool); N]) -> Result<(), Refusal> {
    match wanted.iter().find(|(_, wanted)| *wanted) {
        Some((name, _)) => Err(wrong(&format!(
            "{name} is not served by this gateway; leave it out"
        ))),
        None => Ok(()),
    }
}

/// Whether a value asks for something.
pub(super) fn is_wanted(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
}

/// A refusal of what a job is to be.
pub(super) fn wrong(why: &str) -> Refusal {
    Refusal::Invalid(format!("invalid cron job: {why}"))
}

/// A time as people and programs write it.
fn instant(text: &str) -> Result<i64, Refusal> {
    let text = text.trim();
    let with_offset = text.parse::<jiff::Timestamp>();
    let at = with_offset.or_else(|_| {
        let civil = text.parse::<jiff::civil::DateTime>()?;
        civil
            .to_zoned(jiff::tz::TimeZone::UTC)
            .map(|at| at.timestamp())
    });
    at.map(|at| at.as_millisecond()).map_err(|_| {
        wrong(&format!(
            "at /schedule/at: \"{text}\" is no time; write it like 2026-12-24T18:00:00Z or with an offset such as +01:00"
        ))
    })
}
