//! Who has guessed wrong too often: the one limiter of every way to prove who one is.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use proto::v1::Guess;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::peer::household;

mod share;

pub(crate) use share::{Heard, share};

/// Wrong guesses within [`WINDOW`] that lock an address out.
const GUESSES: u32 = 10;
/// Guesses are counted for this long.
const WINDOW: Duration = Duration::from_secs(60);
/// So long is an address locked out, right guesses included.
const LOCK: Duration = Duration::from_secs(300);
/// Addresses remembered; the one that was quiet longest goes first.
const ADDRESSES: usize = 10_000;
/// A command line on this machine is never locked out; it waits this long, doubled with each guess.
const FIRST_DELAY: Duration = Duration::from_millis(250);
/// Longest of these waits.
const LAST_DELAY: Duration = Duration::from_secs(5);

/// Guesses that other replicas were not told of yet, at most; more are counted here alone.
const UNTOLD: usize = 1024;

/// Counts wrong guesses by address: its own at once, those of other replicas as it hears of them.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Tells its own guesses from those of other replicas.
    replica: String,
    records: Mutex<HashMap<Guesser, Record>>,
    untold: Mutex<VecDeque<Guess>>,
    told: Notify,
}

/// Who guesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Guesser {
    address: IpAddr,
    /// A program on this machine, no browser: only delayed.
    exempt: bool,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    guesses: u32,
    since: Instant,
    last: Instant,
    locked_until: Option<Instant>,
}

impl Guesser {
    /// The guesser at `address`; `exempt` for a program on this machine.
    pub(crate) fn new(address: IpAddr, exempt: bool) -> Self {
        Self {
            address: household(address),
            exempt,
        }
    }
}

impl Default for Limiter {
    fn default() -> Self {
        Self {
            replica: Uuid::new_v4().to_string(),
            records: Mutex::default(),
            untold: Mutex::default(),
            told: Notify::new(),
        }
    }
}

impl Limiter {
    /// How long `who` is still locked out.
    pub(crate) fn locked(&self, who: Guesser, now: Instant) -> Option<Duration> {
        let until = self.lock().get(&who)?.locked_until?;
        until
            .checked_duration_since(now)
            .filter(|left| !left.is_zero())
    }

    /// Counts a wrong guess; answer it after the wait that is returned.
    pub(crate) fn failed(&self, who: Guesser, now: Instant) -> Duration {
        self.tell(who, false);
        self.count(who, now)
    }

    fn count(&self, who: Guesser, now: Instant) -> Duration {
        let mut records = self.lock();
        if records.len() >= ADDRESSES && !records.contains_key(&who) {
            forget(&mut records, now);
        }
        let fresh = Record {
            guesses: 0,
            since: now,
            last: now,
            locked_until: None,
        };
        let record = records.entry(who).or_insert(fresh);
        if now.duration_since(record.since) > WINDOW {
            *record = fresh;
        }
        record.guesses += 1;
        record.last = now;
        if who.exempt {
            let doubled = FIRST_DELAY.saturating_mul(1 << (record.guesses - 1).min(8));
            return doubled.min(LAST_DELAY);
        }
        if record.guesses >= GUESSES {
            record.locked_until = Some(now + LOCK);
        }
        Duration::ZERO
    }

    /// Forgets the wrong guesses of who has guessed right.
    pub(crate) fn succeeded(&self, who: Guesser) {
        if self.lock().remove(&who).is_some() {
            self.tell(who, true);
        }
    }

    /// Counts what another replica heard.
    fn heard(&self, guess: &Guess, now: Instant) {
        let Ok(address) = guess.address.parse() else {
            return;
        };
        let who = Guesser::new(address, false);
        if guess.replica == self.replica {
            return;
        }
        if guess.right {
            self.lock().remove(&who);
        } else {
            self.count(who, now);
        }
    }

    /// Puts a guess aside to be told; never waits. Programs on this machine are this machine's matter.
    fn tell(&self, who: Guesser, right: bool) {
        if who.exempt {
            return;
        }
        let guess = Guess {
            replica: self.replica.clone(),
            address: who.address.to_string(),
            right,
        };
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        if untold.len() < UNTOLD {
            untold.push_back(guess);
            self.told.notify_one();
        }
    }

    /// The next guess to be told to other replicas.
    async fn untold(&self) -> Guess {
        loop {
            if let Some(guess) = self.next_untold() {
                return guess;
            }
            self.told.notified().await;
        }
    }

    fn next_untold(&self) -> Option<Guess> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.pop_front()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Guesser, Record>> {
        // Nothing in here panics half-way, so what a poisoned lock guards is whole.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes room: what has run out goes, or else who was quiet longest.
fn forget(records: &mut HashMap<Guesser, Record>, now: Instant) {
    records.retain(|_, record| match record.locked_until {
        Some(until) => until > now,
        None => now.duration_since(record.since) <= WINDOW,
    });
    if records.len() >= ADDRESSES {
        let quiet = records
            .iter()
            .min_by_key(|(_, record)| record.last)
            .map(|(who, _)| *who);
        quiet.and_then(|who| records.remove(&who));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn far(address: &str) -> Guesser {
        Guesser::new(address.parse().unwrap(), false)
    }

    #[test]
    fn ten_guesses_in_a_minute_lock_an_address_out_for_five() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for _ in 0..GUESSES {
            assert_eq!(limiter.locked(far("192.0.2.1"), now), None);
            limiter.failed(far("192.0.2.1"), now);
        }
        assert_eq!(limiter.locked(far("192.0.2.1"), now), Some(LOCK));
        assert_eq!(
            limiter.locked(far("::ffff:192.0.2.1"), now),
            Some(LOCK),
            "same address"
        );
        assert_eq!(limiter.locked(far("192.0.2.2"), now), None);
        assert_eq!(limiter.locked(far("192.0.2.1"), now + LOCK), None);
    }

    #[test]
    fn slow_guesses_and_a_right_one_are_forgotten() {
        let (limiter, mut now) = (Limiter::default(), Instant::now());
        for _ in 0..GUESSES * 2 {
            limiter.failed(far("192.0.2.1"), now);
            now += WINDOW / 5;
        }
        assert_eq!(limiter.locked(far("192.0.2.1"), now), None);
        for _ in 0..GUESSES - 1 {
            limiter.failed(far("192.0.2.9"), now);
        }
        limiter.succeeded(far("192.0.2.9"));
        limiter.failed(far("192.0.2.9"), now);
        assert_eq!(limiter.locked(far("192.0.2.9"), now), None);
    }

    #[test]
    fn a_command_line_on_this_machine_only_waits() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        let cli = Guesser::new("127.0.0.1".parse().unwrap(), true);
        let waits: Vec<_> = (0..20).map(|_| limiter.failed(cli, now)).collect();
        assert_eq!(
            (waits[0], waits[1], waits[19]),
            (FIRST_DELAY, FIRST_DELAY * 2, LAST_DELAY)
        );
        assert_eq!(limiter.locked(cli, now), None);
    }

    #[test]
    fn what_another_replica_heard_counts_but_what_comes_back_does_not() {
        let (one, other, now) = (Limiter::default(), Limiter::default(), Instant::now());
        for _ in 0..GUESSES {
            one.failed(far("192.0.2.1"), now);
        }
        let told = std::mem::take(&mut *one.untold.lock().unwrap());
        assert_eq!(told.len(), 10);
        for guess in &told {
            one.heard(guess, now);
            other.heard(guess, now);
        }
        assert_eq!(one.lock()[&far("192.0.2.1")].guesses, GUESSES);
        assert_eq!(other.locked(far("192.0.2.1"), now), Some(LOCK));
        let right = Guess {
            replica: one.replica.clone(),
            address: "192.0.2.1".into(),
            right: true,
        };
        other.heard(&right, now);
        assert_eq!(other.locked(far("192.0.2.1"), now), None);
        assert!(
            other.untold.lock().unwrap().is_empty(),
            "nothing is told on"
        );
        one.failed(Guesser::new("127.0.0.1".parse().unwrap(), true), now);
        assert!(one.untold.lock().unwrap().is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let (limiter, now) = (Limiter::default(), Instant::now());
        for n in 0..ADDRESSES as u32 + 50 {
            let address = IpAddr::V4(std::net::Ipv4Addr::from_bits(n));
            limiter.failed(Guesser::new(address, false), now);
        }
        assert!(limiter.lock().len() <= ADDRESSES);
        assert!(limiter.untold.lock().unwrap().len() <= UNTOLD);
    }
}
