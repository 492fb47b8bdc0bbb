//! Long polling: asks for updates, stores them, and only then lets Telegram forget them.

use std::{sync::atomic::Ordering, time::Duration};

use adapter::{Error, Inbox};
use serde_json::{Value, json, value::RawValue};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::{
    Telegram,
    api::Failure,
    inbound::{self, ALLOWED_UPDATES},
    lanes,
    outbound::Request,
};

/// Most updates of one answer. Source: Bot API, getUpdates, `limit`.
const MAX_UPDATES: u32 = 100;
/// How much later than promised a poll may be answered before it counts as stalled.
const SLACK: Duration = Duration::from_secs(15);
/// Shortest time between two polls that bring nothing.
const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// Pause after an answer that moved nothing on, so that it does not come again at once.
const STUCK_PAUSE: Duration = Duration::from_secs(5);

impl Telegram {
    /// Polls until `until`, between two answers.
    ///
    /// The offset moves only when everything before it is on the bus; Telegram keeps it, so it is not kept here.
    pub(crate) async fn poll(
        &self,
        inbox: &Inbox,
        until: impl Future<Output = ()> + Send,
    ) -> Result<(), Error> {
        self.release_webhook().await?;
        let mut until = std::pin::pin!(until);
        loop {
            let timeout_s = self.config.poll_timeout_s;
            let asked = Instant::now();
            let answer = tokio::select! {
                answer = self.updates(MAX_UPDATES, timeout_s) => answer,
                () = &mut until => break,
            };
            match answer {
                Ok(updates) => {
                    inbox.heard();
                    self.take(inbox, &updates).await?;
                    // Nothing, and at once: whoever answers so would be asked without end.
                    if updates.get() == "[]" && asked.elapsed() < SHORTEST_POLL {
                        sleep(SHORTEST_POLL).await;
                    }
                }
                Err(Failure::Refused(refusal)) if refusal.is_webhook_conflict() => {
                    self.release_webhook().await?
                }
                Err(Failure::Refused(refusal)) if refusal.code == 409 => {
                    let why = "another process polls with this bot's token; stop it, or give it a bot of its own";
                    return Err(Error::Unavailable(
                        format!("{why} ({})", refusal.description).into(),
                    ));
                }
                Err(failure) => {
                    metrics::counter!("openclaw_telegram_polls_failed_total").increment(1);
                    return Err(failure.into());
                }
            }
        }
        // Confirms what was stored, so that the webhook does not tell it again.
        if self.offset.load(Ordering::Acquire) > 0 {
            self.updates(1, 0).await?;
        }
        Ok(())
    }

    async fn updates(&self, limit: u32, timeout_s: u64) -> Result<Box<RawValue>, Failure> {
        let mut params =
            json!({"limit": limit, "timeout": timeout_s, "allowed_updates": ALLOWED_UPDATES});
        let offset = self.offset.load(Ordering::Acquire);
        if offset > 0 {
            params["offset"] = json!(offset);
        }
        let patience = Duration::from_secs(timeout_s) + SLACK.min(self.config.request_timeout());
        self.api
            .ask(
                &Request {
                    method: "getUpdates",
                    params,
                    files: Vec::new(),
                },
                patience,
            )
            .await
    }

    /// Stores the updates of one answer and moves the offset behind them.
    async fn take(&self, inbox: &Inbox, answer: &RawValue) -> Result<(), Error> {
        let batch = inbound::batch(answer).map_err(|error| Error::Unavailable(error.into()))?;
        if batch.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = batch.iter().map(|raw| inbound::update_id(raw)).collect();
        if bus::sabotaged("offset") {
            let after = next_offset(self.offset.load(Ordering::Acquire), &ids);
            self.offset.store(after, Ordering::Release);
            self.updates(1, 0).await?;
        }
        let identity = self.identity().await?;
        let updates = batch
            .iter()
            .map(|raw| inbound::from_update(raw, &self.account, &identity))
            .collect();
        lanes::publish(&self.api, inbox, self.limits(), updates).await?;

        let unreadable = ids.iter().filter(|id| id.is_none()).count();
        if unreadable > 0 {
            metrics::counter!("openclaw_telegram_updates_unreadable_total")
                .increment(unreadable as u64);
            warn!(
                count = unreadable,
                "updates without a readable number were stored as unknown"
            );
        }
        let before = self.offset.load(Ordering::Acquire);
        let after = next_offset(before, &ids);
        self.offset.store(after, Ordering::Release);
        if after == before {
            sleep(STUCK_PAUSE).await;
        }
        Ok(())
    }

    /// Takes away the webhook that is in the way of polling, if it is ours to take.
    async fn release_webhook(&self) -> Result<(), Error> {
        let set = self.method("getWebhookInfo", Value::Null).await?;
        let url = set["url"].as_str().unwrap_or_default();
        if url.is_empty() {
            return Ok(());
        }
        if url != self.config.webhook_url && !self.config.replace_webhook {
            let why = "someone else has set a webhook for this bot; remove it, or set `replace_webhook = true`";
            return Err(Error::Unavailable(why.into()));
        }
        info!("webhook removed, polling instead");
        self.method("deleteWebhook", json!({"drop_pending_updates": false}))
            .await?;
        Ok(())
    }
}

/// The offset after a batch: behind its highest number.
///
/// Numbers follow each other, so behind a batch of nothing but unreadable numbers it is as many further.
fn next_offset(before: i64, ids: &[Option<i64>]) -> i64 {
    match ids.iter().flatten().max() {
        Some(last) => last.saturating_add(1),
        None if before > 0 => before.saturating_add(i64::try_from(ids.len()).unwrap_or(i64::MAX)),
        None => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_goes_behind_the_highest_number() {
        assert_eq!(
            next_offset(0, &[Some(7), None, Some(9_000_000_000), Some(8)]),
            9_000_000_001
        );
        assert_eq!(
            next_offset(50, &[Some(3)]),
            4,
            "Telegram may begin anew with a lower number"
        );
        assert_eq!(next_offset(0, &[Some(i64::MAX)]), i64::MAX);
    }

    #[test]
    fn unreadable_numbers_are_stepped_over_where_their_place_is_known() {
        assert_eq!(next_offset(50, &[None, None]), 52);
        assert_eq!(next_offset(0, &[None]), 0);
    }
}
