//! A latch that says when a service serves.

use std::sync::{Arc, Weak};

/// Held by a service until it serves; the last clone dropped makes it ready.
#[derive(Debug, Clone)]
pub struct Ready(#[expect(dead_code, reason = "only its life counts")] Arc<str>);

/// Watches a [`Ready`] latch from outside.
#[derive(Debug, Clone)]
pub struct Readiness {
    name: Arc<str>,
    latch: Weak<str>,
}

impl Ready {
    /// Makes the latch of the service `name`, and what watches it.
    pub fn new(name: &str) -> (Self, Readiness) {
        let latch: Arc<str> = name.into();
        let readiness = Readiness {
            name: name.into(),
            latch: Arc::downgrade(&latch),
        };
        (Self(latch), readiness)
    }
}

impl Readiness {
    /// Whose readiness this is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True once every clone of the latch is dropped.
    pub fn is_ready(&self) -> bool {
        self.latch.strong_count() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_when_the_last_clone_is_dropped() {
        let (ready, readiness) = Ready::new("router");
        let clone = ready.clone();
        drop(ready);
        assert!(!readiness.is_ready(), "a clone still holds it");
        drop(clone);
        assert!(readiness.is_ready());
        assert_eq!(readiness.name(), "router");
    }
}
