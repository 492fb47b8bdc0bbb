//! What of a job is to be changed.

use proto::v1::{Job, job::What};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{
    delivery::Delivery,
    params::{Isolation, Payload, Schedule, WakeMode, is_wanted, refuse, target, wrong},
};
use crate::{refusal::Refusal, schema::Text};

/// What of a job is to be changed; what is absent stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Patch {
    name: Option<Text>,
    #[serde(default, deserialize_with = "nullable")]
    display_name: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    agent_id: Option<Option<String>>,
    #[serde(default, deserialize_with = "nullable")]
    session_key: Option<Option<String>>,
    description: Option<String>,
    enabled: Option<bool>,
    delete_after_run: Option<bool>,
    schedule: Option<Schedule>,
    session_target: Option<Text>,
    wake_mode: Option<WakeMode>,
    payload: Option<Payload>,
    delivery: Option<Delivery>,
    isolation: Option<Isolation>,
    pacing: Option<Value>,
    trigger: Option<Value>,
    failure_alert: Option<Value>,
    state: Option<Value>,
}

/// Tells `null`, which empties a field, from its absence.
fn nullable<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Patch {
    /// Changes `job`.
    ///
    /// # Errors
    /// A sentence about what is not served.
    pub(super) fn apply(&self, job: &mut Job, now_ms: i64) -> Result<(), Refusal> {
        refuse([
            ("pacing", is_wanted(self.pacing.as_ref())),
            ("trigger", is_wanted(self.trigger.as_ref())),
            ("failureAlert", is_wanted(self.failure_alert.as_ref())),
            ("state", is_wanted(self.state.as_ref())),
        ])?;
        if matches!(job.what, Some(What::Heartbeat(_))) {
            return self.apply_to_heartbeat(job);
        }
        if let Some(name) = &self.name {
            job.name.clone_from(&name.0);
        }
        let nullable = [
            (&self.display_name, &mut job.display_name),
            (&self.agent_id, &mut job.agent),
            (&self.session_key, &mut job.session_key),
        ];
        for (new, old) in nullable {
            if let Some(new) = new {
                *old = new.clone().unwrap_or_default();
            }
        }
        if let Some(description) = &self.description {
            job.description.clone_from(description);
        }
        if let Some(enabled) = self.enabled {
            job.enabled = enabled;
        }
        if let Some(delete_after_run) = self.delete_after_run {
            job.delete_after_run = delete_after_run;
        }
        if let Some(schedule) = &self.schedule {
            job.when = Some(schedule.when(now_ms)?);
        }
        if let Some(wanted) = &self.session_target {
            job.session_target = target(wanted, &job.session_key);
        }
        if let Some(wake_mode) = self.wake_mode {
            job.wake_mode = wake_mode.name().into();
        }
        if let Some(payload) = &self.payload {
            job.what = Some(payload.apply(job.what.as_ref())?);
            // Protocol 3 says in the payload where the answer goes.
            if let Some(delivery) = payload.delivery(3) {
                job.delivery = Some(delivery);
            }
        }
        if let Some(delivery) = &self.delivery {
            job.delivery = delivery.apply(job.delivery.as_ref())?;
        }
        if let Some(isolation) = &self.isolation {
            job.aside = Some(isolation.clone().aside());
        }
        Ok(())
    }

    /// The heartbeat is as the settings say; it is only switched on and off.
    fn apply_to_heartbeat(&self, job: &mut Job) -> Result<(), Refusal> {
        let others = [
            self.name.is_some(),
            self.schedule.is_some(),
            self.payload.is_some(),
            self.delivery.is_some(),
            self.agent_id.is_some(),
            self.session_target.is_some(),
        ];
        if others.contains(&true) {
            return Err(wrong(
                "the heartbeat is what gateway.heartbeat in the settings says; only enabled can be changed here",
            ));
        }
        if let Some(enabled) = self.enabled {
            job.enabled = enabled;
        }
        Ok(())
    }
}
