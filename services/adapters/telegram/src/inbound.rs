//! From an update of the Bot API to an [`Inbound`]: pure, and total, since nothing that a platform sends may stop it.

use proto::{
    id,
    v1::{
        Address, ConversationKind, Deleted, Edited, Inbound, PollAnswer, Pressed, Reacted, Stopped,
        Unknown, inbound::Body,
    },
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::outbound::Target;
use fields::{cut, flag, id as id_of, integer, list, object, printed, text};
use message::{full_name, membership, sender};

mod content;
mod fields;
mod mentions;
mod message;
mod rich;
#[cfg(test)]
mod tests;

/// The update kinds that the bot asks for; Telegram leaves some of them out unless they are named.
///
/// Source: Bot API 10.3, getUpdates, read 2026-11-20. `guest_message` is not asked for: it comes from chats that the
/// bot is not in, where no message can be sent.
pub const ALLOWED_UPDATES: [&str; 14] = [
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "callback_query",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "stopped_message_generation",
];

/// Most of an update that is kept raw, in bytes.
const MAX_RAW_BYTES: usize = 64 * 1024;
/// Most ids in one list.
const MAX_IDS: usize = 1000;

/// Who the bot itself is on Telegram, from getMe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The bot's user id; empty while unknown.
    pub id: String,
    /// The bot's handle without "@"; empty while unknown.
    pub username: String,
}

impl Identity {
    /// Whether `handle`, without "@", is the bot's; handles have no case.
    fn is_called(&self, handle: &str) -> bool {
        !self.username.is_empty() && self.username.eq_ignore_ascii_case(handle)
    }
}

/// The number of an update, all that the transport needs to know of it; none if it cannot be read, or is below zero.
#[must_use]
pub fn update_id(raw: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Head {
        update_id: i64,
    }
    let head: Head = serde_json::from_slice(raw).ok()?;
    (head.update_id >= 0).then_some(head.update_id)
}

/// The canonical form of one update, as `raw` bytes came.
///
/// Always gives an event: what is not understood becomes [`Unknown`] with its kind and the raw bytes. The id depends
/// on the account and the update's number alone, so a repeated update repeats its id; without a readable number it
/// depends on the bytes.
#[must_use]
pub fn from_update(raw: &[u8], account: &str, bot: &Identity) -> Inbound {
    let number = update_id(raw);
    let native = number.map_or_else(
        || format!("raw-{}", id::of_event(&String::from_utf8_lossy(raw))),
        |number| number.to_string(),
    );
    let dedupe_key = format!("telegram:{account}:{native}");
    let mut inbound = Inbound {
        id: id::of_event(&dedupe_key),
        dedupe_key,
        raw: raw[..raw.len().min(MAX_RAW_BYTES)].to_vec(),
        raw_cut: raw.len() > MAX_RAW_BYTES,
        ..Inbound::default()
    };
    let update: Value = serde_json::from_slice(raw)
        .or_else(|_| serde_json::from_str(&String::from_utf8_lossy(raw)))
        .unwrap_or_default();
    let mut kinds = update
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "update_id");
    let found = kinds
        .clone()
        .find(|(_, event)| event.is_object())
        .or_else(|| kinds.next());
    let (kind, event) = found.map_or(("undecodable", &Value::Null), |(kind, event)| {
        (kind.as_str(), event)
    });

    let place = place_of(kind, event);
    inbound.occurred_at_ms = integer(place, "date")
        .max(integer(event, "date"))
        .clamp(0, i64::MAX / 1000)
        * 1000;
    inbound.sender = Some(sender(event, bot));
    inbound.address = Some(address(place, event, account));
    inbound.body = Some(body(kind, event, bot));
    let moved_from = id_of(event, "migrate_from_chat_id");
    if let (Some(address), false) = (inbound.address.as_mut(), moved_from.is_empty()) {
        address.conversation = moved_from;
    }
    inbound
}

/// The updates of an answer to getUpdates, apart from each other, so that one cannot spoil another.
///
/// # Errors
/// When it is no list.
pub(crate) fn batch(result: &RawValue) -> Result<Vec<&[u8]>, serde_json::Error> {
    let apart: Vec<&RawValue> = serde_json::from_str(result.get())?;
    Ok(apart
        .into_iter()
        .map(|update| update.get().as_bytes())
        .collect())
}

/// Where in an event its chat, thread and date stand.
fn place_of<'a>(kind: &str, event: &'a Value) -> &'a Value {
    match kind {
        "callback_query" => object(event, "message").unwrap_or(event),
        _ => event,
    }
}

/// The address to which an answer to this event goes.
fn address(place: &Value, event: &Value, account: &str) -> Address {
    let business = text(event, "business_connection_id");
    let mut address = Address {
        platform: "telegram".into(),
        account: account.into(),
        ..Address::default()
    };
    // Without a chat (a poll, a button under an inline result) the person's own chat is meant.
    let person = || {
        ["from", "user", "voter_chat"]
            .iter()
            .find_map(|key| object(event, key))
    };
    if let Some(chat) = object(place, "chat").or_else(person) {
        address.conversation = Target::name(&id_of(chat, "id"), business);
        address.title = full_name(chat);
        address.set_kind(match text(chat, "type") {
            "group" | "supergroup" => ConversationKind::Group,
            "channel" => ConversationKind::Channel,
            "" if address.conversation.starts_with('-') => ConversationKind::Group,
            _ => ConversationKind::Direct,
        });
    }
    address.thread = match (
        object(place, "direct_messages_topic"),
        flag(place, "is_topic_message"),
    ) {
        (Some(topic), _) => Target::name_direct(&id_of(topic, "topic_id")),
        (None, true) => id_of(place, "message_thread_id"),
        // A reply chain in an ordinary group has a thread id too, but is no topic.
        (None, false) if place.get("draft_id").is_some() => id_of(place, "message_thread_id"),
        (None, false) => String::new(),
    };
    address
}

/// What happened.
fn body(kind: &str, event: &Value, bot: &Identity) -> Body {
    match kind {
        "message" | "channel_post" | "business_message" => message::body(event, bot),
        "edited_message" | "edited_channel_post" | "edited_business_message" => {
            match message::body(event, bot) {
                Body::Said(now) => Body::Edited(Edited {
                    now: Some(now),
                    edited_at_ms: integer(event, "edit_date").clamp(0, i64::MAX / 1000) * 1000,
                }),
                other => other,
            }
        }
        "deleted_business_messages" => Body::Deleted(Deleted {
            message_ids: list(event, "message_ids")
                .iter()
                .take(MAX_IDS)
                .map(printed)
                .collect(),
        }),
        "message_reaction" => reaction(event),
        "callback_query" => Body::Pressed(Pressed {
            callback_id: id_of(event, "id"),
            message_id: id_of(&event["message"], "message_id"),
            data: text(event, "data").to_owned(),
        }),
        "my_chat_member" | "chat_member" => {
            let (old, new) = (&event["old_chat_member"], &event["new_chat_member"]);
            Body::Membership(membership(
                &new["user"],
                text(old, "status"),
                text(new, "status"),
                bot,
            ))
        }
        "poll_answer" => Body::PollAnswer(PollAnswer {
            poll_id: id_of(event, "poll_id"),
            options: list(event, "option_ids")
                .iter()
                .take(MAX_IDS)
                .map(printed)
                .collect(),
        }),
        "stopped_message_generation" => Body::Stopped(Stopped {
            message_id: id_of(event, "draft_id"),
        }),
        kind => Body::Unknown(Unknown {
            kind: cut(kind, 64).to_owned(),
        }),
    }
}

/// What a reaction changed: each list is what one side has and the other has not.
fn reaction(event: &Value) -> Body {
    let emojis = |key| -> Vec<String> {
        let emoji = |reaction: &Value| match text(reaction, "type") {
            "custom_emoji" => format!("custom:{}", id_of(reaction, "custom_emoji_id")),
            "emoji" => text(reaction, "emoji").to_owned(),
            other => other.to_owned(),
        };
        list(event, key).iter().take(MAX_IDS).map(emoji).collect()
    };
    let (old, new) = (emojis("old_reaction"), emojis("new_reaction"));
    Body::Reacted(Reacted {
        message_id: id_of(event, "message_id"),
        added: new
            .iter()
            .filter(|emoji| !old.contains(emoji))
            .cloned()
            .collect(),
        removed: old
            .iter()
            .filter(|emoji| !new.contains(emoji))
            .cloned()
            .collect(),
    })
}
