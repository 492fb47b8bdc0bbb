//! What Telegram says when it does not do as asked, and what that means.

use std::time::Duration;

use adapter::Error;
use serde::Deserialize;
use serde_json::Value;

use crate::outbound::Request;

/// How long to wait when told to wait, but not how long.
const UNSTATED_WAIT: Duration = Duration::from_secs(1);

/// An answer with `"ok": false`, or a status that says the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `error_code`, or else the HTTP status.
    pub(crate) code: u16,
    /// Telegram's words; no secrets.
    pub(crate) description: String,
    /// How long to wait.
    pub(crate) retry_after: Option<Duration>,
    /// The group's new id.
    pub(crate) migrate_to: Option<i64>,
}

/// `parameters` of a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Parameters {
    migrate_to_chat_id: Option<i64>,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(code: u16, description: String, parameters: Parameters) -> Self {
        Self {
            code,
            description,
            retry_after: parameters.retry_after.map(Duration::from_secs),
            migrate_to: parameters.migrate_to_chat_id,
        }
    }

    /// Whether what was asked for is already so, or no longer matters.
    pub(crate) fn is_success(&self, method: &str) -> bool {
        let words: &[&str] = match method {
            "editMessageText" => &["message is not modified"],
            "deleteMessage" => &["message to delete not found"],
            "answerCallbackQuery" => &["query is too old", "query id is invalid"],
            _ => &[],
        };
        words.iter().any(|words| self.says(words))
    }

    /// Whether a webhook, rather than another poller, is in the way of polling.
    pub(crate) fn is_webhook_conflict(&self) -> bool {
        self.code == 409 && self.says("webhook")
    }

    /// The same request without what Telegram stumbled over; none if that would be no other request.
    pub(crate) fn revise(&self, request: &mut Request) -> bool {
        let Some(params) = request.params.as_object_mut() else {
            return false;
        };
        if let Some(new_id) = self.migrate_to {
            return params.insert("chat_id".into(), new_id.into()) != Some(Value::from(new_id));
        }
        if self.code != 400 {
            return false;
        }
        let stumbled = [
            (["can't parse", "entit"], ["entities", "caption_entities"]),
            (["message", "repl"], ["reply_parameters", ""]),
            (["thread", "not found"], ["message_thread_id", ""]),
        ];
        let mut revised = false;
        for (words, fields) in stumbled {
            if words.iter().all(|words| self.says(words)) {
                revised |= fields.iter().any(|field| params.remove(*field).is_some());
                for item in params
                    .get_mut("media")
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    revised |= item.as_object_mut().is_some_and(|item| {
                        fields.iter().any(|field| item.remove(*field).is_some())
                    });
                }
            }
        }
        revised
    }

    fn says(&self, words: &str) -> bool {
        self.description.to_lowercase().contains(words)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let said = format!("{} {}", refusal.code, refusal.description);
        match refusal.code {
            429 => Self::RateLimited(refusal.retry_after.unwrap_or(UNSTATED_WAIT)),
            401 | 404 => Self::Unauthorized(said),
            409 => Self::Unavailable(said.into()),
            500.. => Self::Unavailable(said.into()),
            _ => Self::Rejected(said),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(code: u16, description: &str) -> Refusal {
        Refusal {
            code,
            description: description.into(),
            ..Refusal::default()
        }
    }

    fn request(params: Value) -> Request {
        Request {
            method: "sendMessage",
            params,
            files: Vec::new(),
        }
    }

    #[test]
    fn each_refusal_says_what_can_be_done() {
        let limited = Refusal {
            retry_after: Some(Duration::from_secs(14)),
            ..refusal(429, "Too Many Requests")
        };
        assert!(matches!(limited.into(), Error::RateLimited(wait) if wait.as_secs() == 14));
        assert!(matches!(
            refusal(502, "Bad Gateway").into(),
            Error::Unavailable(_)
        ));
        assert!(matches!(
            refusal(401, "Unauthorized").into(),
            Error::Unauthorized(_)
        ));
        assert!(matches!(
            refusal(404, "Not Found").into(),
            Error::Unauthorized(_)
        ));
        assert!(matches!(
            refusal(403, "Forbidden: bot was blocked by the user").into(),
            Error::Rejected(_)
        ));
    }

    #[test]
    fn a_group_that_moved_is_followed_once() {
        let moved = Refusal {
            migrate_to: Some(-100),
            ..refusal(400, "group chat was upgraded")
        };
        let mut asked = request(json!({"chat_id": -5}));
        assert!(moved.revise(&mut asked));
        assert_eq!(asked.params["chat_id"], -100);
        assert!(!moved.revise(&mut asked));
    }

    #[test]
    fn what_telegram_stumbles_over_is_left_out_once() {
        let whole =
            json!({"text": "a", "entities": [], "reply_parameters": {}, "message_thread_id": 7});
        for (said, field) in [
            (
                "Bad Request: can't parse entities: unexpected end",
                "entities",
            ),
            (
                "Bad Request: message to be replied not found",
                "reply_parameters",
            ),
            ("Bad Request: message thread not found", "message_thread_id"),
        ] {
            let mut asked = request(whole.clone());
            assert!(refusal(400, said).revise(&mut asked), "{said}");
            assert!(asked.params.get(field).is_none());
            assert_eq!(asked.params.as_object().unwrap().len(), 3);
            assert!(!refusal(400, said).revise(&mut asked), "only once");
        }
        assert!(!refusal(400, "Bad Request: chat not found").revise(&mut request(whole)));
    }

    #[test]
    fn what_is_already_so_is_a_success() {
        assert!(
            refusal(400, "Bad Request: message is not modified: same")
                .is_success("editMessageText")
        );
        assert!(
            refusal(
                400,
                "Bad Request: query is too old and response timeout expired"
            )
            .is_success("answerCallbackQuery")
        );
        assert!(!refusal(400, "Bad Request: message is not modified").is_success("sendMessage"));
    }
}
