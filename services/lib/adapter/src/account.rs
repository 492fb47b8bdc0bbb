//! Which account of ours on a platform, and what its owner has chosen for it.

use proto::subject;

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
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum OnUnknown {
    /// Mark it, tell the operator, go on with the next.
    #[default]
    Hold,
    /// Send it once more, which may repeat it.
    Resend,
}

impl Account {
    /// `<platform>.<name>`, as in the keys of buckets: other characters than those of words are "_".
    #[must_use]
    pub fn key(&self) -> String {
        let word = |text: &str| {
            subject::token(text).replace(
                |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '='),
                "_",
            )
        };
        format!("{}.{}", word(&self.platform), word(&self.name))
    }

    /// Whose answers are told live: those to this account.
    pub(crate) fn deltas(&self) -> String {
        format!(
            "live.delta.{}.{}.>",
            subject::token(&self.platform),
            subject::token(&self.name)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_makes_a_key() {
        let media = MediaStore::new("", 0);
        let (on_unknown, streaming) = (OnUnknown::Hold, Streaming::Off);
        let account = Account {
            platform: "signal".into(),
            name: "+49 1.2".into(),
            on_unknown,
            streaming,
            media,
        };
        assert_eq!(account.key(), "signal._49_1_2");
        assert_eq!(account.deltas(), "live.delta.signal.+49_1_2.>");
    }
}
