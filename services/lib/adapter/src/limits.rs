//! How fast one account may ask its platform: waiting instead of failing, with the time passed in.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use crate::Rate;

/// Idle conversations are forgotten when there are this many, and again whenever twice as many are left.
const SWEEP_AT: usize = 1024;
/// Over which time messages to a group are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// A second 429 within this time pauses the whole account.
const REPEATED_WITHIN: Duration = Duration::from_secs(10);

/// The limits of one account.
#[derive(Debug)]
pub(crate) struct Limits {
    rate: Rate,
    account: Bucket,
    conversations: HashMap<String, Conversation>,
    sweep_at: usize,
    refused_at: Option<Instant>,
}

#[derive(Debug, Default)]
struct Conversation {
    bucket: Bucket,
    /// When messages went to this group in the last minute.
    minute: VecDeque<Instant>,
}

/// Generic cell rate algorithm: `full` is when all of the allowance is used up.
#[derive(Debug, Default)]
struct Bucket {
    full: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Limits {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            account: Bucket::default(),
            conversations: HashMap::new(),
            sweep_at: SWEEP_AT,
            refused_at: None,
        }
    }

    /// How long a message to `conversation` has to wait for the conversation's own limits; zero for not at all.
    pub(crate) fn wait(&self, conversation: &str, group: bool, now: Instant) -> Duration {
        let Some(known) = self.conversations.get(conversation) else {
            return Duration::ZERO;
        };
        let pace = known
            .bucket
            .wait(self.rate.per_conversation_per_s, self.rate.burst, now);
        let most = self.rate.per_group_per_min;
        if !group || most <= 0.0 {
            return pace;
        }
        // The message that must be a minute old before the next may go.
        let oldest = known.minute.iter().rev().nth((most as usize).max(1) - 1);
        pace.max(oldest.map_or(Duration::ZERO, |sent| {
            (*sent + MINUTE).saturating_duration_since(now)
        }))
    }

    /// How long anything for `conversation` has to wait because the platform said so.
    pub(crate) fn paused(&self, conversation: &str, now: Instant) -> Duration {
        self.conversations
            .get(conversation)
            .map_or(Duration::ZERO, |known| known.bucket.paused(now))
    }

    /// How long any request has to wait for the account's limit; zero for not at all.
    pub(crate) fn wait_account(&self, now: Instant) -> Duration {
        self.account.wait(self.rate.per_account_per_s, 1, now)
    }

    /// Counts a request that goes now and is no message: the account's limit alone knows of it.
    pub(crate) fn take_account(&mut self, now: Instant) {
        self.account.take(self.rate.per_account_per_s, now);
    }

    /// Counts a message that goes now.
    pub(crate) fn take(&mut self, conversation: &str, group: bool, now: Instant) {
        self.take_account(now);
        let rate = self.rate;
        let known = self.conversation(conversation, now);
        known.bucket.take(rate.per_conversation_per_s, now);
        if group && rate.per_group_per_min > 0.0 {
            known.minute.push_back(now);
            while known.minute.len() > (rate.per_group_per_min as usize).max(1) {
                known.minute.pop_front();
            }
        }
    }

    /// The platform said "too fast" and for how long: the conversation pauses, and the account if it says so again.
    pub(crate) fn refused(&mut self, conversation: &str, pause: Duration, now: Instant) {
        let until = now + pause;
        let repeated = self
            .refused_at
            .is_some_and(|last| now.saturating_duration_since(last) < REPEATED_WITHIN);
        self.refused_at = Some(now);
        if repeated {
            self.account.paused_until = self.account.paused_until.max(Some(until));
        }
        let known = self.conversation(conversation, now);
        known.bucket.paused_until = known.bucket.paused_until.max(Some(until));
    }

    /// The platform took a message: the next 429 is a first one again.
    pub(crate) fn accepted(&mut self) {
        self.refused_at = None;
    }

    fn conversation(&mut self, name: &str, now: Instant) -> &mut Conversation {
        if self.conversations.len() >= self.sweep_at {
            self.conversations.retain(|_, known| !known.idle(now));
            self.sweep_at = SWEEP_AT.max(self.conversations.len() * 2);
        }
        // Most calls find it, so the name is copied only when it is new.
        if !self.conversations.contains_key(name) {
            self.conversations
                .insert(name.to_owned(), Conversation::default());
        }
        self.conversations.get_mut(name).expect("inserted above")
    }
}

impl Conversation {
    fn idle(&self, now: Instant) -> bool {
        let over = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        over(self.bucket.full)
            && over(self.bucket.paused_until)
            && self.minute.back().is_none_or(|sent| *sent + MINUTE <= now)
    }
}

impl Bucket {
    fn wait(&self, per_s: f64, burst: u32, now: Instant) -> Duration {
        let paused = self.paused(now);
        let Some(full) = self.full.filter(|_| per_s > 0.0) else {
            return paused;
        };
        let allowance = interval(per_s) * burst.saturating_sub(1);
        paused.max(
            full.saturating_duration_since(now)
                .saturating_sub(allowance),
        )
    }

    fn paused(&self, now: Instant) -> Duration {
        self.paused_until
            .map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn take(&mut self, per_s: f64, now: Instant) {
        if per_s > 0.0 {
            self.full = Some(self.full.map_or(now, |full| full.max(now)) + interval(per_s));
        }
    }
}

/// Time between two messages at `per_s` messages per second, at most an hour.
fn interval(per_s: f64) -> Duration {
    Duration::from_secs_f64((1.0 / per_s).min(3600.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_account_per_s: 30.0,
        per_conversation_per_s: 1.0,
        burst: 3,
        per_group_per_min: 20.0,
    };

    /// Sends as fast as allowed for `seconds`; when each message went.
    fn send(
        limits: &mut Limits,
        conversation: &str,
        group: bool,
        from: Instant,
        seconds: u64,
    ) -> Vec<Duration> {
        let (mut sent, mut now) = (Vec::new(), from);
        while now < from + Duration::from_secs(seconds) {
            let wait = limits
                .wait(conversation, group, now)
                .max(limits.wait_account(now));
            if wait.is_zero() {
                limits.take(conversation, group, now);
                sent.push(now - from);
            }
            now += wait.max(Duration::from_millis(1));
        }
        sent
    }

    #[test]
    fn a_conversation_gets_a_burst_and_then_its_pace() {
        let sent = send(&mut Limits::new(RATE), "a", false, Instant::now(), 10);
        assert_eq!(sent.len(), 12);
        assert!(
            sent[2] < Duration::from_secs(1) && sent[3] >= Duration::from_millis(900),
            "{sent:?}"
        );
    }

    #[test]
    fn a_group_gets_no_more_than_its_share_in_any_minute() {
        let sent = send(&mut Limits::new(RATE), "a", true, Instant::now(), 300);
        for (n, first) in sent.iter().enumerate() {
            let within = sent[n..].iter().filter(|at| **at - *first < MINUTE).count();
            assert!(within <= 20, "{within} in a minute");
        }
        assert!(sent.len() >= 95, "{}", sent.len());
    }

    #[test]
    fn the_account_limit_is_exact_over_all_conversations() {
        let mut limits = Limits::new(RATE);
        let (began, mut now, mut sent) = (Instant::now(), Instant::now(), 0_u32);
        while now < began + Duration::from_secs(10) {
            let wait = limits.wait_account(now);
            if wait.is_zero() {
                limits.take(&format!("c{sent}"), false, now);
                sent += 1;
            }
            now += wait.max(Duration::from_micros(100));
        }
        assert!((299..=301).contains(&sent), "{sent}");
    }

    #[test]
    fn a_refusal_pauses_the_conversation_and_a_second_one_the_account() {
        let (mut limits, now, pause) = (Limits::new(RATE), Instant::now(), Duration::from_secs(7));
        limits.refused("a", pause, now);
        assert_eq!(limits.wait("a", false, now), pause);
        assert!(limits.wait_account(now).is_zero() && limits.wait("b", false, now).is_zero());
        limits.refused("b", pause, now);
        assert_eq!(limits.wait_account(now), pause);
        assert!(limits.wait_account(now + pause).is_zero());
    }

    #[test]
    fn idle_conversations_are_forgotten() {
        let (mut limits, began) = (Limits::new(RATE), Instant::now());
        for n in 0..100_000_u32 {
            limits.take(&n.to_string(), true, began + Duration::from_millis(100) * n);
        }
        assert!(
            limits.conversations.len() <= 2 * SWEEP_AT,
            "{}",
            limits.conversations.len()
        );
    }

    #[test]
    fn without_limits_nothing_waits() {
        let sent = send(
            &mut Limits::new(Rate::default()),
            "a",
            true,
            Instant::now(),
            1,
        );
        assert_eq!(sent.len(), 1000);
    }
}
