//! What else people do than write: topics, albums, files, buttons.

use adapter::{Action, Adapter, Rich};
use proto::v1::{Inbound, Said, inbound::Body};
use serde_json::{Value, json};
use tests::platforms::telegram::Failure;
use tokio::io::AsyncReadExt;

use super::Line;

fn message(content: &Value) -> Value {
    let mut message = json!({
        "message_id": 5, "date": 1_790_000_000, "chat": {"id": 7, "type": "private", "first_name": "P"},
        "from": {"id": 7, "is_bot": false, "first_name": "P"},
    });
    for (key, value) in content.as_object().unwrap() {
        message[key] = value.clone();
    }
    json!({"message": message})
}

fn said(inbound: Inbound) -> Said {
    match inbound.body {
        Some(Body::Said(said)) => said,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_answer_lands_in_the_topic_it_answers() {
    let line = Line::open().await;
    let config = line.polling();
    let adapter = line.run(config.clone());
    line.telegram.push(message(&json!({
        "chat": {"id": -1_000_000_000_100_i64, "type": "supergroup", "title": "Crew", "is_forum": true},
        "message_thread_id": 17, "is_topic_message": true, "text": "ahoy",
    })));
    let to = line.heard().await.address.unwrap();
    let answer = Action::Text {
        body: Rich::plain("aye"),
        reply_to: Some("5".into()),
        buttons: Vec::new(),
        silent: false,
    };
    line.adapter(config).send(&to, &answer).await.unwrap();
    let sent = &line.telegram.sent(-1_000_000_000_100)[0];
    assert_eq!(
        (
            &sent.params["message_thread_id"],
            &sent.params["reply_parameters"]["message_id"]
        ),
        (&json!(17), &json!(5))
    );
    line.close(adapter).await;
}

#[tokio::test]
async fn the_pictures_of_an_album_come_as_one_group_with_their_bytes() {
    let line = Line::open().await;
    for n in 0..3_u8 {
        line.telegram.put_file(
            &format!("photo{n}"),
            [&b"\x89PNG\r\n\x1a\n"[..], &[n; 5000]].concat(),
        );
        line.telegram.push(message(&json!({
            "message_id": 5 + n, "media_group_id": "900",
            "photo": [{"file_id": format!("photo{n}"), "file_unique_id": "u", "width": 9, "height": 9, "file_size": 5008}],
        })));
    }
    let adapter = line.run(line.polling());
    for n in 0..3_u8 {
        let said = said(line.heard().await);
        assert_eq!(said.group_id, "900");
        let photo = said.parts[0].attachment.clone().unwrap();
        assert_eq!(
            (
                photo.missing.as_str(),
                photo.size_bytes,
                photo.mime.as_str()
            ),
            ("", 5008, "image/png")
        );
        let mut bytes = Vec::new();
        line.media()
            .open(&photo.sha256)
            .await
            .unwrap()
            .read_to_end(&mut bytes)
            .await
            .unwrap();
        assert_eq!(bytes[5007], n);
    }
    line.close(adapter).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_had_does_not_cost_the_message() {
    let line = Line::open().await;
    let document = |id: &str, size: u64| {
        message(
            &json!({"document": {"file_id": id, "file_unique_id": "u", "file_size": size}, "caption": id}),
        )
    };
    line.telegram.put_file("stated_too_large", vec![0; 10]);
    line.telegram
        .put_file("secretly_too_large", vec![0; 2 * 1024 * 1024]);
    line.telegram.put_file("broken", vec![0; 10]);
    line.telegram.put_file("broken_once", vec![7; 10]);
    line.telegram.fail_next("getFile", Failure::Status(502));
    line.telegram.push(document("broken_once", 10));
    line.telegram
        .push(document("stated_too_large", 2 * 1024 * 1024));
    line.telegram.push(document("secretly_too_large", 0));
    line.telegram.push(document("gone", 10));
    let adapter = line.run(line.polling());
    for (caption, missing) in [
        ("broken_once", ""),
        ("stated_too_large", "too large"),
        ("secretly_too_large", "too large"),
        ("gone", "400 Bad Request: invalid file_id"),
    ] {
        let said = said(line.heard().await);
        let file = said.parts[0].attachment.clone().unwrap();
        assert_eq!(said.parts[0].text, caption);
        assert!(
            file.missing.starts_with(missing) && file.missing.is_empty() == missing.is_empty(),
            "{caption}: {}",
            file.missing
        );
        assert_eq!(file.sha256.is_empty(), !missing.is_empty());
    }
    line.telegram.fail_times("file", 3, Failure::Cut);
    line.telegram.push(document("broken", 10));
    let file = said(line.heard().await).parts[0]
        .attachment
        .clone()
        .unwrap();
    assert!(
        !file.missing.is_empty() && !file.missing.contains("fake-token"),
        "{}",
        file.missing
    );
    line.close(adapter).await;
}

#[tokio::test]
async fn a_pressed_button_is_heard_and_answered() {
    let line = Line::open().await;
    let config = line.polling();
    let adapter = line.run(config.clone());
    line.telegram.push(json!({"callback_query": {
        "id": "q7", "from": {"id": 7, "is_bot": false, "first_name": "P"}, "chat_instance": "1", "data": "yes",
        "message": {"message_id": 3, "date": 1, "chat": {"id": 7, "type": "private"}},
    }}));
    let pressed = line.heard().await;
    let Some(Body::Pressed(press)) = pressed.body else {
        panic!("{:?}", pressed.body)
    };
    assert_eq!(
        (press.data.as_str(), press.message_id.as_str()),
        ("yes", "3")
    );
    let answer = Action::AnswerCallback {
        callback_id: press.callback_id,
        text: "noted".into(),
    };
    line.adapter(config)
        .send(&pressed.address.unwrap(), &answer)
        .await
        .unwrap();
    let answered = &line.telegram.calls("answerCallbackQuery")[0].params;
    assert_eq!(
        (&answered["callback_query_id"], &answered["text"]),
        (&json!("q7"), &json!("noted"))
    );
    line.close(adapter).await;
}

#[tokio::test]
async fn a_giant_text_is_heard() {
    let line = Line::open().await;
    line.telegram.say(7, &"word ".repeat(1024 * 1024));
    line.telegram.say(7, "and on");
    let adapter = line.run(line.polling());
    let texts = line.texts(2).await;
    assert!(texts[0].starts_with("word word") && texts[1] == "and on");
    line.telegram.wait_confirmed().await;
    line.close(adapter).await;
}
