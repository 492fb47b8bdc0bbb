//! The platform itself: what people write waits until it is heard, what we ask waits until it is answered.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, mpsc, oneshot};

/// Requests that may wait for an answer.
const REQUESTS: usize = 64;

/// A platform in this process. Clones are the same platform.
#[derive(Clone)]
pub struct Platform {
    token: Arc<Mutex<String>>,
    updates: Arc<Updates>,
    requests: mpsc::Sender<Request>,
}

/// What people wrote and nobody has acknowledged.
#[derive(Default)]
struct Updates {
    waiting: Mutex<VecDeque<Update>>,
    arrived: Notify,
    /// Clients that poll now, and the most there ever were.
    polls: Mutex<(usize, usize)>,
}

/// Something that a person wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The platform's id of it.
    pub id: String,
    /// Where.
    pub conversation: String,
    /// Thread in there; empty where there is none.
    pub thread: String,
    /// Who.
    pub sender: String,
    /// What.
    pub text: String,
}

/// Something that we ask of the platform. Dropped without an answer, its answer is lost on the way.
#[derive(Debug)]
pub struct Request {
    /// Where.
    pub conversation: String,
    /// Thread in there; empty where there is none.
    pub thread: String,
    /// What.
    pub call: Call,
    answer: oneshot::Sender<Answer>,
}

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A new message.
    Say {
        /// Its text.
        text: String,
        /// The message that it answers; empty for none.
        reply_to: String,
    },
    /// Another text for a message.
    Change {
        /// The message.
        message_id: String,
        /// Its text from now on.
        text: String,
    },
    /// No message any more.
    Remove {
        /// The message.
        message_id: String,
    },
    /// A reaction.
    React {
        /// The message.
        message_id: String,
        /// Empty removes it.
        emoji: String,
    },
    /// Somebody is writing.
    Type,
}

/// What the platform answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done; the id of what it is about.
    Done(String),
    /// Not done: too many requests.
    TooFast {
        /// Ask again after so many seconds.
        wait_s: u64,
    },
    /// Not done: ask later.
    Busy,
    /// Not done, and never will be.
    Refused(String),
    /// Not done: who are you?
    BadToken,
}

/// A client that hears the platform. One at a time is all that real platforms allow; this one counts them.
pub(crate) struct Poll {
    updates: Arc<Updates>,
}

impl Platform {
    /// A platform, and where its requests arrive. Only clients with `token` are let in.
    #[must_use]
    pub fn new(token: &str) -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(REQUESTS);
        let token = Arc::new(Mutex::new(token.to_owned()));
        (
            Self {
                token,
                updates: Arc::default(),
                requests,
            },
            asked,
        )
    }

    /// A person writes.
    pub fn say(&self, update: Update) {
        lock(&self.updates.waiting).push_back(update);
        self.updates.arrived.notify_one();
    }

    /// What nobody has acknowledged yet.
    #[must_use]
    pub fn unheard(&self) -> usize {
        lock(&self.updates.waiting).len()
    }

    /// The most clients that ever polled at once.
    #[must_use]
    pub fn most_polls(&self) -> usize {
        lock(&self.updates.polls).1
    }

    /// Clients that poll now.
    #[must_use]
    pub fn polls(&self) -> usize {
        lock(&self.updates.polls).0
    }

    /// Expects another token from now on.
    pub fn change_token(&self, token: &str) {
        token.clone_into(&mut lock(&self.token));
    }

    pub(crate) fn who(&self, token: &str) -> Result<String, Answer> {
        if *lock(&self.token) == token {
            Ok("@loopback".into())
        } else {
            Err(Answer::BadToken)
        }
    }

    pub(crate) fn poll(&self, token: &str) -> Result<Poll, Answer> {
        self.who(token)?;
        let mut polls = lock(&self.updates.polls);
        polls.0 += 1;
        polls.1 = polls.1.max(polls.0);
        Ok(Poll {
            updates: self.updates.clone(),
        })
    }

    /// Asks; `None` when the answer was lost.
    pub(crate) async fn ask(
        &self,
        token: &str,
        conversation: String,
        thread: String,
        call: Call,
    ) -> Option<Answer> {
        if let Err(refusal) = self.who(token) {
            return Some(refusal);
        }
        let (answer, answered) = oneshot::channel();
        // Nobody is there to take it: provably nothing was done.
        if self
            .requests
            .send(Request {
                conversation,
                thread,
                call,
                answer,
            })
            .await
            .is_err()
        {
            return Some(Answer::Busy);
        }
        answered.await.ok()
    }
}

impl Request {
    /// Answers it.
    pub fn answer(self, answer: Answer) {
        // Who asked may be gone, as anywhere.
        let _ = self.answer.send(answer);
    }

    /// Its text, if it has one.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.call {
            Call::Say { text, .. } | Call::Change { text, .. } => text,
            Call::Remove { .. } | Call::React { .. } | Call::Type => "",
        }
    }
}

impl Poll {
    /// The oldest update that is not acknowledged.
    pub(crate) async fn next(&mut self) -> Update {
        loop {
            let arrived = self.updates.arrived.notified();
            if let Some(update) = lock(&self.updates.waiting).front() {
                return update.clone();
            }
            arrived.await;
        }
    }

    /// The platform forgets the oldest update.
    pub(crate) fn acknowledge(&mut self) {
        lock(&self.updates.waiting).pop_front();
    }
}

impl Drop for Poll {
    fn drop(&mut self) {
        lock(&self.updates.polls).0 -= 1;
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}
