//! Session keys, `channel:type:identifier`: whose context a message joins.

use std::{fmt, str::FromStr};

use crate::v1::{Address, ConversationKind, Sender};

/// Channels that a session key may name. `webchat` is the gateway's own page and every WebSocket client.
pub const CHANNELS: [&str; 11] = [
    "telegram", "whatsapp", "discord", "slack", "signal", "imessage", "twilio", "gmail", "webchat",
    "loopback", "cron",
];

/// Types that a session key may name.
pub const TYPES: [&str; 6] = ["dm", "group", "channel", "thread", "main", "job"];

/// A session key: two or more parts, known channel, known type.
///
/// ```
/// let key: proto::session::Key = "telegram:dm:123".parse().unwrap();
/// assert_eq!((key.channel.as_str(), key.kind.as_str(), key.identifier.as_str()), ("telegram", "dm", "123"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// One of [`CHANNELS`].
    pub channel: String,
    /// One of [`TYPES`].
    pub kind: String,
    /// The rest, colons included; empty for a two-part key such as `webchat:main`.
    pub identifier: String,
}

/// Why a text is no session key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Fewer than two parts, or an empty one.
    #[error("session key `{0}` needs at least two parts, such as telegram:dm:123")]
    Parts(String),
    /// First part unknown.
    #[error("session key names the unknown channel `{0}`; known: {known}", known = CHANNELS.join(", "))]
    Channel(String),
    /// Second part unknown.
    #[error("session key names the unknown type `{0}`; known: {known}", known = TYPES.join(", "))]
    Kind(String),
}

impl Key {
    /// The session of the gateway's own page, and of clients that say just "main".
    #[must_use]
    pub fn main() -> Self {
        Self {
            channel: "webchat".into(),
            kind: "main".into(),
            identifier: String::new(),
        }
    }

    /// The session that a message from `sender` at `address` joins.
    ///
    /// A direct chat is the person's; a group is the group's; a thread is its own. An account other than `main` is
    /// part of the identifier, so that two bots never share a session.
    #[must_use]
    pub fn of(address: &Address, sender: &Sender) -> Self {
        let direct = address.kind() == ConversationKind::Direct;
        let kind = match address.kind() {
            _ if !address.thread.is_empty() => "thread",
            ConversationKind::Direct => "dm",
            ConversationKind::Channel => "channel",
            _ => "group",
        };
        let mut identifier = match direct && !sender.id.is_empty() {
            true => sender.id.clone(),
            false => address.conversation.clone(),
        };
        if !address.thread.is_empty() {
            identifier = format!("{identifier}:{}", address.thread);
        }
        if !matches!(address.account.as_str(), "" | "main") {
            identifier = format!("{}/{identifier}", address.account);
        }
        Self {
            channel: address.platform.clone(),
            kind: kind.into(),
            identifier,
        }
    }
}

impl FromStr for Key {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.splitn(3, ':');
        let (Some(channel), Some(kind)) = (parts.next(), parts.next()) else {
            return Err(Invalid::Parts(text.into()));
        };
        let identifier = parts.next();
        if channel.is_empty() || kind.is_empty() || identifier == Some("") {
            return Err(Invalid::Parts(text.into()));
        }
        if !CHANNELS.contains(&channel) {
            return Err(Invalid::Channel(channel.into()));
        }
        if !TYPES.contains(&kind) {
            return Err(Invalid::Kind(kind.into()));
        }
        Ok(Self {
            channel: channel.into(),
            kind: kind.into(),
            identifier: identifier.unwrap_or_default().into(),
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.channel, self.kind)?;
        if !self.identifier.is_empty() {
            write!(out, ":{}", self.identifier)?;
        }
        Ok(())
    }
}

/// A session as WebSocket clients spell it: `agent:<agent>:<rest>`, or just `<rest>` for the default agent.
///
/// `rest` is `main` for the page's own session, a session key of a platform, or any other word, which is a page
/// session of that name.
#[must_use]
pub fn from_client(spelled: &str, default_agent: &str) -> (String, Key) {
    let (agent, rest) = match spelled
        .strip_prefix("agent:")
        .and_then(|rest| rest.split_once(':'))
    {
        Some((agent, rest)) if !agent.is_empty() && !rest.is_empty() => (agent, rest),
        _ => (default_agent, spelled),
    };
    let key = match rest {
        "main" => Key::main(),
        _ => rest
            .parse()
            .ok()
            .filter(|key: &Key| *key != Key::main())
            .unwrap_or_else(|| Key {
                channel: "webchat".into(),
                kind: "dm".into(),
                identifier: rest.into(),
            }),
    };
    (agent.to_owned(), key)
}

/// The canonical spelling of a session for WebSocket clients; the inverse of [`from_client`].
#[must_use]
pub fn to_client(agent: &str, session_key: &str) -> String {
    let rest = match session_key {
        "webchat:main" => "main",
        key => key.strip_prefix("webchat:dm:").unwrap_or(key),
    };
    format!("agent:{agent}:{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_parse_and_print() {
        for text in [
            "telegram:dm:123",
            "slack:channel:C1:thread",
            "webchat:main",
            "whatsapp:group:1203@g.us",
        ] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_bad_key_says_what_is_wrong() {
        assert!(matches!("telegram".parse::<Key>(), Err(Invalid::Parts(_))));
        assert!(matches!(
            "telegram:dm:".parse::<Key>(),
            Err(Invalid::Parts(_))
        ));
        assert!(matches!(
            "icq:dm:1".parse::<Key>(),
            Err(Invalid::Channel(_))
        ));
        assert!(matches!(
            "telegram:pm:1".parse::<Key>(),
            Err(Invalid::Kind(_))
        ));
        assert!(
            "icq:dm:1"
                .parse::<Key>()
                .unwrap_err()
                .to_string()
                .contains("known: telegram")
        );
    }

    #[test]
    fn a_client_spelling_goes_both_ways() {
        for spelled in [
            "agent:main:main",
            "agent:work:main",
            "agent:main:telegram:dm:5",
            "agent:main:notes",
        ] {
            let (agent, key) = from_client(spelled, "main");
            assert_eq!(to_client(&agent, &key.to_string()), spelled);
        }
        assert_eq!(from_client("main", "main"), ("main".into(), Key::main()));
    }

    #[test]
    fn a_direct_chat_is_the_persons_and_a_topic_is_its_own() {
        let mut address = Address {
            platform: "telegram".into(),
            account: "main".into(),
            conversation: "-7".into(),
            ..Address::default()
        };
        let sender = Sender {
            id: "42".into(),
            ..Sender::default()
        };
        address.set_kind(ConversationKind::Group);
        assert_eq!(Key::of(&address, &sender).to_string(), "telegram:group:-7");
        address.thread = "9".into();
        assert_eq!(
            Key::of(&address, &sender).to_string(),
            "telegram:thread:-7:9"
        );
        address.thread.clear();
        address.set_kind(ConversationKind::Direct);
        address.account = "shop".into();
        assert_eq!(
            Key::of(&address, &sender).to_string(),
            "telegram:dm:shop/42"
        );
    }
}
