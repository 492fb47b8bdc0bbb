//! People who write while something breaks, and a note of all that they said.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    chaos::system::System,
    eventually::eventually,
    stage::{answer, text},
};

/// Messages that were said, in the order in which they were.
#[derive(Default)]
pub struct Load {
    said: Mutex<Vec<Said>>,
}

/// One message.
#[derive(Clone, Debug)]
pub struct Said {
    /// The chat.
    pub chat: i64,
    /// Its number in the chat, from 0.
    pub n: usize,
    /// The platform's number of it.
    pub update_id: i64,
    /// When it was said.
    pub at: Instant,
}

impl Said {
    /// What the person said.
    #[must_use]
    pub fn text(&self) -> String {
        text(self.chat, self.n)
    }

    /// What the model answers to it.
    #[must_use]
    pub fn answer(&self) -> String {
        answer(self.chat, self.n)
    }

    /// Where the record of sending the answer is kept.
    #[must_use]
    pub fn intent(&self) -> String {
        let turn = proto::id::of_event(&format!("telegram:main:{}", self.update_id));
        format!("{}.0", proto::id::of_outbound(&turn, 0))
    }
}

impl Load {
    /// One person says one thing more.
    pub fn say(&self, system: &System, chat: i64, n: usize) {
        let at = Instant::now();
        // Under the lock, so that the order here is the order there.
        let mut said = self.lock();
        let update_id = system.stage.telegram.say(chat, &text(chat, n));
        said.push(Said {
            chat,
            n,
            update_id,
            at,
        });
    }

    /// Notes what was said another way.
    pub fn note(&self, said: Said) {
        self.lock().push(said);
    }

    /// Has all of `chats` say the messages `numbers`, one person after the other, `pause` between two messages.
    pub async fn talk(
        &self,
        system: &System,
        chats: &[i64],
        numbers: std::ops::Range<usize>,
        pause: Duration,
    ) {
        let mut beat = tokio::time::interval(pause);
        for n in numbers {
            for chat in chats {
                beat.tick().await;
                self.say(system, *chat, n);
            }
        }
    }

    /// Has all of `chats` say the messages `numbers` at once.
    pub fn burst(&self, system: &System, chats: &[i64], numbers: std::ops::Range<usize>) {
        for n in numbers {
            chats.iter().for_each(|chat| self.say(system, *chat, n));
        }
    }

    /// Waits until the platform has `count` messages more than `before`: work is under way.
    pub async fn under_way(&self, system: &System, before: usize, count: usize) {
        let telegram = &system.stage.telegram;
        eventually("the first answers", || async {
            (telegram.sent_in_all() >= before + count).then_some(())
        })
        .await;
    }

    /// All that was said so far.
    pub fn said(&self) -> Vec<Said> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
