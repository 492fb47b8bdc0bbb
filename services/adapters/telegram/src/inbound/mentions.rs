//! Who is addressed by a message: entities with UTF-16 offsets, and commands that name a bot.

use proto::v1::Mentions;
use serde_json::Value;

use super::{
    Identity,
    fields::{id, integer, list, object, text},
};

/// Most entities of one message that are looked at; Telegram itself allows 100.
const MAX_ENTITIES: usize = 200;

/// The people whom `entities` of `words` name.
pub(super) fn of_entities(words: &str, entities: &[Value], bot: &Identity) -> Mentions {
    let mut mentions = Mentions::default();
    for entity in entities.iter().take(MAX_ENTITIES) {
        let covered = || covered(words, integer(entity, "offset"), integer(entity, "length"));
        match text(entity, "type") {
            "mention" => {
                let Some(handle) = covered() else { continue };
                mentions.self_ |= bot.is_called(handle.trim_start_matches('@'));
                mentions.users.push(handle.to_owned());
            }
            "text_mention" => {
                let user = object(entity, "user")
                    .map(|user| id(user, "id"))
                    .unwrap_or_default();
                mentions.self_ |= !user.is_empty() && user == bot.id;
                if !user.is_empty() {
                    mentions.users.push(user);
                }
            }
            "bot_command" => {
                let named = covered().and_then(|command| command.split_once('@'));
                mentions.self_ |= named.is_some_and(|(_, name)| bot.is_called(name));
            }
            _ => {}
        }
    }
    mentions
}

/// The entities that belong to the text or the caption of `message`, and that text.
pub(super) fn words_of(message: &Value) -> (&str, &[Value]) {
    match text(message, "text") {
        "" => (text(message, "caption"), list(message, "caption_entities")),
        words => (words, list(message, "entities")),
    }
}

/// Whether `words` begin with a command that names some other bot ("/status@other_bot").
pub(super) fn commands_another(words: &str, bot: &Identity) -> bool {
    let Some(command) = words.trim_start().strip_prefix('/') else {
        return false;
    };
    let word = command.split_whitespace().next().unwrap_or_default();
    word.split_once('@')
        .is_some_and(|(_, name)| !bot.is_called(name))
}

/// The part of `words` that an entity covers; none if it lies outside or cuts a character in two.
fn covered(words: &str, offset: i64, length: i64) -> Option<&str> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    let mut units = 0;
    let (mut from, mut to) = (None, None);
    for (byte, character) in words.char_indices().chain([(words.len(), '\0')]) {
        if units == start {
            from = Some(byte);
        }
        if units == end {
            to = Some(byte);
            break;
        }
        if units > end {
            break;
        }
        units += character.len_utf16();
    }
    words.get(from?..to?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bot() -> Identity {
        Identity {
            id: "99".into(),
            username: "Our_Bot".into(),
        }
    }

    #[test]
    fn offsets_count_utf16_units() {
        // The emoji is two units and four bytes.
        let entities = [json!({"type": "mention", "offset": 3, "length": 8})];
        let mentions = of_entities("😀 @our_bot hi", &entities, &bot());
        assert_eq!(mentions.users, ["@our_bot"]);
        assert!(mentions.self_, "handles are compared without case");
    }

    #[test]
    fn entities_outside_the_text_are_passed_over() {
        for (offset, length) in [(-1, 3), (0, 900), (1, 1), (i64::MAX, i64::MAX), (50, 1)] {
            let entities = [json!({"type": "mention", "offset": offset, "length": length})];
            assert!(
                of_entities("😀", &entities, &bot()).users.is_empty(),
                "{offset} {length}"
            );
        }
    }

    #[test]
    fn a_person_without_a_handle_is_named_by_id() {
        let entities = [
            json!({"type": "text_mention", "offset": 0, "length": 2, "user": {"id": 7}}),
            json!({"type": "text_mention", "offset": 0, "length": 2, "user": {"id": 99}}),
        ];
        let mentions = of_entities("hi there", &entities, &bot());
        assert_eq!(mentions.users, ["7", "99"]);
        assert!(mentions.self_);
    }

    #[test]
    fn a_command_may_name_its_bot() {
        assert!(commands_another("/status@other_bot now", &bot()));
        assert!(!commands_another("/status@our_bot", &bot()));
        assert!(!commands_another("/status me@example.org", &bot()));
        assert!(!commands_another("mail me@example.org", &bot()));
        let entities = [json!({"type": "bot_command", "offset": 0, "length": 15})];
        assert!(of_entities("/status@our_bot", &entities, &bot()).self_);
    }
}
