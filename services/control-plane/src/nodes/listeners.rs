//! Which nodes hear the answers of which sessions: what they subscribed to with `chat.subscribe`.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Sessions that one node hears.
const MOST: usize = 64;

/// Agent and session key.
type Session = (String, String);

/// Which connections hear which sessions.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Mutex<HashMap<String, HashSet<Session>>>);

impl Listeners {
    /// The connection `client` hears the session from now on; `false` where it hears too many.
    pub(crate) fn subscribe(&self, client: &str, agent: &str, session_key: &str) -> bool {
        let mut all = self.lock();
        let theirs = all.entry(client.to_owned()).or_default();
        let session = (agent.to_owned(), session_key.to_owned());
        let room = theirs.len() < MOST || theirs.contains(&session);
        if room {
            theirs.insert(session);
        }
        room
    }

    /// It hears the session no more.
    pub(crate) fn unsubscribe(&self, client: &str, agent: &str, session_key: &str) {
        let mut all = self.lock();
        if let Some(theirs) = all.get_mut(client) {
            theirs.remove(&(agent.to_owned(), session_key.to_owned()));
        }
    }

    /// It is gone.
    pub(crate) fn forget(&self, client: &str) {
        self.lock().remove(client);
    }

    /// Connections that hear the session.
    pub(crate) fn of(&self, agent: &str, session_key: &str) -> Vec<String> {
        let all = self.lock();
        let session = (agent.to_owned(), session_key.to_owned());
        let hear = all.iter().filter(|(_, theirs)| theirs.contains(&session));
        hear.map(|(client, _)| client.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, HashSet<Session>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_hears_what_it_subscribed_to_and_not_too_much() {
        let listeners = Listeners::default();
        for n in 0..MOST {
            assert!(listeners.subscribe("c", "main", &format!("webchat:{n}")));
        }
        assert!(!listeners.subscribe("c", "main", "webchat:one-more"));
        assert!(
            listeners.subscribe("c", "main", "webchat:0"),
            "again is no more"
        );
        assert_eq!(listeners.of("main", "webchat:0"), ["c"]);
        listeners.unsubscribe("c", "main", "webchat:0");
        assert!(listeners.of("main", "webchat:0").is_empty());
        listeners.forget("c");
        assert!(listeners.lock().is_empty());
    }
}
