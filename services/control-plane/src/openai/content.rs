//! What people and agents said, as both of OpenAI's APIs write it: a text, or parts of which we take the texts.

use serde::Deserialize;

use super::problem::Problem;

/// What somebody said.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Part {
    #[serde(rename = "type", default)]
    kind: String,
    text: Option<String>,
    refusal: Option<String>,
}

/// One line of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// system, user or assistant.
    pub(super) role: &'static str,
    pub(super) text: String,
}

/// A conversation that ends with what is to be answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conversation {
    /// What the agent is told besides its own instructions.
    pub(super) system: String,
    /// What was said before, oldest first: user and assistant.
    pub(super) before: Vec<Said>,
    /// What is to be answered.
    pub(super) last: String,
}

impl Content {
    /// Its text.
    ///
    /// # Errors
    /// When there is more than text in it: files do not go to an agent yet.
    pub(super) fn text(&self, at: &str) -> Result<String, Problem> {
        let parts = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::Parts(parts) => parts,
        };
        let mut texts = Vec::with_capacity(parts.len());
        for part in parts {
            match part.kind.as_str() {
                "text" | "input_text" | "output_text" | "refusal" => {
                    texts.extend(part.text.as_deref().or(part.refusal.as_deref()));
                }
                kind => {
                    return Err(Problem::unsupported(
                        at,
                        format!("Content of type `{kind}` is not taken; send text."),
                    ));
                }
            }
        }
        Ok(texts.join("\n"))
    }
}

impl Said {
    /// A line of `role` as clients name it.
    ///
    /// # Errors
    /// When it is none of a conversation: agents here call their own tools.
    pub(super) fn new(role: &str, text: String, at: &str) -> Result<Self, Problem> {
        let role = match role {
            "system" | "developer" => "system",
            "user" => "user",
            "assistant" => "assistant",
            role => {
                return Err(Problem::unsupported(
                    at,
                    format!(
                        "Messages of the role `{role}` are not taken; there are system, developer, user and assistant."
                    ),
                ));
            }
        };
        Ok(Self { role, text })
    }
}

impl Conversation {
    /// Sorts `lines`, of which the last one is to be answered; it is the parameter `at`.
    ///
    /// # Errors
    /// When the last one is not a user's, or says nothing.
    pub(super) fn of(lines: Vec<Said>, at: &str) -> Result<Self, Problem> {
        let (system, mut said): (Vec<_>, Vec<_>) =
            lines.into_iter().partition(|line| line.role == "system");
        let last = said.pop().filter(|line| line.role == "user");
        let last = last.map(|line| line.text).unwrap_or_default();
        if last.trim().is_empty() {
            let message = "The last message must be the user's, and say something.";
            return Err(Problem::param(at, message));
        }
        said.retain(|line| !line.text.is_empty());
        let system: Vec<_> = system.into_iter().map(|line| line.text).collect();
        Ok(Self {
            system: system.join("\n\n"),
            before: said,
            last,
        })
    }

    /// The same for a session that remembers what was said: only what came after the agent's last word.
    pub(super) fn continued(mut self) -> Self {
        let spoken = self
            .before
            .iter()
            .rposition(|line| line.role == "assistant");
        let new = self.before.split_off(spoken.map_or(0, |at| at + 1));
        let texts = new.into_iter().map(|line| line.text);
        let texts: Vec<_> = texts.chain([self.last]).collect();
        Self {
            before: Vec::new(),
            last: texts.join("\n\n"),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(role: &str, text: &str) -> Said {
        Said::new(role, text.into(), "messages").unwrap()
    }

    #[test]
    fn a_conversation_ends_with_what_a_user_said() {
        let lines = vec![
            said("system", "Be brief."),
            said("user", "one"),
            said("assistant", "1"),
            said("developer", "Be kind."),
            said("user", "two"),
        ];
        let conversation = Conversation::of(lines, "messages").unwrap();
        assert_eq!(conversation.system, "Be brief.\n\nBe kind.");
        assert_eq!(conversation.last, "two");
        assert_eq!(
            conversation.before,
            [said("user", "one"), said("assistant", "1")]
        );
        assert!(Conversation::of(vec![said("assistant", "x")], "messages").is_err());
        assert!(Conversation::of(vec![said("user", " ")], "messages").is_err());
        assert!(Said::new("tool", String::new(), "messages").is_err());
    }

    #[test]
    fn a_session_that_remembers_is_told_what_is_new() {
        let lines = vec![
            said("user", "one"),
            said("assistant", "1"),
            said("user", "two"),
            said("user", "three"),
        ];
        let continued = Conversation::of(lines, "messages").unwrap().continued();
        assert_eq!(
            (continued.last.as_str(), continued.before.len()),
            ("two\n\nthree", 0)
        );
    }

    #[test]
    fn of_parts_the_texts_are_taken_and_nothing_else_is_dropped_silently() {
        let content = |value| serde_json::from_value::<Content>(value).unwrap();
        let parts = json!([{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]);
        assert_eq!(content(parts).text("messages").unwrap(), "a\nb");
        let image = json!([{"type": "image_url", "image_url": {"url": "https://x"}}]);
        assert!(content(image).text("messages").is_err());
    }
}
