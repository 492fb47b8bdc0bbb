//! What operators set for sessions, and which agents there are, as the buckets tell.

use std::sync::Arc;

use bus::{Bucket, Bus, Error, Mirror};
use proto::{
    id,
    v1::{AgentProfile, SessionSettings},
};

use crate::{config::Access, store::Session};

/// What a person may choose in a conversation, and operators may set.
const CHOSEN: [&str; 2] = ["model", "language"];
/// Agents named in a sentence.
const NAMED: usize = 20;

/// What operators set, held in memory.
pub struct Settings {
    sessions: Mirror<SessionSettings>,
    agents: Mirror<AgentProfile>,
}

impl Settings {
    /// Reads what is set.
    ///
    /// # Errors
    /// When the bus cannot be read.
    pub async fn load(bus: &Bus) -> Result<Self, Error> {
        Ok(Self {
            sessions: Mirror::load(bus, Bucket::Sessions).await?,
            agents: Mirror::load(bus, Bucket::Agents).await?,
        })
    }

    /// Keeps up with changes, for ever.
    ///
    /// # Errors
    /// When the bus cannot be read now.
    pub async fn keep_up(&self) -> Result<(), Error> {
        let (sessions, agents) = (self.sessions.keep_up(|_| ()), self.agents.keep_up(|_| ()));
        tokio::try_join!(sessions, agents).map(drop)
    }

    /// What is set for a session.
    #[must_use]
    pub fn of(&self, agent: &str, key: &str) -> Arc<SessionSettings> {
        let found = self.sessions.find(&id::of_settings(agent, key));
        found
            .filter(|set| set.agent == agent && set.session_key == key)
            .unwrap_or_default()
    }

    /// Nothing, if there is an agent `id`, or else a sentence that names those there are.
    ///
    /// # Errors
    /// That sentence.
    pub fn must_know(&self, id: &str, default: &str) -> Result<(), String> {
        if id == default || self.agents.find(id).is_some() {
            return Ok(());
        }
        let mut ids: Vec<_> = self.agents.all().into_iter().map(|(id, _)| id).collect();
        ids.sort();
        ids.insert(0, default.to_owned());
        ids.truncate(NAMED);
        let id: String = id.chars().take(64).collect();
        Err(format!(
            "there is no agent `{id}`; there are: {}",
            ids.join(", ")
        ))
    }

    /// Keeps what a person chose in the conversation, where that is news.
    ///
    /// # Errors
    /// When it cannot be stored: try again later.
    pub async fn keep(
        &self,
        agent: &str,
        key: &str,
        before: &SessionSettings,
        session: &Session,
    ) -> Result<(), Error> {
        if CHOSEN
            .iter()
            .all(|name| chosen(before, name) == preferred(session, name))
        {
            return Ok(());
        }
        let edit = |found: Option<&SessionSettings>| {
            let mut set = found.cloned().unwrap_or_default();
            agent.clone_into(&mut set.agent);
            key.clone_into(&mut set.session_key);
            preferred(session, "model").clone_into(&mut set.model);
            preferred(session, "language").clone_into(&mut set.language);
            Ok::<_, Error>(Some(set))
        };
        let key = id::of_settings(agent, key);
        self.sessions.change(&key, edit).await.map(drop)
    }
}

/// Puts what is set over what the session remembers: what is set is the truth.
pub fn prefer(set: &SessionSettings, session: &mut Session) {
    for name in CHOSEN {
        match chosen(set, name) {
            "" => session.preferences.remove(name),
            value => session.preferences.insert(name.into(), value.into()),
        };
    }
}

/// Who may speak in a session of which this is set.
pub fn allow(set: &SessionSettings, access: &mut Access) {
    match set.group_activation.as_str() {
        "always" => access.require_mention = false,
        "mention" => access.require_mention = true,
        _ => {}
    }
}

fn chosen<'a>(set: &'a SessionSettings, name: &str) -> &'a str {
    match name {
        "model" => &set.model,
        _ => &set.language,
    }
}

fn preferred<'a>(session: &'a Session, name: &str) -> &'a str {
    session.preferences.get(name).map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_preferred_and_what_is_not_is_forgotten() {
        let mut session = Session::begin(0);
        session.preferences.insert("model".into(), "old".into());
        session.preferences.insert("language".into(), "de".into());
        let set = SessionSettings {
            model: "new".into(),
            ..SessionSettings::default()
        };
        prefer(&set, &mut session);
        assert_eq!(session.preferences.len(), 1);
        assert_eq!(session.preferences["model"], "new");
    }

    #[test]
    fn a_group_is_answered_as_it_is_set() {
        let mut access = Access::default();
        let mut set = SessionSettings {
            group_activation: "always".into(),
            ..SessionSettings::default()
        };
        allow(&set, &mut access);
        assert!(!access.require_mention);
        set.group_activation.clear();
        allow(&set, &mut access);
        assert!(!access.require_mention, "as it was");
        set.group_activation = "mention".into();
        allow(&set, &mut access);
        assert!(access.require_mention);
    }
}
