//! A fake Bot API server: updates with Telegram's own offset semantics, webhook calls, files, and failures on order.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use state::State;
pub use state::{Call, Delivery, Failure, File, Sent, Webhook};

mod delivery;
mod form;
mod methods;
mod server;
mod state;

/// The bot's token; the fake knows no other.
pub const TOKEN: &str = "123456:fake-token-of-the-test-bot";
/// The bot's user id.
pub const BOT_ID: i64 = 123_456;
/// The bot's handle.
pub const BOT_NAME: &str = "gateway_test_bot";

/// How long the `wait_*` functions wait: longer than any healing takes.
const DEADLINE: Duration = Duration::from_secs(30);

/// A Bot API server on a port of its own, gone when dropped.
pub struct FakeTelegram {
    shared: Arc<Shared>,
    url: String,
    tasks: Vec<JoinHandle<()>>,
}

/// What the server and the test look at together.
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Changes whenever the state does.
    changed: watch::Sender<u64>,
    http: reqwest::Client,
}

impl FakeTelegram {
    /// Starts a server on 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .expect("a free port");
        let url = format!(
            "http://{}",
            listener
                .local_addr()
                .expect("a bound socket has an address")
        );
        let http = reqwest::Client::builder()
            .no_proxy()
            .build()
            .expect("a plain HTTP client");
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new()),
            changed: watch::Sender::new(0),
            http,
        });
        let tasks = vec![
            tokio::spawn(server::serve(listener, Arc::clone(&shared))),
            tokio::spawn(delivery::deliver(Arc::clone(&shared))),
        ];
        Self { shared, url, tasks }
    }

    /// Address of the server, for `api_url`.
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// A person writes `text` in a chat, a private one if the id is positive. Returns the update's id.
    pub fn say(&self, chat: i64, text: &str) -> i64 {
        let user = if chat > 0 { chat } else { 1000 };
        self.say_as(chat, user, text)
    }

    /// The person `user` writes `text` in a chat.
    pub fn say_as(&self, chat: i64, user: i64, text: &str) -> i64 {
        let said_at = Instant::now();
        let update = self.shared.change(|state| {
            let message_id = state.next_message_id(chat);
            let message = json!({
                "message_id": message_id,
                "date": 1_790_000_000,
                "chat": chat_json(chat),
                "from": {"id": user, "is_bot": false, "first_name": format!("Person {user}"), "username": format!("person{user}")},
                "text": text,
            });
            state.say(chat, json!({"message": message}), said_at)
        });
        self.shared.announce();
        update
    }

    /// Queues an update; its `update_id` is the next one unless it brings its own. Returns the id.
    pub fn push(&self, update: Value) -> i64 {
        let id = self.shared.change(|state| state.push(update));
        self.shared.announce();
        id
    }

    /// Queues bytes as they are in the place of an update. Returns the id that the server knows them by.
    pub fn push_raw(&self, bytes: impl Into<Vec<u8>>) -> i64 {
        let id = self.shared.change(|state| state.push_raw(bytes.into()));
        self.shared.announce();
        id
    }

    /// Makes the next update have this id.
    pub fn next_update_id(&self, id: i64) {
        self.shared.change(|state| state.next_update_id = id);
    }

    /// Keeps a file that getFile and the file server know under `file_id`.
    pub fn put_file(&self, file_id: &str, bytes: impl Into<Vec<u8>>) {
        self.shared
            .change(|state| state.files.insert(file_id.to_owned(), bytes.into().into()));
    }

    /// The next call of `method` fails so; "*" means any method.
    pub fn fail_next(&self, method: &str, failure: Failure) {
        self.fail_times(method, 1, failure);
    }

    /// The next `times` calls of `method` fail so.
    pub fn fail_times(&self, method: &str, times: usize, failure: Failure) {
        self.shared
            .change(|state| state.fail(method, times, failure));
    }

    /// Forgets all failures still ordered.
    pub fn heal(&self) {
        self.shared.change(|state| state.failures.clear());
    }

    /// From now on webhook calls fail as if nobody listened, or reach the bot again.
    pub fn break_webhook(&self, broken: bool) {
        self.shared.change(|state| state.webhook_broken = broken);
        self.shared.announce();
    }

    /// First pause before a failed webhook call is made again; doubled each time, up to a hundredfold.
    pub fn retry_webhook_after(&self, pause: Duration) {
        self.shared.change(|state| state.webhook_pause = pause);
    }

    /// Refuses messages to a chat, as when a person blocks the bot.
    pub fn block(&self, chat: i64) {
        self.shared.change(|state| state.blocked.insert(chat));
    }

    /// Turns the group `from` into the supergroup `to`: sends to the old id are refused with the new one.
    pub fn migrate(&self, from: i64, to: i64) {
        self.shared.change(|state| state.migrated.insert(from, to));
    }

    /// What the bot sent to a chat, in order.
    pub fn sent(&self, chat: i64) -> Vec<Sent> {
        self.shared
            .look(|state| state.sent.get(&chat).cloned().unwrap_or_default())
    }

    /// From now on, the chat of each message that is sent, as it is sent. The newest caller is the one who is told.
    pub fn told(&self) -> mpsc::UnboundedReceiver<i64> {
        let (told, hear) = mpsc::unbounded_channel();
        self.shared.change(|state| state.told = Some(told));
        hear
    }

    /// How many messages the bot sent, over all chats.
    pub fn sent_in_all(&self) -> usize {
        self.shared.look(|state| state.sent_in_all)
    }

    /// Texts that the bot sent to the same chat more than once, with how often.
    pub fn repeated(&self) -> Vec<(i64, String, usize)> {
        self.shared.look(State::repeated)
    }

    /// From each `say` to the answer that the bot gave to it, the first in its chat to the first.
    pub fn latencies(&self) -> Vec<Duration> {
        self.shared.look(|state| state.latencies.clone())
    }

    /// The calls of `method` so far, in order; of getUpdates the last 100, and sendMessage's parameters are in [`Sent`].
    pub fn calls(&self, method: &str) -> Vec<Call> {
        self.shared.look(|state| {
            state
                .calls
                .get(&method.to_lowercase())
                .cloned()
                .unwrap_or_default()
                .into()
        })
    }

    /// The webhook calls made so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.look(|state| state.deliveries.clone())
    }

    /// The webhook that is set.
    pub fn webhook(&self) -> Option<Webhook> {
        self.shared.look(|state| state.webhook.clone())
    }

    /// Sets a webhook as somebody else would, or removes it.
    pub fn set_webhook(&self, webhook: Option<Webhook>) {
        self.shared.change(|state| state.set_webhook(webhook));
        self.shared.announce();
    }

    /// How many updates the bot has not confirmed.
    pub fn waiting(&self) -> usize {
        self.shared.look(|state| state.updates.len())
    }

    /// Waits until the bot has sent `count` messages to a chat.
    pub async fn wait_sent(&self, chat: i64, count: usize) -> Vec<Sent> {
        self.wait(&format!("{count} messages to {chat}"), |state| {
            state
                .sent
                .get(&chat)
                .filter(|sent| sent.len() >= count)
                .cloned()
        })
        .await
    }

    /// Waits until the bot has sent `count` messages over all chats.
    pub async fn wait_sent_in_all(&self, count: usize) {
        self.wait(&format!("{count} messages"), |state| {
            (state.sent_in_all >= count).then_some(())
        })
        .await;
    }

    /// Waits until `method` was called `count` times.
    pub async fn wait_calls(&self, method: &str, count: usize) -> Vec<Call> {
        let name = method.to_lowercase();
        self.wait(&format!("{count} calls of {method}"), |state| {
            let reached = state.counts.get(&name).is_some_and(|calls| *calls >= count);
            reached.then(|| state.calls[&name].clone().into())
        })
        .await
    }

    /// Waits until the bot has confirmed every update.
    pub async fn wait_confirmed(&self) {
        self.wait("all updates confirmed", |state| {
            state.updates.is_empty().then_some(())
        })
        .await;
    }

    /// Waits until a webhook is set, or none is.
    pub async fn wait_webhook(&self, set: bool) {
        self.wait("the webhook", |state| {
            (state.webhook.is_some() == set).then_some(())
        })
        .await;
    }

    async fn wait<T>(&self, what: &str, ready: impl Fn(&State) -> Option<T>) -> T {
        let mut changed = self.shared.changed.subscribe();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                if let Some(found) = self.shared.look(&ready) {
                    return found;
                }
                changed
                    .changed()
                    .await
                    .expect("the sender lives as long as the fake");
            }
        };
        timeout(DEADLINE, waiting)
            .await
            .unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
    }
}

impl Drop for FakeTelegram {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.lock())
    }

    /// Wakes everyone who waits for a change.
    pub(crate) fn announce(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }
}

/// A chat as Telegram shows it: private where the id is positive.
pub(crate) fn chat_json(chat: i64) -> Value {
    match chat {
        1.. => json!({"id": chat, "type": "private", "first_name": format!("Person {chat}")}),
        _ => json!({"id": chat, "type": "supergroup", "title": format!("Group {chat}")}),
    }
}
