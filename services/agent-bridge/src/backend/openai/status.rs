//! What a provider's refusal means: HTTP status and error object become a [`Failure`].

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::failure::{Failure, Problem};

/// The failure that an answer with `status` is.
pub(super) fn of_answer(status: u16, headers: &HeaderMap, body: &[u8]) -> Failure {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    // Some servers wrap the object in a list, some leave the wrapping out.
    let error = body
        .get("error")
        .or_else(|| body.get(0)?.get("error"))
        .unwrap_or(&body);
    let words = Words::of(error);
    Failure {
        problem: problem(status, &words),
        http_status: status,
        detail: words.name,
        wait: wait(headers),
    }
}

/// The failure that an error object within an answer is.
pub(super) fn of_error(error: &Value) -> Failure {
    let words = Words::of(error);
    let status = match &error["code"] {
        Value::Number(code) => code.as_u64().and_then(|code| u16::try_from(code).ok()),
        _ => None,
    };
    let problem = match status {
        Some(status) => problem(status, &words),
        None => words.problem().unwrap_or(match words.name.as_str() {
            "" => Problem::Garbage,
            _ => Problem::Unavailable,
        }),
    };
    Failure {
        http_status: status.unwrap_or_default(),
        ..Failure::new(problem, words.name)
    }
}

/// What an error object says.
struct Words {
    // Its code or type, for the log.
    name: String,
    // All its words in lower case; never logged, as they may quote the key or the conversation.
    all: String,
}

impl Words {
    fn of(error: &Value) -> Self {
        let word = |key: &str| error[key].as_str().unwrap_or_default();
        let all = match error {
            Value::String(text) => text.to_lowercase(),
            _ => format!("{} {} {}", word("code"), word("type"), word("message")).to_lowercase(),
        };
        let name = [word("code"), word("type")]
            .into_iter()
            .find(|name| !name.is_empty());
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let name: String = name
            .unwrap_or_default()
            .chars()
            .filter(plain)
            .take(64)
            .collect();
        Self { name, all }
    }

    fn has(&self, any: &[&str]) -> bool {
        any.iter().any(|words| self.all.contains(words))
    }

    fn problem(&self) -> Option<Problem> {
        if self.has(&[
            "context_length",
            "context length",
            "context window",
            "prompt is too long",
            "maximum context",
        ]) {
            Some(Problem::TooLong)
        } else if self.has(&["insufficient_quota", "billing"]) {
            Some(Problem::OutOfCredit)
        } else if self.has(&["rate_limit", "rate limit"]) {
            Some(Problem::RateLimited)
        } else if self.has(&["invalid_api_key", "authentication_error"]) {
            Some(Problem::Unauthorized)
        } else if self.has(&["content_filter", "content_policy"]) {
            Some(Problem::Filtered)
        } else if self.has(&["model_not_found"]) {
            Some(Problem::NotFound)
        } else {
            None
        }
    }
}

fn problem(status: u16, words: &Words) -> Problem {
    match status {
        401 | 403 => Problem::Unauthorized,
        402 => Problem::OutOfCredit,
        404 => Problem::NotFound,
        429 if words.problem() == Some(Problem::OutOfCredit) => Problem::OutOfCredit,
        429 => Problem::RateLimited,
        408 | 409 | 500.. => Problem::Unavailable,
        300..=399 => Problem::Redirected,
        413 => Problem::TooLong,
        400..=499 => match words.problem() {
            Some(Problem::RateLimited) | None => Problem::Rejected,
            Some(problem) => problem,
        },
        _ => Problem::Garbage,
    }
}

/// The wait that `Retry-After` asks for, in seconds; a date there is passed over.
fn wait(headers: &HeaderMap) -> Option<Duration> {
    let header = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = header("retry-after-ms")
        .map(|wait| wait / 1000.0)
        .or_else(|| header("retry-after"))?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: u16, body: &str) -> Failure {
        of_answer(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn each_status_has_its_problem() {
        let problems = [401, 403, 404, 408, 409, 429, 500, 503, 302, 422]
            .map(|status| failure(status, "").problem);
        let expected = [
            Problem::Unauthorized,
            Problem::Unauthorized,
            Problem::NotFound,
            Problem::Unavailable,
            Problem::Unavailable,
            Problem::RateLimited,
            Problem::Unavailable,
            Problem::Unavailable,
            Problem::Redirected,
            Problem::Rejected,
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn the_words_tell_what_the_status_does_not() {
        let long = r#"{"error":{"code":"context_length_exceeded","message":"This model's maximum context ..."}}"#;
        assert_eq!(failure(400, long).problem, Problem::TooLong);
        let poor = r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#;
        assert_eq!(failure(429, poor).problem, Problem::OutOfCredit);
        assert_eq!(
            failure(400, r#"[{"error":"prompt is too long"}]"#).problem,
            Problem::TooLong
        );
        assert_eq!(failure(400, "<html>").problem, Problem::Rejected);
    }

    #[test]
    fn the_log_gets_a_name_and_never_a_sentence() {
        let body = r#"{"error":{"code":"invalid_api_key\n","message":"Incorrect API key provided: sk-canary"}}"#;
        assert_eq!(failure(401, body).detail, "invalid_api_key");
        assert_eq!(
            failure(401, r#"{"error":{"message":"sk-canary"}}"#).detail,
            ""
        );
    }

    #[test]
    fn the_wait_is_the_providers() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "2".parse().unwrap());
        assert_eq!(
            of_answer(429, &headers, b"").wait,
            Some(Duration::from_secs(2))
        );
        headers.insert("retry-after-ms", "150".parse().unwrap());
        assert_eq!(
            of_answer(429, &headers, b"").wait,
            Some(Duration::from_millis(150))
        );
        headers.insert("retry-after-ms", "-1".parse().unwrap());
        assert_eq!(of_answer(429, &headers, b"").wait, None);
    }
}
