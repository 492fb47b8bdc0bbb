//! Runs that somebody waits for: what was said so far, and the end.

use std::{collections::HashMap, sync::Arc};

use proto::v1::Event;
use tokio::sync::watch;

/// Runs watched at once.
const MOST: usize = 10_000;

/// How far a run has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// All that was said so far. May be begun anew while the run goes on.
    pub(crate) text: Arc<str>,
    /// How it ended.
    pub(crate) end: Option<Arc<Event>>,
}

/// Runs that somebody waits for.
#[derive(Debug, Default)]
pub(super) struct Watched(HashMap<String, watch::Sender<Progress>>);

impl Watched {
    /// Watches `turn_id`, of which `text` was said; `None` when too many are watched.
    pub(super) fn watch(&mut self, turn_id: &str, text: &str) -> Option<watch::Receiver<Progress>> {
        if let Some(watched) = self.0.get(turn_id) {
            return Some(watched.subscribe());
        }
        if self.0.len() >= MOST {
            self.forget();
        }
        if self.0.len() >= MOST {
            return None;
        }
        let (sender, watching) = watch::channel(Progress {
            text: text.into(),
            end: None,
        });
        self.0.insert(turn_id.to_owned(), sender);
        Some(watching)
    }

    pub(super) fn say(&mut self, turn_id: &str, text: &str) {
        if let Some(watched) = self.0.get(turn_id) {
            watched.send_modify(|progress| progress.text = text.into());
        }
    }

    pub(super) fn end(&mut self, turn_id: &str, event: &Event) {
        if let Some(watched) = self.0.remove(turn_id) {
            watched.send_modify(|progress| progress.end = Some(Arc::new(event.clone())));
        }
    }

    pub(super) fn is_watched(&self, turn_id: &str) -> bool {
        self.0
            .get(turn_id)
            .is_some_and(|watched| !watched.is_closed())
    }

    /// Forgets those for whom nobody waits any more.
    pub(super) fn forget(&mut self) {
        self.0.retain(|_, watched| !watched.is_closed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_sees_the_text_grow_and_the_end() {
        let mut watched = Watched::default();
        let (one, other) = (
            watched.watch("t", "He").unwrap(),
            watched.watch("t", "").unwrap(),
        );
        watched.say("t", "Hello");
        watched.say("x", "nobody looks");
        assert_eq!(&*one.borrow().text, "Hello");
        watched.end("t", &Event::default());
        assert!(other.borrow().end.is_some());
        assert!(watched.0.is_empty());
    }

    #[test]
    fn who_left_makes_room() {
        let mut watched = Watched::default();
        let all: Vec<_> = (0..MOST)
            .map(|n| watched.watch(&n.to_string(), "").unwrap())
            .collect();
        assert!(watched.watch("more", "").is_none());
        drop(all);
        assert!(watched.watch("more", "").is_some());
        assert_eq!(watched.0.len(), 1);
    }
}
