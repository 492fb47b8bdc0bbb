//! What the fake knows: updates that wait, messages that were sent, failures on order.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use axum::body::Bytes;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedSender;

/// How many calls of one method are kept where they come without end.
const MAX_POLLS_KEPT: usize = 100;

/// A message that the bot sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The method it was sent with, lower case.
    pub method: String,
    /// The id it got.
    pub message_id: i64,
    /// Text or caption, as it stands after the last edit.
    pub text: String,
    /// All parameters of the first call.
    pub params: Value,
    /// The files that came with it.
    pub files: Vec<File>,
    /// When it came.
    pub at: Instant,
    /// Texts that it had before.
    pub before: Vec<String>,
    /// Whether the bot took it back.
    pub deleted: bool,
}

/// A file that came with a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Name of the form's field.
    pub field: String,
    /// Name of the file.
    pub name: String,
    /// What is in it.
    pub bytes: Bytes,
}

/// A call of the bot.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its parameters.
    pub params: Value,
    /// When it came.
    pub at: Instant,
}

/// A call of the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The update that it told of.
    pub update_id: i64,
    /// The bot's answer; 0 where there was none.
    pub status: u16,
}

/// A webhook as the bot set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where to call.
    pub url: String,
    /// What to say with each call.
    pub secret: String,
    /// How many calls at once.
    pub max_connections: usize,
}

/// How a call is to fail.
#[derive(Clone, Debug)]
pub enum Failure {
    /// 429 with this many seconds to wait.
    TooMany(u64),
    /// A status with a page of HTML, as from a proxy.
    Status(u16),
    /// A refusal in Telegram's words.
    Refuse(u16, String),
    /// No answer, ever.
    Hang,
    /// Done, but the connection is cut before the answer.
    LoseAnswer,
    /// The connection is cut before anything is done.
    Cut,
    /// Done, but the answer is no JSON.
    Malformed,
}

/// Everything.
pub(crate) struct State {
    pub(crate) updates: BTreeMap<i64, Update>,
    pub(crate) next_update_id: i64,
    message_ids: HashMap<i64, i64>,
    /// Number of the newest poll; an older one that still waits is told to go.
    pub(crate) poll: u64,
    pub(crate) sent: HashMap<i64, Vec<Sent>>,
    pub(crate) sent_in_all: usize,
    /// Told the chat of each message sent, if somebody wants to know.
    pub(crate) told: Option<UnboundedSender<i64>>,
    place_of: HashMap<(i64, i64), usize>,
    times: HashMap<(i64, String), usize>,
    unanswered: HashMap<i64, VecDeque<Instant>>,
    pub(crate) latencies: Vec<Duration>,
    pub(crate) calls: HashMap<String, VecDeque<Call>>,
    pub(crate) counts: HashMap<String, usize>,
    pub(crate) failures: HashMap<String, VecDeque<Failure>>,
    pub(crate) files: HashMap<String, Bytes>,
    pub(crate) blocked: HashSet<i64>,
    pub(crate) migrated: HashMap<i64, i64>,
    pub(crate) webhook: Option<Webhook>,
    /// Changes whenever a webhook is set or removed.
    pub(crate) webhook_epoch: u64,
    /// Webhook calls under way, one a chat.
    pub(crate) calling: usize,
    pub(crate) webhook_broken: bool,
    pub(crate) webhook_pause: Duration,
    pub(crate) webhook_error: String,
    pub(crate) deliveries: Vec<Delivery>,
    /// Updates of each chat that the webhook is to be told of, in order.
    pub(crate) lanes: HashMap<i64, VecDeque<i64>>,
    /// Chats whose next update may be told.
    pub(crate) ready: VecDeque<i64>,
}

/// An update that waits.
#[derive(Clone, Debug)]
pub(crate) struct Update {
    pub(crate) bytes: Bytes,
    pub(crate) chat: i64,
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            updates: BTreeMap::new(),
            next_update_id: 1001,
            message_ids: HashMap::new(),
            poll: 0,
            sent: HashMap::new(),
            sent_in_all: 0,
            told: None,
            place_of: HashMap::new(),
            times: HashMap::new(),
            unanswered: HashMap::new(),
            latencies: Vec::new(),
            calls: HashMap::new(),
            counts: HashMap::new(),
            failures: HashMap::new(),
            files: HashMap::new(),
            blocked: HashSet::new(),
            migrated: HashMap::new(),
            webhook: None,
            webhook_epoch: 0,
            calling: 0,
            webhook_broken: false,
            webhook_pause: Duration::from_millis(50),
            webhook_error: String::new(),
            deliveries: Vec::new(),
            lanes: HashMap::new(),
            ready: VecDeque::new(),
        }
    }

    pub(crate) fn next_message_id(&mut self, chat: i64) -> i64 {
        let id = self.message_ids.entry(chat).or_insert(0);
        *id += 1;
        *id
    }

    pub(crate) fn say(&mut self, chat: i64, update: Value, at: Instant) -> i64 {
        self.unanswered.entry(chat).or_default().push_back(at);
        self.push(update)
    }

    pub(crate) fn push(&mut self, mut update: Value) -> i64 {
        let id = update["update_id"].as_i64().unwrap_or(self.next_update_id);
        update["update_id"] = id.into();
        let chat = update
            .as_object()
            .into_iter()
            .flatten()
            .find_map(|(_, event)| {
                event["chat"]["id"]
                    .as_i64()
                    .or_else(|| event["message"]["chat"]["id"].as_i64())
            });
        self.queue(id, update.to_string().into(), chat.unwrap_or_default())
    }

    pub(crate) fn push_raw(&mut self, bytes: Vec<u8>) -> i64 {
        self.queue(self.next_update_id, bytes.into(), 0)
    }

    fn queue(&mut self, id: i64, bytes: Bytes, chat: i64) -> i64 {
        self.next_update_id = self.next_update_id.max(id.saturating_add(1));
        self.updates.insert(id, Update { bytes, chat });
        if self.webhook.is_some() {
            self.line_up(chat, id);
        }
        id
    }

    /// Adds an update to its chat's lane.
    fn line_up(&mut self, chat: i64, id: i64) {
        let lane = self.lanes.entry(chat).or_default();
        lane.push_back(id);
        if lane.len() == 1 {
            self.ready.push_back(chat);
        }
    }

    pub(crate) fn set_webhook(&mut self, webhook: Option<Webhook>) {
        self.webhook = webhook;
        self.webhook_epoch += 1;
        self.webhook_error.clear();
        self.lanes.clear();
        self.ready.clear();
        if self.webhook.is_some() {
            let waiting: Vec<_> = self
                .updates
                .iter()
                .map(|(id, update)| (update.chat, *id))
                .collect();
            waiting
                .into_iter()
                .for_each(|(chat, id)| self.line_up(chat, id));
        }
    }

    /// Forgets the updates before `offset`; one below zero counts from the end.
    pub(crate) fn confirm(&mut self, offset: i64) {
        let offset = match offset {
            0 => return,
            1.. => offset,
            back => {
                let back = usize::try_from(back.unsigned_abs()).unwrap_or(usize::MAX);
                let skipped = self.updates.len().saturating_sub(back);
                self.updates
                    .keys()
                    .nth(skipped)
                    .copied()
                    .unwrap_or(i64::MAX)
            }
        };
        self.updates = self.updates.split_off(&offset);
    }

    pub(crate) fn fail(&mut self, method: &str, times: usize, failure: Failure) {
        self.failures
            .entry(method.to_lowercase())
            .or_default()
            .extend(std::iter::repeat_n(failure, times));
    }

    pub(crate) fn failure(&mut self, method: &str) -> Option<Failure> {
        let mut next = |name: &str| self.failures.get_mut(name).and_then(VecDeque::pop_front);
        next(method).or_else(|| next("*"))
    }

    pub(crate) fn called(&mut self, method: &str, params: &Value) {
        *self.counts.entry(method.to_owned()).or_default() += 1;
        let calls = self.calls.entry(method.to_owned()).or_default();
        if method == "getupdates" && calls.len() == MAX_POLLS_KEPT {
            calls.pop_front();
        }
        // What is sent is kept as `Sent`, once.
        let params = if method == "sendmessage" {
            Value::Null
        } else {
            params.clone()
        };
        calls.push_back(Call {
            params,
            at: Instant::now(),
        });
    }

    pub(crate) fn send(
        &mut self,
        chat: i64,
        method: &str,
        text: &str,
        params: Value,
        files: Vec<File>,
    ) -> i64 {
        let at = Instant::now();
        let message_id = self.next_message_id(chat);
        let sent = self.sent.entry(chat).or_default();
        self.place_of.insert((chat, message_id), sent.len());
        sent.push(Sent {
            method: method.to_owned(),
            message_id,
            text: text.to_owned(),
            params,
            files,
            at,
            before: Vec::new(),
            deleted: false,
        });
        self.sent_in_all += 1;
        if let Some(told) = &self.told {
            // Whoever listened may be gone.
            let _ = told.send(chat);
        }
        *self.times.entry((chat, text.to_owned())).or_default() += 1;
        if let Some(said) = self.unanswered.get_mut(&chat).and_then(VecDeque::pop_front) {
            self.latencies.push(at - said);
        }
        message_id
    }

    pub(crate) fn message(&mut self, chat: i64, message_id: i64) -> Option<&mut Sent> {
        let place = *self.place_of.get(&(chat, message_id))?;
        self.sent.get_mut(&chat)?.get_mut(place)
    }

    pub(crate) fn repeated(&self) -> Vec<(i64, String, usize)> {
        let again = self.times.iter().filter(|(_, times)| **times > 1);
        again
            .map(|((chat, text), times)| (*chat, text.clone(), *times))
            .collect()
    }
}
