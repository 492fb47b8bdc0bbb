//! One answer on its way, as far as it is told and as far as it is shown.

use std::sync::{Mutex, MutexGuard, PoisonError};

use proto::v1::{Address, Delta, DeltaKind, IntentState};
use tokio::{
    sync::Notify,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::Live;
use crate::{Action, Adapter, Error, Rich, intents, key, markdown};

/// Platforms show typing for some five seconds.
pub(super) const TYPING_EVERY: Duration = Duration::from_secs(4);
/// Time between the first piece of an answer and its being shown: short answers come whole.
pub(super) const FIRST_AFTER: Duration = Duration::from_secs(1);
/// Edits come no faster than this.
pub(super) const EDIT_EVERY: Duration = Duration::from_secs(1);
/// An answer of which nothing was heard for so long is shown no more.
const SILENT: Duration = Duration::from_secs(5 * 60);
/// What is shown at most before the answer is whole.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// A platform that takes longer is not asked to show more.
const PATIENCE: Duration = Duration::from_secs(10);
/// Says that more comes.
const MORE: &str = " …";

/// One answer on its way.
pub(crate) struct Turn {
    pub(super) to: Address,
    pub(super) changed: Notify,
    /// Cancelled when nothing of it is to be shown any more.
    pub(super) over: CancellationToken,
    told: Mutex<Told>,
    /// Locked while the platform is asked.
    shown: tokio::sync::Mutex<Shown>,
}

struct Told {
    text: String,
    seq: u64,
    /// A piece was lost: nothing more is shown until it is told again from the start.
    broken: bool,
    first_text_at: Option<Instant>,
    last_at: Instant,
    /// How much of it was dealt with, in bytes: shown, or found to be better not shown.
    dealt_with: usize,
    /// A message shows it.
    visible: bool,
}

#[derive(Default)]
struct Shown {
    message_id: Option<String>,
    text: String,
    /// Something went wrong: nothing more is tried.
    off: bool,
}

/// What there is to do about an answer.
pub(super) struct News {
    pub(super) shown: bool,
    /// There is text that is not shown yet.
    pub(super) changed: bool,
    /// Meaningful only if `changed`.
    pub(super) first_text_at: Instant,
}

impl Turn {
    pub(super) fn new(to: Address) -> Self {
        let now = Instant::now();
        let told = Told {
            text: String::new(),
            seq: 0,
            broken: false,
            first_text_at: None,
            last_at: now,
            dealt_with: 0,
            visible: false,
        };
        Self {
            to,
            changed: Notify::new(),
            over: CancellationToken::new(),
            told: Mutex::new(told),
            shown: tokio::sync::Mutex::default(),
        }
    }

    /// Takes in what is told.
    pub(super) fn hear(&self, delta: &Delta) {
        let mut told = self.told();
        let now = Instant::now();
        told.last_at = now;
        match delta.kind() {
            DeltaKind::Start | DeltaKind::Restart => {
                told.text.clear();
                told.broken = false;
                told.dealt_with = 0;
            }
            _ if delta.seq <= told.seq => return,
            _ => told.broken |= told.seq > 0 && delta.seq != told.seq + 1,
        }
        told.seq = delta.seq;
        if !told.broken && told.text.len() < MAX_TEXT_BYTES {
            told.text.push_str(&delta.text);
        }
        if told.first_text_at.is_none() && !told.text.trim().is_empty() {
            told.first_text_at = Some(now);
        }
        drop(told);
        self.changed.notify_one();
    }

    /// What there is to do; `None` when it is over.
    pub(super) fn news(&self) -> Option<News> {
        let told = self.told();
        if self.over.is_cancelled() || told.last_at.elapsed() > SILENT {
            return None;
        }
        Some(News {
            shown: told.visible,
            changed: !told.broken
                && told.first_text_at.is_some()
                && told.dealt_with != told.text.len(),
            first_text_at: told.first_text_at.unwrap_or(told.last_at),
        })
    }

    /// Ends it; what is on its way to the platform is waited for. The platform's id of what is shown.
    pub(super) async fn close(&self) -> Option<String> {
        self.over.cancel();
        self.shown.lock().await.message_id.clone()
    }

    /// Shows what is told so far, if that is safe and the limits have room.
    pub(super) async fn grow<A: Adapter>(&self, live: &Live<A>, outbound_id: &str) {
        let mut shown = self.shown.lock().await;
        let text = self.told().text.clone();
        let body = preview(&text, live);
        if shown.off || body.is_empty() || body.text == shown.text {
            self.told().dealt_with = text.len();
            return;
        }
        // Without these it is tried again at the next edit's time.
        if self.over.is_cancelled() || !live.sends() || !live.pace.try_take(&self.to, true) {
            return;
        }
        let answer = match shown.message_id.clone() {
            Some(message_id) => {
                let edit = Action::Edit {
                    message_id: message_id.clone(),
                    body: body.clone(),
                    buttons: Vec::new(),
                };
                ask(live, &self.to, &edit).await.map(|_| message_id)
            }
            None => match self.first(live, outbound_id, body.clone()).await {
                Some(answer) => answer,
                None => Err(Error::Rejected("it was begun by another process".into())),
            },
        };
        let mut told = self.told();
        told.dealt_with = text.len();
        match answer {
            Ok(message_id) => {
                shown.message_id = Some(message_id);
                shown.text = body.text;
                told.visible = true;
            }
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "the growing answer is not shown"
                );
                shown.off = !matches!(error, Error::RateLimited(_)) || shown.message_id.is_none();
                if let Error::RateLimited(pause) = error {
                    live.pace.refused(&self.to, pause);
                }
            }
        }
    }

    /// Sends the first of it, under an intent that only one process can ever claim; `None` when it was claimed.
    async fn first<A: Adapter>(
        &self,
        live: &Live<A>,
        outbound_id: &str,
        body: Rich,
    ) -> Option<Result<String, Error>> {
        let name = intents::key(outbound_id, "p");
        let ticket = live.intents.claim(&name, &self.to).await.ok().flatten()?;
        if self.over.is_cancelled() || !live.sends() {
            let _ = live
                .intents
                .finish(ticket, IntentState::Failed, "too late")
                .await;
            return None;
        }
        let text = Action::Text {
            body,
            reply_to: None,
            buttons: Vec::new(),
            silent: false,
        };
        let answer = key::scope(&name, ask(live, &self.to, &text)).await;
        let (state, detail) = match &answer {
            Ok(message_id) => (IntentState::Sent, message_id.clone()),
            Err(Error::Unknown(_)) => (IntentState::Unknown, "the answer was lost".into()),
            Err(error) => (IntentState::Failed, error.to_string()),
        };
        // What cannot be stored now is stored before the answer becomes an edit.
        let _ = live.intents.finish(ticket, state, &detail).await;
        Some(answer)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks the platform; the whole answer must not wait long for this.
async fn ask<A: Adapter>(live: &Live<A>, to: &Address, action: &Action) -> Result<String, Error> {
    let answer = tokio::time::timeout(PATIENCE, live.adapter.send(to, action)).await;
    answer.unwrap_or_else(|_| Err(Error::Unknown("no answer".into())))
}

/// The first message's worth of an answer that is not whole yet.
fn preview<A: Adapter>(text: &str, live: &Live<A>) -> Rich {
    let capabilities = &live.capabilities;
    let room = capabilities
        .max_text
        .saturating_sub(capabilities.unit.length(MORE));
    let whole = markdown::parse(text);
    let mut first = markdown::split(&whole, room, capabilities.unit)
        .into_iter()
        .next()
        .unwrap_or_default();
    if !first.is_empty() {
        first.text.push_str(MORE);
    }
    first
}
