//! Where on Telegram an address points: chat, topic, and the business account in whose name we write.

use adapter::Error;
use proto::v1::Address;
use serde_json::json;
use teloxide_core::types::{ChatId, Recipient};

use super::Request;

/// What a conversation of a business account begins with.
const BUSINESS: &str = "business:";
/// What a thread in a channel's direct messages begins with.
const DIRECT: &str = "direct:";
/// The topic that every forum has; messages to it must not name it.
const GENERAL: i64 = 1;

/// An address of ours in Telegram's terms.
///
/// `conversation` is a chat id or "@channel"; in the name of a business account it is
/// `business:<connection id>:<chat id>`. `thread` is a topic's id, or `direct:<topic id>` in the direct messages of a
/// channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The chat.
    pub chat: Recipient,
    /// Connection of the business account for which we write.
    pub business: Option<String>,
    /// Topic of a forum or of a private chat.
    pub topic: Option<i64>,
    /// Topic of a channel's direct messages.
    pub direct_topic: Option<i64>,
}

impl Target {
    /// Reads an address.
    ///
    /// # Errors
    /// [`Error::Rejected`] where it is none of Telegram's.
    pub fn of(address: &Address) -> Result<Self, Error> {
        let foreign = || {
            Error::Rejected(format!(
                "`{}` is no conversation of Telegram",
                address.conversation
            ))
        };
        let (business, chat) = match address.conversation.strip_prefix(BUSINESS) {
            Some(rest) => rest
                .rsplit_once(':')
                .map(|(id, chat)| (Some(id.to_owned()), chat))
                .ok_or_else(foreign)?,
            None => (None, address.conversation.as_str()),
        };
        let chat = match chat.parse() {
            Ok(id) => Recipient::Id(ChatId(id)),
            Err(_) if chat.len() > 1 && chat.starts_with('@') => {
                Recipient::ChannelUsername(chat.to_owned())
            }
            Err(_) => return Err(foreign()),
        };
        let (topic, direct_topic) = match address.thread.strip_prefix(DIRECT) {
            Some(id) => (None, Some(thread(id)?)),
            None if address.thread.is_empty() => (None, None),
            None => (Some(thread(&address.thread)?), None),
        };
        Ok(Self {
            chat,
            business,
            topic,
            direct_topic,
        })
    }

    /// The conversation of an address: the inverse of [`Self::of`].
    pub(crate) fn name(chat_id: &str, business: &str) -> String {
        if business.is_empty() {
            chat_id.to_owned()
        } else {
            format!("{BUSINESS}{business}:{chat_id}")
        }
    }

    /// The thread of an address in a channel's direct messages.
    pub(crate) fn name_direct(topic_id: &str) -> String {
        format!("{DIRECT}{topic_id}")
    }

    /// Sends a request to the topic, in the name of the business account.
    pub(super) fn aim(&self, mut request: Request) -> Request {
        // Typing is the one thing that must name the general topic.
        let topic = self
            .topic
            .filter(|topic| *topic != GENERAL || request.method == "sendChatAction");
        if let Some(topic) = topic {
            request.params["message_thread_id"] = json!(topic);
        }
        if let Some(topic) = self
            .direct_topic
            .filter(|_| request.method != "sendChatAction")
        {
            request.params["direct_messages_topic_id"] = json!(topic);
        }
        self.name_business(request)
    }

    /// Names the business account in a request.
    pub(super) fn name_business(&self, mut request: Request) -> Request {
        if let Some(business) = &self.business {
            request.params["business_connection_id"] = json!(business);
        }
        request
    }
}

fn thread(id: &str) -> Result<i64, Error> {
    id.parse()
        .map_err(|_| Error::Rejected(format!("`{id}` is no thread of Telegram")))
}
