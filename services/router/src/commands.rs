//! What the gateway answers by itself: /start, /help, /status, /stop, /new, /model, /language.

use crate::store::Session;

/// What a command does besides its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// All runs of the session end.
    Stop,
    /// The session begins anew.
    Reset,
}

/// The answer to the command `name` with `rest` behind it; changes the session's preferences.
#[must_use]
pub fn answer(
    name: &str,
    rest: &str,
    session: &mut Session,
    agent: &str,
    now_ms: i64,
) -> (String, Effect) {
    match name {
        "start" => (
            "Hello! Write to me and I will answer. /help shows what else I can do.".into(),
            Effect::None,
        ),
        "help" => (HELP.into(), Effect::None),
        "status" => (status(session, agent, now_ms), Effect::None),
        "stop" | "abort" => ("Stopped.".into(), Effect::Stop),
        "new" | "reset" => {
            session.begin_anew(now_ms);
            (
                "A new conversation begins. I no longer look at what was said before.".into(),
                Effect::Reset,
            )
        }
        preference => (prefer(preference, rest, session), Effect::None),
    }
}

const HELP: &str = "Just write, and I will answer.\n\n\
    /new – begin a new conversation\n\
    /stop – stop the answer that is being written\n\
    /status – how this conversation stands\n\
    /model name – answer with another model; `/model default` goes back\n\
    /language name – answer in that language; `/language default` goes back";

fn status(session: &Session, agent: &str, now_ms: i64) -> String {
    let minutes = (now_ms - session.started_at_ms).max(0) / 60_000;
    let mut lines = vec![
        format!("Agent: {agent}"),
        format!(
            "Conversation: {} messages, begun {minutes} min ago",
            session.turns
        ),
    ];
    lines.extend(
        session
            .preferences
            .iter()
            .map(|(name, value)| format!("{name}: {value}")),
    );
    lines.join("\n")
}

fn prefer(name: &str, value: &str, session: &mut Session) -> String {
    let value = value.trim();
    match value {
        "" => match session.preferences.get(name) {
            Some(value) => format!("{name}: {value}"),
            None => format!("{name}: the default. Change it with `/{name} …`."),
        },
        "default" => {
            session.preferences.remove(name);
            format!("{name}: the default again.")
        }
        value if value.chars().count() > 64 => format!("That is no {name}: at most 64 characters."),
        value => {
            session.preferences.insert(name.into(), value.into());
            format!("{name}: {value}, for this conversation.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preference_is_set_shown_and_taken_back() {
        let mut session = Session::begin(0);
        let mut say = |rest: &str| answer("model", rest, &mut session, "main", 0).0;
        assert_eq!(say("gpt-5"), "model: gpt-5, for this conversation.");
        assert_eq!(say(""), "model: gpt-5");
        assert_eq!(say("default"), "model: the default again.");
        assert!(say(&"x".repeat(65)).contains("at most 64"));
    }

    #[test]
    fn a_new_conversation_keeps_preferences_and_nothing_else() {
        let mut session = Session {
            turns: 9,
            ..Session::begin(0)
        };
        session.preferences.insert("model".into(), "gpt-5".into());
        let before = session.id.clone();
        let (_, effect) = answer("new", "", &mut session, "main", 5);
        assert_eq!(effect, Effect::Reset);
        assert_ne!(session.id, before);
        assert_eq!((session.turns, session.started_at_ms), (0, 5));
        assert_eq!(session.preferences["model"], "gpt-5");
    }

    #[test]
    fn status_says_how_the_conversation_stands() {
        let session = Session {
            turns: 3,
            ..Session::begin(0)
        };
        let text = answer("status", "", &mut session.clone(), "main", 120_000).0;
        assert_eq!(
            text,
            "Agent: main\nConversation: 3 messages, begun 2 min ago"
        );
    }
}
