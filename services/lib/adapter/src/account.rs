//! Which account of ours on a platform, and what its owner has chosen for it.

use crate::{Streaming, media::MediaStore};

/// One account on a platform: one [`run`](crate::run) each.
#[derive(Clone, Debug)]
pub struct Account {
    /// Lower-case name of the platform, as in [`proto::v1::Address::platform`].
    pub platform: String,
    /// The account as the settings name it, such as "main".
    pub name: String,
    /// What to do with a message of which nobody can say whether it arrived.
    pub on_unknown: OnUnknown,
    /// How an answer is shown while it is made, if the platform can do that.
    pub streaming: Streaming,
    /// Where files lie.
    pub media: MediaStore,
}

/// What to do with a message of which nobody can say whether it arrived: the answer of the platform was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// Mark it, tell the operator, go on with the next.
    #[default]
    Hold,
    /// Send it once more, which may repeat it.
    Resend,
}

impl Account {
    /// `<platform>.<name>`, as in subjects and keys.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}.{}", proto::subject::token(&self.platform), proto::subject::token(&self.name))
    }
}
