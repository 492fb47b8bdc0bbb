//! From what the gateway wants to what the platform is asked, and from its answers to ours.

use std::time::Duration;

use adapter::{Action, Error};

use crate::{Answer, Call};

/// Name of the platform in addresses.
pub(crate) const PLATFORM: &str = "loopback";

/// The call that does `action`.
///
/// # Errors
/// [`Error::Rejected`] for what the capabilities rule out.
pub(crate) fn to_call(action: &Action) -> Result<Call, Error> {
    let reply = |reply_to: &Option<String>| reply_to.clone().unwrap_or_default();
    Ok(match action {
        Action::Text { body, reply_to, .. } => Call::Say {
            text: body.text.clone(),
            reply_to: reply(reply_to),
        },
        Action::Edit {
            message_id, body, ..
        } => Call::Change {
            message_id: message_id.clone(),
            text: body.text.clone(),
        },
        Action::Delete { message_id } => Call::Remove {
            message_id: message_id.clone(),
        },
        Action::React { message_id, emoji } => Call::React {
            message_id: message_id.clone(),
            emoji: emoji.clone(),
        },
        Action::Typing => Call::Type,
        Action::Media { .. } | Action::AnswerCallback { .. } | Action::Location { .. } => {
            return Err(Error::Rejected(format!(
                "{PLATFORM} has no {}",
                action.name()
            )));
        }
    })
}

/// What the platform's answer means; `None` is an answer that was lost on its way.
pub(crate) fn result(answer: Option<Answer>) -> Result<String, Error> {
    match answer {
        Some(Answer::Done(id)) => Ok(id),
        Some(other) => Err(error(other)),
        None => Err(Error::Unknown("the answer was lost".into())),
    }
}

/// What a refusal means for the caller.
pub(crate) fn error(answer: Answer) -> Error {
    match answer {
        Answer::TooFast { wait_s } => Error::RateLimited(Duration::from_secs(wait_s)),
        Answer::Busy => Error::Unavailable("the platform is busy".into()),
        Answer::Refused(why) => Error::Rejected(why),
        Answer::BadToken => Error::Unauthorized("the token is not known".into()),
        Answer::Done(_) => Error::Unknown("done is no refusal".into()),
    }
}

#[cfg(test)]
mod tests {
    use adapter::Rich;

    use super::*;

    #[test]
    fn every_answer_says_what_to_do() {
        assert_eq!(result(Some(Answer::Done("9".into()))).unwrap(), "9");
        let wait = Duration::from_secs(3);
        assert!(
            matches!(result(Some(Answer::TooFast { wait_s: 3 })), Err(Error::RateLimited(d)) if d == wait)
        );
        assert!(matches!(
            result(Some(Answer::Busy)),
            Err(Error::Unavailable(_))
        ));
        assert!(
            matches!(result(Some(Answer::Refused("no".into()))), Err(Error::Rejected(why)) if why == "no")
        );
        assert!(matches!(
            result(Some(Answer::BadToken)),
            Err(Error::Unauthorized(_))
        ));
        assert!(
            matches!(result(None), Err(Error::Unknown(_))),
            "a lost answer is no failure"
        );
    }

    #[test]
    fn a_text_is_said_as_it_reads() {
        let action = Action::Text {
            body: Rich::plain("hi"),
            reply_to: None,
            buttons: Vec::new(),
            silent: false,
        };
        assert_eq!(
            to_call(&action).unwrap(),
            Call::Say {
                text: "hi".into(),
                reply_to: String::new()
            }
        );
    }
}
