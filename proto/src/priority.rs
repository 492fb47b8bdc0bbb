//! Which of the four priorities an event has: one table, used by whoever publishes it.

use crate::v1::{Inbound, Priority, inbound::Body};

impl Priority {
    /// The four, most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// Its letter in a subject.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Critical => 'c',
            Self::High => 'h',
            Self::Normal | Self::Unspecified => 'n',
            Self::Low => 'l',
        }
    }
}

/// The priority of an event.
///
/// | event | priority |
/// |---|---|
/// | stop: the platform's button, or `/stop` and `/abort` | critical |
/// | a button pressed (a spinner turns), commands that only ask, moved conversation | high |
/// | messages, edits, and what changes how later messages are answered: commands, orders of operators | normal |
/// | reactions, membership, deletions, delivery states, polls, unknown | low |
#[must_use]
pub fn of(inbound: &Inbound) -> Priority {
    match &inbound.body {
        Some(Body::Stopped(_)) => Priority::Critical,
        Some(Body::Pressed(_) | Body::Moved(_)) => Priority::High,
        Some(Body::Said(said)) if !said.no_commands && !said.forwarded => said
            .parts
            .first()
            .and_then(|part| command(&part.text))
            .map_or(Priority::Normal, |(name, _)| match name {
                "stop" | "abort" => Priority::Critical,
                "new" | "reset" | "model" | "language" => Priority::Normal,
                _ => Priority::High,
            }),
        Some(Body::Said(_) | Body::Edited(_) | Body::Managed(_)) => Priority::Normal,
        _ => Priority::Low,
    }
}

/// The commands that the gateway itself answers; any other "/word" is a text for the agent.
pub const COMMANDS: [&str; 9] = [
    "start", "help", "status", "stop", "abort", "new", "reset", "model", "language",
];

/// Splits "/model gpt-5" into its name and the rest, if it is one of [`COMMANDS`].
///
/// "/status@some_bot" is the command `status`; whose bot it names is the adapter's to check.
#[must_use]
pub fn command(text: &str) -> Option<(&'static str, &str)> {
    let text = text.trim().strip_prefix('/')?;
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let word = word
        .split_once('@')
        .map_or(word, |(name, _)| name)
        .to_ascii_lowercase();
    COMMANDS
        .into_iter()
        .find(|name| *name == word)
        .map(|name| (name, rest.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{Part, PartKind, Reacted, Said};

    fn said(text: &str) -> Inbound {
        let part = Part {
            kind: PartKind::Text.into(),
            text: text.into(),
            ..Part::default()
        };
        Inbound {
            body: Some(Body::Said(Said {
                parts: vec![part],
                ..Said::default()
            })),
            ..Inbound::default()
        }
    }

    #[test]
    fn a_stop_overtakes_and_a_path_is_no_command() {
        assert_eq!(of(&said("/stop")), Priority::Critical);
        assert_eq!(of(&said("/Status@my_bot")), Priority::High);
        assert_eq!(
            of(&said("/new")),
            Priority::Normal,
            "it holds for what comes after it"
        );
        assert_eq!(of(&said("/etc/passwd is a file")), Priority::Normal);
        assert_eq!(of(&said("stop")), Priority::Normal);
        let reaction = Inbound {
            body: Some(Body::Reacted(Reacted::default())),
            ..Inbound::default()
        };
        assert_eq!(of(&reaction), Priority::Low);
    }

    #[test]
    fn a_forwarded_command_is_a_text() {
        let mut inbound = said("/stop");
        if let Some(Body::Said(said)) = &mut inbound.body {
            said.forwarded = true;
        }
        assert_eq!(of(&inbound), Priority::Normal);
    }

    #[test]
    fn a_command_has_a_rest() {
        assert_eq!(
            command("/model  gpt-5 mini "),
            Some(("model", "gpt-5 mini"))
        );
        assert_eq!(command("/models"), None);
    }
}
