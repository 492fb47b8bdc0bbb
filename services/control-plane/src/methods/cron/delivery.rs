//! Where the answer of a job goes, as clients write it.

use proto::v1::JobDelivery;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::params::{is_wanted, refuse, wrong};
use crate::refusal::Refusal;

/// Where the answer goes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delivery {
    pub(super) mode: Option<DeliveryMode>,
    pub(super) channel: Option<String>,
    pub(super) to: Option<String>,
    pub(super) account_id: Option<String>,
    /// A text, or a number as Telegram has them.
    pub(super) thread_id: Option<Value>,
    pub(super) best_effort: Option<bool>,
    pub(super) failure_destination: Option<Value>,
    pub(super) completion_destination: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum DeliveryMode {
    None,
    Announce,
    Webhook,
}

impl Delivery {
    /// As jobs keep it; what is absent stays as it was.
    ///
    /// # Errors
    /// A sentence about what is not served.
    pub(super) fn apply(&self, was: Option<&JobDelivery>) -> Result<Option<JobDelivery>, Refusal> {
        let not_served = [
            (
                "delivery.failureDestination",
                is_wanted(self.failure_destination.as_ref()),
            ),
            (
                "delivery.completionDestination",
                is_wanted(self.completion_destination.as_ref()),
            ),
        ];
        refuse(not_served)?;
        match (self.mode, was) {
            (Some(DeliveryMode::None), _) | (None, None) => return Ok(None),
            (Some(DeliveryMode::Webhook), _) => {
                return Err(wrong(
                    "at /delivery/mode: this gateway calls no webhooks; use announce or none",
                ));
            }
            (Some(DeliveryMode::Announce) | None, _) => {}
        }
        let mut delivery = was.cloned().unwrap_or_default();
        let thread = self.thread_id.as_ref().map(|thread| match thread {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            number => number.to_string(),
        });
        let texts = [
            (&self.channel, &mut delivery.channel),
            (&self.to, &mut delivery.to),
            (&self.account_id, &mut delivery.account),
            (&thread, &mut delivery.thread),
        ];
        for (new, old) in texts {
            if let Some(new) = new {
                new.trim().clone_into(old);
            }
        }
        if let Some(best_effort) = self.best_effort {
            delivery.best_effort = best_effort;
        }
        if delivery.channel.is_empty() {
            delivery.channel = "last".into();
        }
        Ok(Some(delivery))
    }
}
