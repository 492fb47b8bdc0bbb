//! What the control plane knows of the process it lives in: its log, its settings, and having it begin anew.

use chassis::{
    log::{Scrub, Tail},
    settings::Book,
    shutdown::Again,
};

/// What the control plane knows of the process it lives in. Only the control plane is given it: what asks agents has no
/// way to change what holds for them.
#[derive(Clone, Default)]
pub struct Host {
    /// The last lines that were logged.
    pub log: Tail,
    /// What is taken out of every line.
    pub scrub: Scrub,
    /// The settings; `None` where nobody says which they are.
    pub settings: Option<Book>,
    /// Begins the process anew; `None` where it cannot.
    pub again: Option<Again>,
}

impl Host {
    /// Takes every secret that the settings hold by now out of the log.
    pub fn hide_secrets(&self) {
        if let Some(settings) = &self.settings {
            self.scrub.hide(settings.secrets());
        }
    }
}
