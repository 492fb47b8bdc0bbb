//! Updates as Telegram sends them, and as nobody should.

use proto::v1::{Membership, Part, PartKind, Said};

use super::*;

mod hostile;

const CONTENT: &str = include_str!("../../fixtures/content.json");
const CONVERSATIONS: &str = include_str!("../../fixtures/conversations.json");
const EVENTS: &str = include_str!("../../fixtures/events.json");

fn bot() -> Identity {
    Identity {
        id: "99".into(),
        username: "gateway_test_bot".into(),
    }
}

fn inbound(fixtures: &str, name: &str) -> Inbound {
    let fixtures: Value = serde_json::from_str(fixtures).unwrap();
    assert!(fixtures[name].is_object(), "a fixture named {name}");
    from_update(fixtures[name].to_string().as_bytes(), "main", &bot())
}

fn body(fixtures: &str, name: &str) -> Body {
    inbound(fixtures, name).body.unwrap()
}

fn said_in(fixtures: &str, name: &str) -> Said {
    match body(fixtures, name) {
        Body::Said(said) => said,
        other => panic!("{name} is {other:?}"),
    }
}

fn part(name: &str) -> Part {
    let parts = said_in(CONTENT, name).parts;
    assert_eq!(parts.len(), 1, "{name}");
    parts.into_iter().next().unwrap()
}

#[test]
fn a_repeated_update_has_the_same_id_and_each_account_its_own() {
    let update = br#"{"update_id": 9000000000, "message": {}}"#;
    let first = from_update(update, "main", &bot());
    assert_eq!(first.dedupe_key, "telegram:main:9000000000");
    assert_eq!(
        first.id,
        from_update(update, "main", &Identity::default()).id
    );
    assert_ne!(first.id, from_update(update, "shop", &bot()).id);
}

#[test]
fn a_photo_of_an_album_comes_in_its_largest_size() {
    let inbound = inbound(CONTENT, "photo_in_album");
    let sender = inbound.sender.unwrap();
    assert_eq!(
        (
            sender.id.as_str(),
            sender.display_name.as_str(),
            sender.language.as_str()
        ),
        ("5001", "Ada Byron", "en-GB")
    );
    assert_eq!(inbound.occurred_at_ms, 1_790_000_100_000);
    let Some(Body::Said(said)) = inbound.body else {
        panic!()
    };
    assert_eq!(
        (said.group_id.as_str(), said.message_id.as_str()),
        ("13000000001", "41")
    );
    assert!(said.no_commands, "a caption is no place for commands");
    assert_eq!(
        (said.parts[0].kind(), said.parts[0].text.as_str()),
        (PartKind::Image, "/stop at the sea")
    );
    let photo = said.parts[0].attachment.as_ref().unwrap();
    assert_eq!(
        (photo.platform_id.as_str(), photo.width, photo.size_bytes),
        ("large", 1280, 210_000)
    );
}

#[test]
fn each_kind_of_file_is_recognised() {
    for (name, kind, file_id, mime) in [
        ("video", PartKind::Video, "vid", "video/mp4"),
        ("animation", PartKind::Video, "ani", "video/mp4"),
        ("audio", PartKind::Audio, "aud", "audio/mpeg"),
        ("voice", PartKind::Voice, "voi", "audio/ogg"),
        ("video_note", PartKind::Video, "rou", ""),
        ("document", PartKind::Document, "doc", "application/pdf"),
        (
            "sticker",
            PartKind::Sticker,
            "sti",
            "application/x-tgsticker",
        ),
        ("live_photo", PartKind::Image, "still", "image/jpeg"),
    ] {
        let part = part(name);
        let file = part.attachment.as_ref().unwrap();
        assert_eq!(
            (
                part.kind(),
                file.platform_id.as_str(),
                file.claimed_mime.as_str()
            ),
            (kind, file_id, mime),
            "{name}"
        );
        assert_eq!(file.missing, "", "{name}");
    }
    assert_eq!(part("sticker").attachment.unwrap().emoji, "🐙");
    assert_eq!(part("video_note").attachment.unwrap().height, 240);
    assert_eq!(part("document").text, "read this");
}

#[test]
fn places_and_people_are_recognised() {
    let venue = part("venue").location.unwrap();
    assert_eq!(
        (venue.title.as_str(), venue.street.as_str(), venue.latitude),
        ("The Museum", "1 Long Street", 51.5)
    );
    let live = part("live_location").location.unwrap();
    assert_eq!((live.live_s, live.accuracy_m), (900, 12.5));
    let contact = part("contact").contact.unwrap();
    assert_eq!(
        (contact.phone.as_str(), contact.user_id.as_str()),
        ("+441632960000", "5002")
    );
}

#[test]
fn what_has_no_field_keeps_its_json_and_a_text() {
    assert_eq!(part("poll").text, "Lunch?\n- Soup\n- Bread");
    assert!(part("poll").extra_json.contains("voter_count"));
    assert_eq!(part("dice").text, "🎲 4");
    let rich = said_in(CONTENT, "rich_message").parts;
    assert_eq!(rich[0].text, "Plan\nGo north\nthe map");
    assert_eq!(rich[1].attachment.as_ref().unwrap().platform_id, "map");
    let paid = said_in(CONTENT, "paid_media").parts;
    assert_eq!(
        (paid[0].text.as_str(), paid[0].kind(), paid[1].kind()),
        ("five stars", PartKind::Image, PartKind::Embed)
    );
}

#[test]
fn a_text_survives_what_this_version_does_not_know() {
    assert_eq!(part("new_entity_kind").text, "tomorrow at noon");
    assert_eq!(
        body(CONTENT, "not_yet_invented"),
        Body::Unknown(Unknown {
            kind: "message.hologram".into()
        })
    );
    assert_eq!(
        body(EVENTS, "topic_created"),
        Body::Unknown(Unknown {
            kind: "message.forum_topic_created".into()
        })
    );
    let future = inbound(EVENTS, "future");
    assert_eq!(
        future.body,
        Some(Body::Unknown(Unknown {
            kind: "telepathy".into()
        }))
    );
    assert!(String::from_utf8(future.raw).unwrap().contains("soup"));
}

#[test]
fn a_topic_is_a_thread_and_its_opening_is_no_answer() {
    let inbound = inbound(CONVERSATIONS, "topic");
    let address = inbound.address.unwrap();
    assert_eq!(
        (address.conversation.as_str(), address.thread.as_str()),
        ("-1009000000001", "17")
    );
    assert_eq!(
        (address.kind(), address.title.as_str()),
        (ConversationKind::Group, "Crew")
    );
    let said = said_in(CONVERSATIONS, "topic");
    assert_eq!(said.reply_to, "");
    let mentions = said.mentions.unwrap();
    assert_eq!(mentions.users, ["@Gateway_Test_Bot"]);
    assert!(mentions.self_);
}

#[test]
fn an_answer_to_us_mentions_us_and_quotes() {
    let said = said_in(CONVERSATIONS, "reply_chain");
    assert_eq!(
        (said.reply_to.as_str(), said.quoted_text.as_str()),
        ("290", "whole")
    );
    assert!(said.mentions.unwrap().self_);
    assert_eq!(
        inbound(CONVERSATIONS, "reply_chain")
            .address
            .unwrap()
            .thread,
        "",
        "a chain of answers is no topic"
    );
    let external = said_in(CONVERSATIONS, "external_reply");
    assert_eq!(
        (external.reply_to.as_str(), external.quoted_text.as_str()),
        ("", "a headline")
    );
    assert_eq!(external.parts[0].text, "is this so?");
    assert!(external.parts[1].extra_json.contains("News"));
}

#[test]
fn commands_of_others_are_no_commands() {
    assert!(said_in(CONVERSATIONS, "forwarded").forwarded);
    let others = said_in(CONVERSATIONS, "other_bots_command");
    assert!(others.no_commands && !others.mentions.unwrap().self_);
    let ours = said_in(CONVERSATIONS, "our_command");
    assert!(!ours.no_commands && ours.mentions.unwrap().self_);
}

#[test]
fn who_writes_in_a_chats_name_is_that_chat() {
    let admin = inbound(CONVERSATIONS, "anonymous_admin").sender.unwrap();
    assert_eq!((admin.id.as_str(), admin.is_bot), ("-1009000000001", false));
    let post = inbound(CONVERSATIONS, "channel_post");
    assert_eq!(post.sender.unwrap().username, "news");
    assert_eq!(post.address.unwrap().kind(), ConversationKind::Channel);
}

#[test]
fn a_business_chat_has_its_own_address_and_its_owner_is_us() {
    let customer = inbound(CONVERSATIONS, "business_customer");
    let address = customer.address.unwrap();
    assert_eq!(
        (address.conversation.as_str(), address.kind()),
        ("business:conn-1:6001", ConversationKind::Direct)
    );
    assert!(!customer.sender.unwrap().is_self);
    assert!(
        inbound(CONVERSATIONS, "business_owner")
            .sender
            .unwrap()
            .is_self
    );
    let deleted = inbound(EVENTS, "business_deleted");
    assert_eq!(
        deleted.address.unwrap().conversation,
        "business:conn-1:6001"
    );
    assert_eq!(
        deleted.body,
        Some(Body::Deleted(Deleted {
            message_ids: vec!["309".into(), "310".into()]
        }))
    );
}

#[test]
fn a_readers_direct_message_to_a_channel_is_a_thread() {
    let address = inbound(CONVERSATIONS, "direct_messages").address.unwrap();
    assert_eq!(address.thread, "direct:6002");
    assert_eq!(Target::of(&address).unwrap().direct_topic, Some(6002));
}

#[test]
fn an_edit_tells_the_message_as_it_is_now() {
    let Body::Edited(edited) = body(CONVERSATIONS, "edited") else {
        panic!()
    };
    assert_eq!(edited.edited_at_ms, 1_790_000_300_000);
    assert_eq!(edited.now.unwrap().parts[0].text, "ahoy again");
}

#[test]
fn a_reaction_tells_the_difference() {
    let Body::Reacted(reacted) = body(EVENTS, "reaction") else {
        panic!()
    };
    assert_eq!(
        (reacted.added, reacted.removed),
        (vec!["custom:5400".to_owned()], vec!["👍".to_owned()])
    );
}

#[test]
fn a_pressed_button_tells_where_it_was() {
    let pressed = inbound(EVENTS, "pressed");
    let address = pressed.address.unwrap();
    assert_eq!(
        (address.conversation.as_str(), address.thread.as_str()),
        ("-1009000000001", "17")
    );
    assert_eq!(
        pressed.sender.unwrap().id,
        "5001",
        "who pressed, not who wrote"
    );
    let Some(Body::Pressed(pressed)) = pressed.body else {
        panic!()
    };
    assert_eq!(
        (pressed.data.as_str(), pressed.message_id.as_str()),
        ("yes", "36")
    );
    assert_eq!(
        inbound(EVENTS, "pressed_too_old")
            .address
            .unwrap()
            .conversation,
        "5001"
    );
    assert_eq!(
        inbound(EVENTS, "pressed_inline")
            .address
            .unwrap()
            .conversation,
        "5001"
    );
}

#[test]
fn comings_and_goings_are_membership() {
    let kicked = Membership {
        user_id: "99".into(),
        user_name: "Gateway".into(),
        of_self: true,
        was: "member".into(),
        now: "kicked".into(),
    };
    assert_eq!(body(EVENTS, "bot_was_kicked"), Body::Membership(kicked));
    let Body::Membership(came) = body(EVENTS, "people_came") else {
        panic!()
    };
    assert!(came.of_self, "of several, the bot counts most");
}

#[test]
fn a_moved_group_is_told_at_its_old_address_whichever_side_tells() {
    for name in ["group_moved", "group_moved_here"] {
        let moved = inbound(EVENTS, name);
        assert_eq!(moved.address.unwrap().conversation, "-700", "{name}");
        let Some(Body::Moved(moved)) = moved.body else {
            panic!("{name}")
        };
        assert_eq!(moved.to_conversation, "-1009000000700", "{name}");
    }
}

#[test]
fn stops_and_votes_are_told() {
    let stopped = inbound(EVENTS, "stopped");
    assert_eq!(stopped.address.unwrap().thread, "4");
    assert_eq!(
        stopped.body,
        Some(Body::Stopped(Stopped {
            message_id: "12".into()
        }))
    );
    let voted = inbound(EVENTS, "voted");
    assert_eq!(voted.address.unwrap().conversation, "5001");
    assert_eq!(
        voted.body,
        Some(Body::PollAnswer(PollAnswer {
            poll_id: "77".into(),
            options: vec!["1".into()]
        }))
    );
}
