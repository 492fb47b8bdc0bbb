//! Calls the webhook: one call at a time for a chat, chats side by side, again after a failure.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};

use super::{Delivery, Shared, Webhook};

/// How long the bot may take to answer a call.
const PATIENCE: Duration = Duration::from_secs(30);

/// Tells the webhook of updates as long as one is set.
pub(super) async fn deliver(shared: Arc<Shared>) {
    let mut changed = shared.changed.subscribe();
    let mut calls = JoinSet::new();
    loop {
        changed.borrow_and_update();
        while calls.try_join_next().is_some() {}
        while let Some((webhook, epoch, chat)) = next(&shared) {
            let shared = Arc::clone(&shared);
            calls.spawn(async move {
                tell(&shared, &webhook, epoch, chat).await;
                shared.change(|state| state.calling -= 1);
                shared.announce();
            });
        }
        if changed.changed().await.is_err() {
            return;
        }
    }
}

/// A chat whose next update is to be told, if one more call may be made.
fn next(shared: &Shared) -> Option<(Webhook, u64, i64)> {
    shared.change(|state| {
        let webhook = state.webhook.clone()?;
        if state.calling >= webhook.max_connections {
            return None;
        }
        let chat = state.ready.pop_front()?;
        state.calling += 1;
        Some((webhook, state.webhook_epoch, chat))
    })
}

/// Tells of the updates of one chat until there are none, or the webhook was set anew.
async fn tell(shared: &Shared, webhook: &Webhook, epoch: u64, chat: i64) {
    let mut failures = 0_u32;
    loop {
        let told = shared.change(|state| {
            if state.webhook_epoch != epoch {
                return None;
            }
            let lane = state.lanes.get_mut(&chat)?;
            while lane
                .front()
                .is_some_and(|id| !state.updates.contains_key(id))
            {
                lane.pop_front();
            }
            let Some(id) = lane.front().copied() else {
                state.lanes.remove(&chat);
                return None;
            };
            Some((
                id,
                state.updates[&id].bytes.clone(),
                state.webhook_broken,
                state.webhook_pause,
            ))
        });
        let Some((update_id, bytes, broken, pause)) = told else {
            return;
        };
        let status = match broken {
            true => Err("Connection refused".to_owned()),
            false => call(shared, webhook, bytes).await,
        };
        let done = shared.change(|state| {
            state.deliveries.push(Delivery {
                update_id,
                status: status.clone().unwrap_or_default(),
            });
            let done = status
                .as_ref()
                .is_ok_and(|status| (200..300).contains(status));
            match (&status, done) {
                (_, true) => {
                    state.updates.remove(&update_id);
                }
                (Ok(status), false) => {
                    state.webhook_error = format!("Wrong response from the webhook: {status}")
                }
                (Err(why), false) => state.webhook_error.clone_from(why),
            }
            done
        });
        shared.announce();
        failures = if done { 0 } else { failures + 1 };
        if failures > 0 {
            sleep(pause * 2_u32.saturating_pow(failures - 1).min(100)).await;
        }
    }
}

async fn call(shared: &Shared, webhook: &Webhook, bytes: axum::body::Bytes) -> Result<u16, String> {
    let call = shared
        .http
        .post(&webhook.url)
        .header("Content-Type", "application/json")
        .header("X-Telegram-Bot-Api-Secret-Token", &webhook.secret)
        .timeout(PATIENCE)
        .body(bytes);
    call.send()
        .await
        .map(|answer| answer.status().as_u16())
        .map_err(|error| error.to_string())
}
