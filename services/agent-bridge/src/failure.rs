//! Why there is no answer: what a person is told, and whether trying again may help.

use std::time::Duration;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What went wrong.
    pub problem: Problem,
    /// The provider's HTTP status; 0 where there was none.
    pub http_status: u16,
    /// For the log: a word of the provider's or of the network library's; never texts, addresses or keys.
    pub detail: String,
    /// The wait that the provider asks for.
    pub wait: Option<Duration>,
}

/// What went wrong, one variant for each thing that a person is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The provider refuses the key.
    Unauthorized,
    /// The account is out of money.
    OutOfCredit,
    /// There is no such model, or no such API at that address.
    NotFound,
    /// The address sends us elsewhere; a key is not carried there.
    Redirected,
    /// The provider refuses the request as it is.
    Rejected,
    /// The conversation is longer than the model reads.
    TooLong,
    /// Too many requests.
    RateLimited,
    /// No connection, a broken one, or an error of the provider's own.
    Unavailable,
    /// Begun, then silent.
    Hung,
    /// The turn's own time is over.
    Deadline,
    /// What came is no answer in any form we know.
    Garbage,
    /// An answer without a word in it.
    Empty,
    /// The provider's filter kept the answer back.
    Filtered,
}

impl Failure {
    /// A failure without HTTP status.
    pub(crate) fn new(problem: Problem, detail: impl Into<String>) -> Self {
        Self {
            problem,
            http_status: 0,
            detail: detail.into(),
            wait: None,
        }
    }

    /// A broken connection. The library's error may name the address, so only its kind is kept.
    pub(crate) fn network(error: &reqwest::Error) -> Self {
        let detail = match error {
            error if error.is_connect() => "no connection",
            error if error.is_timeout() => "connection timed out",
            error if error.is_body() || error.is_decode() => "answer cut off",
            error if error.is_builder() => "request could not be made",
            _ => "connection broke",
        };
        Self::new(Problem::Unavailable, detail)
    }

    /// Whether the same request may succeed when it is made again.
    pub(crate) fn may_heal(&self) -> bool {
        matches!(
            self.problem,
            Problem::RateLimited | Problem::Unavailable | Problem::Hung
        )
    }

    /// Its kind, as in the event.
    pub(crate) fn kind(&self) -> &'static str {
        match self.problem {
            Problem::Unauthorized => "unauthorized",
            Problem::OutOfCredit | Problem::RateLimited => "rate_limit",
            Problem::NotFound | Problem::Redirected | Problem::Unavailable => "unavailable",
            Problem::TooLong => "context_length",
            Problem::Hung | Problem::Deadline => "timeout",
            Problem::Rejected | Problem::Garbage | Problem::Empty => "unknown",
            Problem::Filtered => "refusal",
        }
    }

    /// What a person is told: what happened, that nothing is lost, what to do.
    pub(crate) fn message(&self) -> String {
        let again = "Your message is kept; please send it again in a moment.";
        match self.problem {
            Problem::Unauthorized => {
                "The model refused its key. Your message is kept; the operator has to set agent.api_key.".into()
            }
            Problem::OutOfCredit => {
                "The model's account has no credit left. Your message is kept; the operator has to top it up.".into()
            }
            Problem::NotFound => "The provider does not know this model. Your message is kept; choose another with \
                                  /model, or the operator has to set agent.model or agent.url."
                .into(),
            Problem::Redirected => "The model's address points elsewhere. Your message is kept; the operator has to \
                                    set agent.url to the final address."
                .into(),
            Problem::Rejected => "The model could not take this request. Your message is kept; please say it in other \
                                  words, or begin anew with /new."
                .into(),
            Problem::TooLong => "This conversation has grown longer than the model can read. Your message is kept; \
                                 please begin anew with /new."
                .into(),
            Problem::RateLimited => match self.wait {
                Some(wait) => format!(
                    "The model is asked too much right now. Your message is kept; please send it again in {}.",
                    spoken(wait)
                ),
                None => format!("The model is asked too much right now. {again}"),
            },
            Problem::Unavailable => format!("The model cannot be reached right now. {again}"),
            Problem::Hung => format!("The model stopped in the middle of its answer. {again}"),
            Problem::Deadline => format!("The model took too long to answer. {again}"),
            Problem::Garbage => format!("The model sent something that is no answer. {again}"),
            Problem::Empty => format!("The model answered with nothing. {again}"),
            Problem::Filtered => "The model's provider kept this answer back. Your message is kept; please say it in \
                                  other words."
                .into(),
        }
    }
}

/// "20 seconds", "3 minutes", "2 hours"; rounded up.
fn spoken(wait: Duration) -> String {
    let seconds = wait.as_secs().max(1);
    let (count, unit) = match seconds {
        0..=90 => (seconds, "second"),
        91..=5400 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3600), "hour"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_tried_again() {
        let heals = |problem| Failure::new(problem, "").may_heal();
        assert!(heals(Problem::RateLimited) && heals(Problem::Unavailable) && heals(Problem::Hung));
        assert!(
            !heals(Problem::Unauthorized) && !heals(Problem::NotFound) && !heals(Problem::Rejected)
        );
        assert!(!heals(Problem::Garbage) && !heals(Problem::Deadline));
    }

    #[test]
    fn a_person_is_told_no_internals() {
        let failure = Failure {
            http_status: 503,
            ..Failure::new(Problem::Unavailable, "tcp reset")
        };
        assert!(!failure.message().contains("503") && !failure.message().contains("tcp"));
        assert!(failure.message().contains("kept"));
    }

    #[test]
    fn a_wait_is_spoken_as_people_do() {
        let told = [1, 20, 91, 5400, 7200].map(|seconds| spoken(Duration::from_secs(seconds)));
        assert_eq!(
            told,
            [
                "1 second",
                "20 seconds",
                "2 minutes",
                "90 minutes",
                "2 hours"
            ]
        );
    }
}
