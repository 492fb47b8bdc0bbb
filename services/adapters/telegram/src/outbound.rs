//! From an action to a request of the Bot API: pure.

use adapter::{Action, Error, Rich};
use proto::v1::{Address, Attachment, ButtonRow, Location};
use serde::Serialize;
use serde_json::{Value, json};
use teloxide_core::{
    payloads::{
        AnswerCallbackQuery, DeleteMessage, EditMessageText, SendChatAction, SendLocation,
        SendMessage, SetMessageReaction,
    },
    types::{CallbackQueryId, ChatAction, MessageId, ReactionType, ReplyParameters},
};

pub use target::Target;

mod buttons;
mod entities;
mod media;
mod target;
#[cfg(test)]
mod tests;

/// Longest text of a message, in UTF-16 code units, after entities are parsed.
///
/// Source: Bot API, sendMessage, `text`. Longer texts are refused with 400.
pub const MAX_TEXT: usize = 4096;
/// Longest caption of a file, in UTF-16 code units. Source: Bot API, sendPhoto, `caption`.
pub const MAX_CAPTION: usize = 1024;
/// Longest notice shown when a button was pressed, in characters. Source: Bot API, answerCallbackQuery, `text`.
const MAX_NOTICE_CHARS: usize = 200;

/// One call of the Bot API.
#[derive(Debug)]
pub struct Request {
    /// Name of the method.
    pub method: &'static str,
    /// Its parameters, a JSON object.
    pub params: Value,
    /// Stored files to send along as multipart, each under the name that `params` gives after `attach://`.
    pub files: Vec<(String, Attachment)>,
}

/// The id of the message that an answer tells of; of an album, its first. Empty where there is none.
#[must_use]
pub fn message_id(answer: &Value) -> String {
    let message = answer
        .as_array()
        .and_then(|album| album.first())
        .unwrap_or(answer);
    message["message_id"]
        .as_i64()
        .map(|id| id.to_string())
        .unwrap_or_default()
}

/// The request that does `action` at `to`.
///
/// # Errors
/// [`Error::Rejected`] for what Telegram could never do: an address or an id that is none of its own, a button or a
/// file that it does not take.
pub fn to_request(to: &Address, action: &Action) -> Result<Request, Error> {
    match action {
        Action::Text {
            body,
            reply_to,
            buttons,
            silent,
        } => text(
            &Target::of(to)?,
            body,
            reply_to.as_deref(),
            buttons,
            *silent,
        ),
        Action::Media {
            kind,
            files,
            caption,
            reply_to,
        } => media::request(&Target::of(to)?, *kind, files, caption, reply_to.as_deref()),
        Action::Edit {
            message_id,
            body,
            buttons,
        } => edit(&Target::of(to)?, message_id, body, buttons),
        Action::Delete { message_id } => delete(&Target::of(to)?, message_id),
        Action::React { message_id, emoji } => {
            let mut react =
                SetMessageReaction::new(Target::of(to)?.chat, MessageId(number(message_id)?));
            react.reaction = Some(reaction(emoji));
            request("setMessageReaction", &react)
        }
        Action::Typing => {
            let target = Target::of(to)?;
            let typing = SendChatAction::new(target.chat.clone(), ChatAction::Typing);
            request("sendChatAction", &typing).map(|request| target.aim(request))
        }
        Action::AnswerCallback { callback_id, text } => {
            let mut answer = AnswerCallbackQuery::new(CallbackQueryId(callback_id.clone()));
            answer.text = (!text.is_empty()).then(|| text.chars().take(MAX_NOTICE_CHARS).collect());
            request("answerCallbackQuery", &answer)
        }
        Action::Location { location, reply_to } => {
            place(&Target::of(to)?, location, reply_to.as_deref())
        }
    }
}

fn text(
    target: &Target,
    body: &Rich,
    reply_to: Option<&str>,
    rows: &[ButtonRow],
    silent: bool,
) -> Result<Request, Error> {
    let mut message = SendMessage::new(target.chat.clone(), &body.text);
    message.entities = entities::of(body);
    message.reply_parameters = reply(reply_to)?;
    message.reply_markup = buttons::keyboard(rows)?.map(Into::into);
    message.disable_notification = silent.then_some(true);
    request("sendMessage", &message).map(|request| target.aim(request))
}

fn edit(
    target: &Target,
    message_id: &str,
    body: &Rich,
    rows: &[ButtonRow],
) -> Result<Request, Error> {
    let mut edit = EditMessageText::new(
        target.chat.clone(),
        MessageId(number(message_id)?),
        &body.text,
    );
    edit.entities = entities::of(body);
    edit.reply_markup = buttons::keyboard(rows)?;
    request("editMessageText", &edit).map(|request| target.name_business(request))
}

fn delete(target: &Target, message_id: &str) -> Result<Request, Error> {
    let message_id = MessageId(number(message_id)?);
    match &target.business {
        None => request(
            "deleteMessage",
            &DeleteMessage::new(target.chat.clone(), message_id),
        ),
        Some(business) => {
            let params = json!({"business_connection_id": business, "message_ids": [message_id.0]});
            request("deleteBusinessMessages", &params)
        }
    }
}

fn place(target: &Target, location: &Location, reply_to: Option<&str>) -> Result<Request, Error> {
    let mut place = SendLocation::new(target.chat.clone(), location.latitude, location.longitude);
    place.horizontal_accuracy =
        (location.accuracy_m > 0.0).then(|| location.accuracy_m.min(1500.0));
    place.reply_parameters = reply(reply_to)?;
    if location.title.is_empty() {
        return request("sendLocation", &place).map(|request| target.aim(request));
    }
    // A place with a name is a venue, which wants an address too.
    let mut request = request("sendVenue", &place)?;
    request.params["title"] = json!(location.title);
    request.params["address"] = json!(if location.street.is_empty() {
        &location.title
    } else {
        &location.street
    });
    Ok(target.aim(request))
}

/// Our one reaction, or none to take it back.
fn reaction(emoji: &str) -> Vec<ReactionType> {
    match emoji.strip_prefix("custom:") {
        _ if emoji.is_empty() => Vec::new(),
        Some(id) => vec![ReactionType::CustomEmoji {
            custom_emoji_id: teloxide_core::types::CustomEmojiId(id.into()),
        }],
        None => vec![ReactionType::Emoji {
            emoji: emoji.into(),
        }],
    }
}

/// An answer to a message, which is sent as an ordinary one where that message is gone.
fn reply(to: Option<&str>) -> Result<Option<ReplyParameters>, Error> {
    let to = to.filter(|id| !id.is_empty()).map(number).transpose()?;
    Ok(to.map(|id| ReplyParameters::new(MessageId(id)).allow_sending_without_reply()))
}

/// The number that Telegram means by an id.
fn number(id: &str) -> Result<i32, Error> {
    id.parse()
        .map_err(|_| Error::Rejected(format!("`{id}` is no message id of Telegram")))
}

fn request(method: &'static str, params: &impl Serialize) -> Result<Request, Error> {
    let params =
        serde_json::to_value(params).map_err(|error| Error::Rejected(error.to_string()))?;
    Ok(Request {
        method,
        params,
        files: Vec::new(),
    })
}
