//! One message: what was said, by whom, in answer to what.

use proto::v1::{Membership, Moved, PartKind, Said, Sender, Unknown, inbound::Body};
use serde_json::Value;

use super::{
    Identity,
    content::parts,
    fields::{cut, flag, id, list, name, object, text},
    mentions,
};

/// Longest quoted text that is passed on, in bytes.
const MAX_QUOTE_BYTES: usize = 16 * 1024;

/// Fields that tell about a message without being its content.
const ABOUT: [&str; 34] = [
    "message_id",
    "message_thread_id",
    "direct_messages_topic",
    "from",
    "sender_chat",
    "sender_boost_count",
    "sender_business_bot",
    "sender_tag",
    "receiver_user",
    "ephemeral_message_id",
    "date",
    "guest_query_id",
    "business_connection_id",
    "chat",
    "forward_origin",
    "is_topic_message",
    "is_automatic_forward",
    "reply_to_message",
    "quote",
    "via_bot",
    "edit_date",
    "has_protected_content",
    "is_from_offline",
    "is_paid_post",
    "media_group_id",
    "author_signature",
    "paid_star_count",
    "effect_id",
    "link_preview_options",
    "reply_markup",
    "entities",
    "caption_entities",
    "show_caption_above_media",
    "has_media_spoiler",
];

/// What a message is: said by someone, or a note of the platform's own ("someone joined").
pub(super) fn body(message: &Value, bot: &Identity) -> Body {
    if let Some(change) = service(message, bot) {
        return change;
    }
    let said = said(message, bot);
    if said.parts.is_empty() {
        let content = message
            .as_object()
            .and_then(|all| all.keys().find(|key| !ABOUT.contains(&key.as_str())));
        let kind = content.map_or("message".to_owned(), |key| {
            format!("message.{}", cut(key, 64))
        });
        return Body::Unknown(Unknown { kind });
    }
    Body::Said(said)
}

/// What was said in a message; without parts where nothing was.
pub(super) fn said(message: &Value, bot: &Identity) -> Said {
    let parts = parts(message);
    let (words, entities) = mentions::words_of(message);
    let mut addressed = mentions::of_entities(words, entities, bot);
    let answered = answered(message);
    addressed.self_ |= answered
        .is_some_and(|answered| !bot.id.is_empty() && id(&answered["from"], "id") == bot.id);
    let quoted = match text(&message["quote"], "text") {
        "" => answered
            .map(|answered| mentions::words_of(answered).0)
            .unwrap_or_default(),
        quoted => quoted,
    };
    let typed = parts
        .first()
        .is_some_and(|part| part.kind() == PartKind::Text)
        && !text(message, "text").is_empty();
    Said {
        message_id: id(message, "message_id"),
        reply_to: answered
            .map(|answered| id(answered, "message_id"))
            .unwrap_or_default(),
        quoted_text: cut(quoted, MAX_QUOTE_BYTES).to_owned(),
        mentions: Some(addressed),
        forwarded: object(message, "forward_origin").is_some()
            || flag(message, "is_automatic_forward"),
        group_id: id(message, "media_group_id"),
        no_commands: !typed
            || message.get("via_bot").is_some()
            || mentions::commands_another(words, bot),
        parts,
    }
}

/// The message that this one answers.
///
/// In a topic every message "answers" the note that opened the topic: that is no answer.
fn answered(message: &Value) -> Option<&Value> {
    object(message, "reply_to_message")
        .filter(|answered| answered.get("forum_topic_created").is_none())
}

/// Notes of the platform that have a meaning of their own here.
fn service(message: &Value, bot: &Identity) -> Option<Body> {
    let to_conversation = id(message, "migrate_to_chat_id");
    if !to_conversation.is_empty() {
        return Some(Body::Moved(Moved { to_conversation }));
    }
    if !id(message, "migrate_from_chat_id").is_empty() {
        // Told in the new conversation; the address of the event is set to the old one.
        return Some(Body::Moved(Moved {
            to_conversation: id(&message["chat"], "id"),
        }));
    }
    let came = list(message, "new_chat_members");
    let who = came
        .iter()
        .find(|user| id(user, "id") == bot.id)
        .or(came.first());
    let gone = object(message, "left_chat_member");
    let now = if gone.is_some() { "left" } else { "member" };
    let user = gone.or(who)?;
    Some(Body::Membership(membership(user, "", now, bot)))
}

/// Someone's standing in a conversation.
pub(super) fn membership(user: &Value, was: &str, now: &str, bot: &Identity) -> Membership {
    Membership {
        user_id: id(user, "id"),
        user_name: full_name(user),
        of_self: !bot.id.is_empty() && id(user, "id") == bot.id,
        was: cut(was, 64).to_owned(),
        now: cut(now, 64).to_owned(),
    }
}

/// Who wrote: the chat in whose name it was written (anonymous admins, channels), or else the user.
///
/// The user of a message in a chat's name is a stand-in that all groups share, so it identifies nobody.
pub(super) fn sender(event: &Value, bot: &Identity) -> Sender {
    let in_name_of = object(event, "sender_chat")
        .or_else(|| object(event, "actor_chat"))
        .or_else(|| object(event, "voter_chat"));
    let person = object(event, "from").or_else(|| object(event, "user"));
    match (in_name_of, person) {
        (Some(chat), _) => Sender {
            id: id(chat, "id"),
            username: name(chat, "username"),
            display_name: full_name(chat),
            ..Sender::default()
        },
        (None, Some(user)) => Sender {
            id: id(user, "id"),
            username: name(user, "username"),
            display_name: full_name(user),
            is_bot: flag(user, "is_bot"),
            is_self: is_self(event, user, bot),
            language: name(user, "language_code"),
            ..Sender::default()
        },
        (None, None) => Sender::default(),
    }
}

/// Whether it is an echo of us: written by the bot, or by the owner of the business account that it answers for.
fn is_self(event: &Value, user: &Value, bot: &Identity) -> bool {
    let own = !bot.id.is_empty()
        && [user, &event["sender_business_bot"]]
            .iter()
            .any(|who| id(who, "id") == bot.id);
    let owner =
        event.get("business_connection_id").is_some() && id(user, "id") != id(&event["chat"], "id");
    own || owner
}

/// The title of a chat, or the name of a person.
pub(super) fn full_name(of: &Value) -> String {
    match name(of, "title") {
        title if !title.is_empty() => title,
        _ => format!("{} {}", name(of, "first_name"), name(of, "last_name"))
            .trim()
            .to_owned(),
    }
}
