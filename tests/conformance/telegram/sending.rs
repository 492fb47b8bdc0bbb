//! What the bot says, and what becomes of it when Telegram fails.

use adapter::{Action, Adapter, Error, Rich};
use adapter_telegram::Config;
use bytes::Bytes;
use futures_util::stream;
use proto::v1::{Attachment, PartKind};
use tests::platforms::telegram::{Failure, TOKEN};

use super::{Line, at};

fn words(text: &str) -> Action {
    Action::Text {
        body: Rich::plain(text),
        reply_to: None,
        buttons: Vec::new(),
        silent: false,
    }
}

/// What an error says, with all its causes, must never hold the token.
fn keeps_the_secret(error: &Error) {
    let all = format!("{error:?} {error} {:?}", std::error::Error::source(error));
    assert!(
        !all.contains(TOKEN) && !all.contains("fake-token"),
        "the token is in `{all}`"
    );
}

async fn fails(line: &Line, failure: Failure) -> Error {
    let adapter = line.adapter(Config {
        request_timeout_ms: 300,
        ..line.polling()
    });
    line.telegram.fail_next("sendMessage", failure);
    let error = adapter
        .send(&at(7), &words("hello"))
        .await
        .expect_err("it was made to fail");
    keeps_the_secret(&error);
    error
}

#[tokio::test]
async fn a_text_lands_in_its_conversation_and_thread() {
    let line = Line::open().await;
    let adapter = line.adapter(line.polling());
    let mut topic = at(-100);
    topic.thread = "17".into();
    let id = adapter.send(&topic, &words("ahoy")).await.unwrap();
    let sent = line.telegram.sent(-100);
    assert_eq!(
        (sent[0].text.as_str(), sent[0].message_id.to_string()),
        ("ahoy", id)
    );
    assert_eq!(sent[0].params["message_thread_id"], 17);
}

#[tokio::test]
async fn too_fast_is_told_with_telegrams_wait() {
    let line = Line::open().await;
    let error = fails(&line, Failure::TooMany(14)).await;
    assert!(
        matches!(error, Error::RateLimited(wait) if wait.as_secs() == 14),
        "{error:?}"
    );
    assert!(line.telegram.sent(7).is_empty());
}

#[tokio::test]
async fn a_failing_server_has_sent_nothing() {
    let line = Line::open().await;
    for status in [500, 502, 503] {
        assert!(matches!(
            fails(&line, Failure::Status(status)).await,
            Error::Unavailable(_)
        ));
    }
    assert!(matches!(
        fails(&line, Failure::Refuse(500, "Internal Server Error".into())).await,
        Error::Unavailable(_)
    ));
}

#[tokio::test]
async fn nobody_listening_has_sent_nothing() {
    let line = Line::open().await;
    let nowhere = format!("http://127.0.0.1:{}", tests::servers::free_port());
    let adapter = line.adapter(Config {
        api_url: nowhere,
        ..line.polling()
    });
    let error = adapter.send(&at(7), &words("hello")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    keeps_the_secret(&error);
}

#[tokio::test]
async fn a_lost_answer_is_unknown_and_sent_once() {
    let line = Line::open().await;
    for (n, failure) in [Failure::LoseAnswer, Failure::Malformed]
        .into_iter()
        .enumerate()
    {
        let error = fails(&line, failure).await;
        assert!(matches!(error, Error::Unknown(_)), "{error:?}");
        assert_eq!(
            line.telegram.sent(7).len(),
            n + 1,
            "the message is there, and the adapter tried no more"
        );
    }
    for failure in [Failure::Cut, Failure::Hang] {
        let error = fails(&line, failure).await;
        assert!(
            matches!(error, Error::Unknown(_)),
            "nobody can say whether it was done: {error:?}"
        );
    }
    assert_eq!(line.telegram.sent(7).len(), 2);
}

#[tokio::test]
async fn a_refusal_is_final() {
    let line = Line::open().await;
    line.telegram.block(7);
    let error = line
        .adapter(line.polling())
        .send(&at(7), &words("hello"))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::Rejected(why) if why.contains("blocked")),
        "{error:?}"
    );
    assert!(matches!(
        fails(
            &line,
            Failure::Refuse(400, "Bad Request: chat not found".into())
        )
        .await,
        Error::Rejected(_)
    ));
}

#[tokio::test]
async fn a_bad_token_needs_a_person() {
    let line = Line::open().await;
    let adapter = line.adapter(Config {
        token: "1:revoked".into(),
        ..line.polling()
    });
    assert!(matches!(
        adapter.send(&at(7), &words("hello")).await,
        Err(Error::Unauthorized(_))
    ));
    assert!(matches!(adapter.probe().await, Err(Error::Unauthorized(_))));
}

#[tokio::test]
async fn the_longest_text_passes() {
    let line = Line::open().await;
    let adapter = line.adapter(line.polling());
    let longest = "😀".repeat(adapter.capabilities().max_text / 2);
    adapter.send(&at(7), &words(&longest)).await.unwrap();
    assert_eq!(line.telegram.sent(7)[0].text, longest);
}

#[tokio::test]
async fn a_group_that_moved_is_followed() {
    let line = Line::open().await;
    line.telegram.migrate(-5, -1_005);
    line.adapter(line.polling())
        .send(&at(-5), &words("hello"))
        .await
        .unwrap();
    assert_eq!(line.telegram.sent(-1_005).len(), 1);
}

#[tokio::test]
async fn what_telegram_stumbles_over_is_left_out() {
    let line = Line::open().await;
    let adapter = line.adapter(line.polling());
    let mut topic = at(-100);
    topic.thread = "17".into();
    let body = adapter::markdown::parse("**bold**");
    let action = Action::Text {
        body,
        reply_to: Some("3".into()),
        buttons: Vec::new(),
        silent: false,
    };
    for (words, gone) in [
        ("Bad Request: can't parse entities: odd", "entities"),
        (
            "Bad Request: message to be replied not found",
            "reply_parameters",
        ),
        ("Bad Request: message thread not found", "message_thread_id"),
    ] {
        line.telegram
            .fail_next("sendMessage", Failure::Refuse(400, words.into()));
        adapter.send(&topic, &action).await.unwrap();
        let sent = line.telegram.sent(-100);
        assert_eq!(sent.last().unwrap().params.get(gone), None, "{words}");
    }
    assert_eq!(line.telegram.sent(-100).len(), 3);
}

#[tokio::test]
async fn what_is_already_so_is_a_success() {
    let line = Line::open().await;
    let adapter = line.adapter(line.polling());
    let message_id = adapter.send(&at(7), &words("one")).await.unwrap();
    let edit = |text| Action::Edit {
        message_id: message_id.clone(),
        body: Rich::plain(text),
        buttons: Vec::new(),
    };
    for text in ["two", "two", "three"] {
        adapter.send(&at(7), &edit(text)).await.unwrap();
    }
    assert_eq!(line.telegram.sent(7)[0].before, ["one", "two"]);
    let delete = Action::Delete {
        message_id: message_id.clone(),
    };
    for _ in 0..2 {
        adapter.send(&at(7), &delete).await.unwrap();
    }
    assert!(line.telegram.sent(7)[0].deleted);
    let answer = Action::AnswerCallback {
        callback_id: "q1".into(),
        text: "done".into(),
    };
    line.telegram.fail_next(
        "answerCallbackQuery",
        Failure::Refuse(400, "Bad Request: query is too old".into()),
    );
    adapter.send(&at(7), &answer).await.unwrap();
    adapter.send(&at(7), &answer).await.unwrap();
    assert_eq!(
        line.telegram.calls("answerCallbackQuery")[1].params["callback_query_id"],
        "q1"
    );
}

#[tokio::test]
async fn stored_files_are_sent_whole() {
    let line = Line::open().await;
    let adapter = line.adapter(line.polling());
    let mut files = Vec::new();
    for n in 0..3_u8 {
        let bytes = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![n; 100_000]))]);
        let stored = line.media().put(bytes, u64::MAX).await.unwrap();
        files.push(Attachment {
            file_name: format!("../{n}.bin"),
            ..stored.attachment()
        });
    }
    let send = |files: &[Attachment]| Action::Media {
        kind: PartKind::Document,
        files: files.to_vec(),
        caption: Rich::plain("see"),
        reply_to: None,
    };
    adapter.send(&at(7), &send(&files[..1])).await.unwrap();
    adapter.send(&at(7), &send(&files[1..])).await.unwrap();
    let sent = line.telegram.sent(7);
    assert_eq!(
        sent.iter()
            .map(|sent| sent.method.as_str())
            .collect::<Vec<_>>(),
        ["senddocument", "sendmediagroup", "sendmediagroup"]
    );
    for (n, sent) in sent.iter().enumerate() {
        assert_eq!(sent.files.len(), 1);
        assert_eq!(
            (sent.files[0].name.clone(), sent.files[0].bytes.len()),
            (format!("{n}.bin"), 100_000)
        );
        assert!(
            sent.files[0]
                .bytes
                .iter()
                .all(|byte| usize::from(*byte) == n)
        );
    }
    assert_eq!(
        (
            sent[0].text.as_str(),
            sent[1].text.as_str(),
            sent[2].text.as_str()
        ),
        ("see", "see", "")
    );

    let gone = Attachment {
        sha256: "0".repeat(64),
        ..Attachment::default()
    };
    let error = adapter.send(&at(7), &send(&[gone])).await.unwrap_err();
    assert!(matches!(error, Error::Rejected(_)), "{error:?}");
}

#[tokio::test]
async fn a_probe_proves_who_we_are() {
    let line = Line::open().await;
    let proof = line.adapter(line.polling()).probe().await.unwrap();
    assert_eq!(proof.display_name, "@gateway_test_bot");
}
