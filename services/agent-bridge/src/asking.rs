//! Asks until there is an answer: breaker, retries, and the pieces told live on the way.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use bus::{Bus, Fence};
use chassis::breaker::Breaker;
use proto::{
    subject,
    v1::{Address, Delta},
};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::{
    backend::{Backend, End, Piece, Question, Usage},
    config::Config,
    failure::{Failure, Problem},
    live::{self, Live},
    meter,
};

/// What a cut answer ends with.
const CUT: &str = "\n\n[cut: longer than this gateway allows]";

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Its text; not empty.
    pub text: String,
    /// stop, length, ... in the provider's words.
    pub stop_reason: String,
    /// What it cost in tokens.
    pub usage: Usage,
    /// The provider did not count, so `usage` is a guess: a token for four characters.
    pub estimated: bool,
}

/// The backend, and what stands before it.
pub(crate) struct Asking {
    backend: Backend,
    guard: Mutex<Guard>,
    retries: ExponentialBuilder,
    max_output_chars: usize,
}

/// The provider's breaker, and the failure that every turn ends with while it is open.
struct Guard {
    breaker: Breaker,
    last: Failure,
    /// When a failure was counted last.
    counted_at: Option<Instant>,
}

/// Where the pieces of an answer are told.
pub(crate) struct Telling<'a> {
    bus: &'a Bus,
    fence: &'a Fence,
    subject: String,
}

impl Asking {
    /// Makes the backend that `config` chooses.
    ///
    /// # Errors
    /// As [`Backend::new`].
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let retries = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(config.retry_pause_ms))
            .with_max_times(config.retries)
            .with_jitter();
        let last = Failure::new(Problem::Unavailable, "");
        Ok(Self {
            backend: Backend::new(config)?,
            guard: Mutex::new(Guard {
                breaker: Breaker::default(),
                last,
                counted_at: None,
            }),
            retries,
            max_output_chars: config.max_output_chars,
        })
    }

    /// What answers.
    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Asks until there is an answer, or trying again is of no use, or would come after `deadline`.
    ///
    /// # Errors
    /// With the last failure.
    pub(crate) async fn answer(
        &self,
        question: &Question,
        live: &mut Live,
        telling: &Telling<'_>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let mut pauses = self.retries.build();
        loop {
            self.allow()?;
            let asked = Instant::now();
            let failure = match self.attempt(question, live, telling).await {
                Ok(end) => {
                    self.note(None, asked);
                    return Ok(counted(question, live.text(), end));
                }
                Err(failure) => failure,
            };
            self.note(Some(&failure), asked);
            let pause = match (failure.may_heal(), pauses.next()) {
                (true, Some(pause)) => failure.wait.unwrap_or(pause),
                _ => return Err(failure),
            };
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            meter::retried(self.backend.provider(), failure.kind());
            let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
            info!(
                pause_ms,
                http.status = failure.http_status,
                detail = failure.detail,
                "asking the model again"
            );
            sleep(pause).await;
            if let Some(delta) = live.restart() {
                telling.tell(delta).await;
            }
        }
    }

    /// Asks once.
    async fn attempt(
        &self,
        question: &Question,
        live: &mut Live,
        telling: &Telling<'_>,
    ) -> Result<End, Failure> {
        let begun = Instant::now();
        let provider = self.backend.provider();
        let mut reply = self.backend.ask(question).await?;
        let mut room = self.max_output_chars;
        loop {
            let piece = tokio::select! {
                piece = reply.next() => piece?,
                () = live::until(live.due()) => {
                    telling.flush(live).await;
                    continue;
                }
            };
            match piece {
                Piece::Text(text) => {
                    if live.text().is_empty() {
                        meter::first_piece(provider, begun.elapsed());
                    }
                    if let Some((end, _)) = text.char_indices().nth(room) {
                        live.say(&text[..end]);
                        live.say(CUT);
                        telling.flush(live).await;
                        return Ok(End {
                            stop_reason: "length".into(),
                            usage: None,
                        });
                    }
                    room -= text.chars().count();
                    live.say(&text);
                }
                Piece::End(end) => {
                    meter::asked(provider, begun.elapsed());
                    telling.flush(live).await;
                    return Ok(end);
                }
            }
        }
    }

    /// Notes that the model did not answer before the turn's time was over.
    pub(crate) fn was_too_slow(&self) {
        self.note(
            Some(&Failure::new(Problem::Hung, "turn's deadline")),
            Instant::now(),
        );
    }

    /// Fails at once while the provider is known to be down.
    fn allow(&self) -> Result<(), Failure> {
        let mut guard = self.guard();
        guard
            .breaker
            .allow(std::time::Instant::now())
            .map_err(|wait| {
                debug!(
                    wait_s = wait.as_secs(),
                    "the model is not asked: it failed too often"
                );
                Failure {
                    wait: Some(wait),
                    ..guard.last.clone()
                }
            })
    }

    /// Only what says that the provider is down opens the breaker: a busy one, or one that refuses, is up.
    ///
    /// Questions under way together mostly fail together, when one connection breaks: they count as one failure.
    fn note(&self, failure: Option<&Failure>, asked: Instant) {
        let mut guard = self.guard();
        let down = failure
            .filter(|failure| matches!(failure.problem, Problem::Unavailable | Problem::Hung));
        match down {
            Some(_) if guard.counted_at.is_some_and(|counted| asked < counted) => {}
            Some(failure) => {
                guard.last = failure.clone();
                guard.counted_at = Some(Instant::now());
                if guard.breaker.failed(std::time::Instant::now()) {
                    warn!(
                        provider = self.backend.provider(),
                        "the model failed too often; it is left alone for a while"
                    );
                }
            }
            None => guard.breaker.succeeded(),
        }
        meter::breaker(self.backend.provider(), guard.breaker.is_open());
    }

    fn guard(&self) -> MutexGuard<'_, Guard> {
        self.guard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Telling<'a> {
    /// Tells the pieces of an answer to `to`, as long as `fence` holds.
    pub(crate) fn new(
        bus: &'a Bus,
        fence: &'a Fence,
        to: Option<&Address>,
        session_key: &str,
    ) -> Self {
        let subject = match to {
            Some(to) => subject::delta(to, session_key),
            None => subject::delta(&Address::default(), session_key),
        };
        Self {
            bus,
            fence,
            subject,
        }
    }

    /// Tells what is due; while the session may be another's, it stays to be told.
    async fn flush(&self, live: &mut Live) {
        if !self.fence.holds() {
            live.wait(Instant::now());
        } else if let Some(delta) = live.take(Instant::now()) {
            self.tell(delta).await;
        }
    }

    /// Tells one delta. A lost one is no loss: the answer itself is stored.
    pub(crate) async fn tell(&self, delta: Delta) {
        if !self.fence.holds() {
            return;
        }
        if let Err(error) = self.bus.tell(&self.subject, &delta).await {
            debug!(error = &error as &dyn std::error::Error, "delta not told");
        }
    }
}

/// The answer, with its tokens counted or guessed.
fn counted(question: &Question, text: &str, end: End) -> Answer {
    let tokens = |chars: usize| u64::try_from(chars.div_ceil(4)).unwrap_or(u64::MAX);
    let guess = || {
        let asked = question
            .messages
            .iter()
            .map(|message| message.content.chars().count())
            .sum::<usize>();
        Usage {
            input_tokens: tokens(asked + question.system.chars().count()),
            output_tokens: tokens(text.chars().count()),
        }
    };
    Answer {
        text: text.to_owned(),
        stop_reason: end.stop_reason,
        estimated: end.usage.is_none(),
        usage: end.usage.unwrap_or_else(guess),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{Message, Role};

    fn asking() -> Asking {
        Asking::new(&Config::default()).unwrap()
    }

    #[test]
    fn a_provider_that_is_down_is_left_alone_and_one_that_refuses_is_not() {
        let asking = asking();
        for _ in 0..10 {
            let now = Instant::now();
            asking.note(Some(&Failure::new(Problem::RateLimited, "")), now);
            asking.note(Some(&Failure::new(Problem::Unauthorized, "")), now);
        }
        assert_eq!(asking.allow(), Ok(()));
        let down = Failure {
            http_status: 503,
            ..Failure::new(Problem::Unavailable, "")
        };
        let together = Instant::now();
        for _ in 0..100 {
            asking.note(Some(&down), together);
        }
        assert_eq!(
            asking.allow(),
            Ok(()),
            "one broken connection is one failure"
        );
        for _ in 0..5 {
            asking.note(Some(&down), Instant::now());
        }
        let failure = asking.allow().unwrap_err();
        assert_eq!(
            (failure.problem, failure.http_status),
            (Problem::Unavailable, 503)
        );
    }

    #[test]
    fn uncounted_tokens_are_guessed_and_marked() {
        let question = Question {
            model: "m".into(),
            system: "1234".into(),
            messages: vec![Message {
                role: Role::User,
                content: "12345".into(),
            }],
            effort: None,
        };
        let answer = counted(&question, "ä".repeat(9).as_str(), End::default());
        assert_eq!(
            answer.usage,
            Usage {
                input_tokens: 3,
                output_tokens: 3
            }
        );
        assert!(answer.estimated);
        let usage = Some(Usage {
            input_tokens: 1,
            output_tokens: 2,
        });
        assert!(
            !counted(
                &question,
                "x",
                End {
                    usage,
                    ..End::default()
                }
            )
            .estimated
        );
    }
}
