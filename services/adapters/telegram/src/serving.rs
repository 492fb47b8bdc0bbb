//! Hearing by webhook: opens the door, tells Telegram where it is, and watches whether Telegram comes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use adapter::{Error, Inbox, Via};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};
use tracing::{info, warn};

use crate::{
    Mode, Telegram,
    inbound::ALLOWED_UPDATES,
    lanes::Turns,
    watch::{Verdict, Watch, WebhookInfo},
    webhook::Door,
};

/// How often in a row a webhook of ours may be replaced by somebody else before we stop fighting for it.
const MAX_REPLACED: u32 = 3;

impl Telegram {
    /// Serves the webhook until it is found unreached; only in mode `auto`, otherwise for ever.
    ///
    /// # Errors
    /// When the door cannot be opened, or Telegram does not want it.
    pub(crate) async fn serve(&self, inbox: &Inbox) -> Result<(), Error> {
        let address = self.config.webhook_listen;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Error::Unavailable(
                format!("cannot listen for webhook calls on {address}: {error}").into(),
            )
        })?;
        let door = Door {
            api: Arc::clone(&self.api),
            inbox: inbox.clone(),
            account: self.account.clone(),
            identity: self.identity().await?,
            secret: self.config.webhook_secret.expose().to_owned(),
            limits: self.limits(),
            read_timeout: Duration::from_millis(self.config.webhook_read_ms),
            patience: Duration::from_millis(self.config.webhook_patience_ms),
            delivered: Arc::clone(&self.delivered),
            turns: Turns::default(),
        };
        let door = Arc::new(door).serve(listener);
        // The door is open before Telegram hears of it.
        let watching = async {
            self.set_webhook().await?;
            self.turn(inbox, Via::Webhook, "");
            inbox.heard();
            info!("Telegram calls the webhook");
            self.watch(inbox).await
        };
        tokio::select! {
            never = door => match never {},
            ended = watching => ended,
        }
    }

    async fn set_webhook(&self) -> Result<(), Error> {
        let params = json!({
            "url": self.config.webhook_url,
            "secret_token": self.config.webhook_secret.expose(),
            "max_connections": self.config.webhook_connections,
            "allowed_updates": ALLOWED_UPDATES,
            "drop_pending_updates": false,
        });
        self.method("setWebhook", params).await?;
        Ok(())
    }

    /// Looks after the webhook until it is unreached in mode `auto`.
    async fn watch(&self, inbox: &Inbox) -> Result<(), Error> {
        let delivered = || self.delivered.load(Ordering::Relaxed);
        let mut watch = Watch::new(
            &self.config.webhook_url,
            self.config.webhook_failures,
            delivered(),
        );
        let mut replaced = 0;
        loop {
            sleep(Duration::from_millis(self.config.webhook_check_ms)).await;
            let info = match self
                .method("getWebhookInfo", Value::Null)
                .await
                .map_err(Error::from)
            {
                Ok(info) => serde_json::from_value::<WebhookInfo>(info).unwrap_or_default(),
                Err(error @ Error::Unauthorized(_)) => return Err(error),
                Err(error) => {
                    // Says nothing about the way from Telegram to here.
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "webhook not looked at"
                    );
                    continue;
                }
            };
            match watch.look(&info, delivered()) {
                Verdict::Reached => {
                    replaced = 0;
                    self.turn(inbox, Via::Webhook, "");
                    inbox.heard();
                }
                Verdict::Doubtful => {
                    warn!(
                        waiting = info.pending_update_count,
                        why = info.last_error_message,
                        "webhook perhaps not reached"
                    );
                }
                Verdict::Unreached if self.config.mode == Mode::Auto => return Ok(()),
                Verdict::Unreached => {
                    let why = format!(
                        "Telegram does not reach the webhook: {}",
                        info.last_error_message
                    );
                    self.turn(inbox, Via::Webhook, &why);
                }
                Verdict::Replaced if replaced >= MAX_REPLACED => {
                    return Err(Error::Unavailable(
                        "another process sets its own webhook for this bot again and again".into(),
                    ));
                }
                Verdict::Replaced => {
                    replaced += 1;
                    warn!("webhook was replaced by somebody else, set again");
                    self.set_webhook().await?;
                }
            }
        }
    }
}
