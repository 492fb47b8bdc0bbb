//! Requests as the Bot API wants them.

use adapter::{Span, Style};
use proto::v1::{Button, ConversationKind, PartKind};

use super::*;

fn at(conversation: &str, thread: &str) -> Address {
    let mut address = Address {
        platform: "telegram".into(),
        account: "main".into(),
        ..Address::default()
    };
    address.conversation = conversation.into();
    address.thread = thread.into();
    address.set_kind(ConversationKind::Group);
    address
}

fn words(body: Rich) -> Action {
    Action::Text {
        body,
        reply_to: None,
        buttons: Vec::new(),
        silent: false,
    }
}

fn params(to: &Address, action: &Action) -> Value {
    to_request(to, action).unwrap().params
}

#[test]
fn a_text_goes_with_entities_and_no_parse_mode() {
    let body = Rich {
        text: "😀 <b> *bold*".into(),
        spans: vec![Span {
            start: 9,
            end: 15,
            style: Style::Bold,
        }],
    };
    let buttons = vec![ButtonRow {
        buttons: vec![Button {
            label: "Yes".into(),
            data: "y".into(),
            url: String::new(),
        }],
    }];
    let action = Action::Text {
        body,
        reply_to: Some("12".into()),
        buttons,
        silent: true,
    };
    let request = to_request(&at("-100", "7"), &action).unwrap();
    assert_eq!(request.method, "sendMessage");
    assert_eq!(
        request.params,
        json!({
            "chat_id": -100, "message_thread_id": 7, "text": "😀 <b> *bold*", "disable_notification": true,
            "entities": [{"type": "bold", "offset": 7, "length": 6}],
            "reply_parameters": {"message_id": 12, "allow_sending_without_reply": true},
            "reply_markup": {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]},
        })
    );
}

#[test]
fn a_plain_text_says_no_more_than_it_must() {
    assert_eq!(
        params(&at("5", ""), &words(Rich::plain("hi"))),
        json!({"chat_id": 5, "text": "hi"})
    );
}

#[test]
fn the_general_topic_is_named_only_for_typing() {
    assert_eq!(
        params(&at("-100", "1"), &words(Rich::plain("hi"))).get("message_thread_id"),
        None
    );
    assert_eq!(
        params(&at("-100", "1"), &Action::Typing),
        json!({"chat_id": -100, "message_thread_id": 1, "action": "typing"})
    );
}

#[test]
fn an_address_leads_back_where_it_came_from() {
    let business = params(&at("business:a:b:6001", ""), &words(Rich::plain("hi")));
    assert_eq!(
        (&business["chat_id"], &business["business_connection_id"]),
        (&json!(6001), &json!("a:b"))
    );
    let direct = params(&at("-100", "direct:6002"), &words(Rich::plain("hi")));
    assert_eq!(direct["direct_messages_topic_id"], 6002);
    assert_eq!(
        params(&at("@news", ""), &words(Rich::plain("hi")))["chat_id"],
        "@news"
    );
    for foreign in ["", "@", "C0123", "business:", "1.5"] {
        assert!(
            matches!(
                to_request(&at(foreign, ""), &Action::Typing),
                Err(Error::Rejected(_))
            ),
            "{foreign}"
        );
    }
    assert!(matches!(
        to_request(&at("5", "general"), &Action::Typing),
        Err(Error::Rejected(_))
    ));
}

#[test]
fn what_telegram_can_never_do_is_rejected_here() {
    let button = |label: &str, data: String, url: &str| Action::Text {
        body: Rich::plain("hi"),
        reply_to: None,
        buttons: vec![ButtonRow {
            buttons: vec![Button {
                label: label.into(),
                data,
                url: url.into(),
            }],
        }],
        silent: false,
    };
    for action in [
        button("Yes", "x".repeat(65), ""),
        button("", "x".into(), ""),
        button("Open", String::new(), "not an address"),
        button("Nothing", String::new(), ""),
        Action::Delete {
            message_id: "1700000000.000100".into(),
        },
        Action::Media {
            kind: PartKind::Image,
            files: Vec::new(),
            caption: Rich::default(),
            reply_to: None,
        },
    ] {
        assert!(
            matches!(to_request(&at("5", ""), &action), Err(Error::Rejected(_))),
            "{action:?}"
        );
    }
}

#[test]
fn a_wide_row_of_buttons_is_broken() {
    let row = ButtonRow {
        buttons: vec![
            Button {
                label: "b".into(),
                data: "d".into(),
                url: String::new()
            };
            11
        ],
    };
    let action = Action::Text {
        body: Rich::plain("hi"),
        reply_to: None,
        buttons: vec![row],
        silent: false,
    };
    let keyboard = &params(&at("5", ""), &action)["reply_markup"]["inline_keyboard"];
    assert_eq!(
        (
            keyboard[0].as_array().unwrap().len(),
            keyboard[1].as_array().unwrap().len()
        ),
        (8, 3)
    );
}

#[test]
fn each_kind_of_file_has_its_method() {
    for (kind, method, field) in [
        (PartKind::Image, "sendPhoto", "photo"),
        (PartKind::Video, "sendVideo", "video"),
        (PartKind::Audio, "sendAudio", "audio"),
        (PartKind::Voice, "sendVoice", "voice"),
        (PartKind::Sticker, "sendSticker", "sticker"),
        (PartKind::Document, "sendDocument", "document"),
    ] {
        let file = Attachment {
            url: "https://example.org/f".into(),
            ..Attachment::default()
        };
        let action = Action::Media {
            kind,
            files: vec![file],
            caption: Rich::plain("see"),
            reply_to: None,
        };
        let request = to_request(&at("5", ""), &action).unwrap();
        assert_eq!(
            (request.method, &request.params[field]),
            (method, &json!("https://example.org/f"))
        );
        assert_eq!(
            request.params.get("caption").is_some(),
            kind != PartKind::Sticker
        );
    }
}

#[test]
fn stored_files_go_along_and_a_picture_too_large_is_a_document() {
    let stored = |size_bytes| Attachment {
        sha256: "a".repeat(64),
        size_bytes,
        ..Attachment::default()
    };
    let send = |files| Action::Media {
        kind: PartKind::Image,
        files,
        caption: Rich::plain("two"),
        reply_to: Some("3".into()),
    };
    let album = to_request(&at("5", ""), &send(vec![stored(1), stored(2)])).unwrap();
    assert_eq!(album.method, "sendMediaGroup");
    assert_eq!(
        album.params["media"],
        json!([{"type": "photo", "media": "attach://file0", "caption": "two"}, {"type": "photo", "media": "attach://file1"}])
    );
    assert_eq!(
        album
            .files
            .iter()
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ["file0", "file1"]
    );
    let large = to_request(&at("5", ""), &send(vec![stored(11 * 1024 * 1024)])).unwrap();
    assert_eq!(
        (large.method, &large.params["document"]),
        ("sendDocument", &json!("attach://file0"))
    );
    let giant = to_request(&at("5", ""), &send(vec![stored(51 * 1024 * 1024)]));
    assert!(matches!(giant, Err(Error::Rejected(_))));
}

#[test]
fn the_other_actions_are_single_calls() {
    let to = at("5", "");
    let edit = Action::Edit {
        message_id: "9".into(),
        body: Rich::plain("new"),
        buttons: Vec::new(),
    };
    assert_eq!(
        params(&to, &edit),
        json!({"chat_id": 5, "message_id": 9, "text": "new"})
    );
    let delete = Action::Delete {
        message_id: "9".into(),
    };
    assert_eq!(params(&to, &delete), json!({"chat_id": 5, "message_id": 9}));
    assert_eq!(
        to_request(&at("business:c:5", ""), &delete).unwrap().method,
        "deleteBusinessMessages"
    );
    let react = |emoji: &str| {
        params(
            &to,
            &Action::React {
                message_id: "9".into(),
                emoji: emoji.into(),
            },
        )["reaction"]
            .clone()
    };
    assert_eq!(react("👍"), json!([{"type": "emoji", "emoji": "👍"}]));
    assert_eq!(
        react("custom:77"),
        json!([{"type": "custom_emoji", "custom_emoji_id": "77"}])
    );
    assert_eq!(react(""), json!([]));
    let answer = Action::AnswerCallback {
        callback_id: "q".into(),
        text: String::new(),
    };
    assert_eq!(
        params(&Address::default(), &answer),
        json!({"callback_query_id": "q"})
    );
}

#[test]
fn a_place_with_a_name_is_a_venue() {
    let place = |title: &str| Action::Location {
        location: Location {
            latitude: 1.5,
            longitude: 2.0,
            title: title.into(),
            ..Location::default()
        },
        reply_to: None,
    };
    assert_eq!(
        params(&at("5", ""), &place("")),
        json!({"chat_id": 5, "latitude": 1.5, "longitude": 2.0})
    );
    let venue = to_request(&at("5", ""), &place("Museum")).unwrap();
    assert_eq!(
        (venue.method, &venue.params["address"]),
        ("sendVenue", &json!("Museum"))
    );
}

#[test]
fn the_id_of_an_album_is_its_first() {
    assert_eq!(message_id(&json!({"message_id": 8})), "8");
    assert_eq!(
        message_id(&json!([{"message_id": 8}, {"message_id": 9}])),
        "8"
    );
    assert_eq!(message_id(&json!(true)), "");
}
