//! Which agents there are: the one of the settings, and those that operators made.

use std::sync::Arc;

use bus::Mirror;
use proto::v1::AgentProfile;

use crate::refusal::Refusal;

/// Names told in a sentence.
const NAMED: usize = 20;

/// Which agents there are.
pub(crate) struct Agents {
    default: String,
    pub(crate) profiles: Mirror<AgentProfile>,
}

impl Agents {
    /// Those in `profiles`, and `default`.
    pub(crate) fn new(default: &str, profiles: Mirror<AgentProfile>) -> Self {
        Self {
            default: default.to_owned(),
            profiles,
        }
    }

    /// The one that answers where none is named.
    pub(crate) fn default(&self) -> &str {
        &self.default
    }

    /// What is known of `id`; none for the agent of the settings as long as nothing was changed of it.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<AgentProfile>> {
        self.profiles.find(id)
    }

    /// The ids of all, the default one first.
    pub(crate) fn ids(&self) -> Vec<String> {
        let made = self.profiles.all().into_iter().map(|(id, _)| id);
        let mut ids: Vec<_> = made.filter(|id| *id != self.default).collect();
        ids.sort();
        ids.insert(0, self.default.clone());
        ids
    }

    /// Nothing, if there is an agent `id`.
    ///
    /// # Errors
    /// With the names there are.
    pub(crate) fn must_know(&self, method: &str, id: &str) -> Result<(), Refusal> {
        if id == self.default || self.find(id).is_some() {
            return Ok(());
        }
        let ids = self.ids();
        let more = if ids.len() > NAMED { ", …" } else { "" };
        let known = ids[..ids.len().min(NAMED)].join(", ");
        let id: String = id.chars().take(64).collect();
        Err(Refusal::Invalid(format!(
            "invalid {method} params: unknown agent id \"{id}\"; there are: {known}{more}"
        )))
    }
}
