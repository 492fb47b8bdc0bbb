//! From what the platform tells to what the gateway understands.

use proto::v1::{Address, ConversationKind, Inbound, Part, PartKind, Said, Sender, inbound::Body};

use crate::{Update, outbound::PLATFORM};

/// The event that `update` is, for our account `account`; `None` if it is of no interest.
///
/// The same update makes the same event, however often the platform tells it.
pub(crate) fn from_update(account: &str, update: &Update) -> Option<Inbound> {
    if update.text.is_empty() {
        return None;
    }
    let part = Part {
        kind: PartKind::Text.into(),
        text: update.text.clone(),
        ..Part::default()
    };
    let said = Said {
        message_id: update.id.clone(),
        parts: vec![part],
        ..Said::default()
    };
    let address = Address {
        platform: PLATFORM.into(),
        account: account.into(),
        conversation: update.conversation.clone(),
        thread: update.thread.clone(),
        kind: ConversationKind::Direct.into(),
        ..Address::default()
    };
    let sender = Sender {
        id: update.sender.clone(),
        ..Sender::default()
    };
    Some(Inbound {
        dedupe_key: format!("{PLATFORM}:{account}:{}", update.id),
        address: Some(address),
        sender: Some(sender),
        body: Some(Body::Said(said)),
        ..Inbound::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_update_is_the_same_event() {
        let update = Update {
            id: "7".into(),
            conversation: "c".into(),
            text: "hi".into(),
            ..Update::default()
        };
        let inbound = from_update("main", &update).unwrap();
        assert_eq!(inbound.dedupe_key, "loopback:main:7");
        assert_eq!(from_update("main", &update), Some(inbound));
    }

    #[test]
    fn silence_is_no_event() {
        assert_eq!(from_update("main", &Update::default()), None);
    }
}
