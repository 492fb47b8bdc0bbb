//! What operators made of each agent: its model, and the files that it is told first.

use bus::{Bucket, Bus, Error, Mirror};
use proto::v1::{AgentFile, AgentProfile};

/// The files that a turn begins with, in this order. The others are for turns of a kind that there is not yet.
const TOLD: [&str; 6] = [
    "AGENTS.md",
    "SOUL.md",
    "IDENTITY.md",
    "USER.md",
    "TOOLS.md",
    "MEMORY.md",
];
/// Longest piece of one file, and of all files, that a model is told, in characters.
///
/// As the reference gateway does it: protocol facts, `bootstrapMaxChars` and `bootstrapTotalMaxChars`, 2026-11-20.
const MOST_CHARS: (usize, usize) = (20_000, 60_000);

/// The agents that operators made.
pub(crate) struct Agents(Mirror<AgentProfile>);

impl Agents {
    /// Reads who there is.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub(crate) async fn load(bus: &Bus) -> Result<Self, Error> {
        Mirror::load(bus, Bucket::Agents).await.map(Self)
    }

    /// Keeps up with changes, for ever.
    ///
    /// # Errors
    /// When the bus cannot be read now.
    pub(crate) async fn keep_up(&self) -> Result<(), Error> {
        self.0.keep_up(|_| ()).await
    }

    /// The model of `agent`; empty where it has none of its own.
    pub(crate) fn model(&self, agent: &str) -> String {
        let profile = self.0.find(agent);
        profile.map_or_else(String::new, |profile| profile.model.clone())
    }

    /// What `agent` is told first: `settings`, and then its files.
    pub(crate) fn instructions(&self, agent: &str, settings: &str) -> String {
        let profile = self.0.find(agent);
        let files = profile.as_ref().map_or(&[][..], |profile| &profile.files);
        instructions(settings, files)
    }
}

fn instructions(settings: &str, files: &[AgentFile]) -> String {
    let mut told = settings.trim_end().to_owned();
    let mut room = MOST_CHARS.1;
    let told_files = TOLD
        .iter()
        .filter_map(|name| files.iter().find(|file| file.name == *name));
    for file in told_files.filter(|file| !file.content.trim().is_empty()) {
        let most = MOST_CHARS.0.min(room);
        let content = file.content.trim();
        let end = content.char_indices().nth(most).map(|(end, _)| end);
        if !told.is_empty() {
            told.push_str("\n\n");
        }
        told.push_str(&format!("# {}\n\n", file.name));
        told.push_str(&content[..end.unwrap_or(content.len())]);
        if end.is_some() {
            told.push_str("\n[cut: longer than an agent is told]");
        }
        room = room.saturating_sub(content.chars().count());
        if room == 0 {
            break;
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, content: &str) -> AgentFile {
        AgentFile {
            name: name.into(),
            content: content.into(),
            ..AgentFile::default()
        }
    }

    #[test]
    fn an_agent_is_told_its_files_in_order_behind_the_settings() {
        let files = [
            file("SOUL.md", "Be kind.\n"),
            file("HEARTBEAT.md", "Not now."),
            file("AGENTS.md", "Answer."),
            file("USER.md", " "),
        ];
        assert_eq!(
            instructions("Be brief.", &files),
            "Be brief.\n\n# AGENTS.md\n\nAnswer.\n\n# SOUL.md\n\nBe kind."
        );
        assert_eq!(instructions("Be brief.", &[]), "Be brief.");
        assert_eq!(instructions("", &files[..1]), "# SOUL.md\n\nBe kind.");
    }

    #[test]
    fn long_files_are_cut_and_say_so() {
        let long = "é".repeat(MOST_CHARS.0 + 1);
        let files = TOLD.map(|name| file(name, &long));
        let told = instructions("", &files);
        assert_eq!(told.matches("[cut:").count(), 3);
        assert!(told.chars().count() < MOST_CHARS.1 + 400);
    }
}
