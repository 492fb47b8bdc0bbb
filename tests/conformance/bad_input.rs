//! Bad input through the whole gateway: whatever comes, the person gets an answer and so does the next message.
//!
//! | bad input | read and kept | answered |
//! |---|---|---|
//! | malformed update | `telegram::hearing::nothing_spoils_the_batch_it_comes_in`, `telegram::webhook::what_cannot_be_read_is_kept_and_not_asked_for_again` | here |
//! | update without a number | `telegram::hearing::updates_without_a_number_are_stepped_over` | here |
//! | unknown kind of update | `telegram::hearing::nothing_spoils_the_batch_it_comes_in` | here |
//! | update id above 32 bits | `telegram::hearing::nothing_spoils_the_batch_it_comes_in` | here |
//! | invalid UTF-8 | `telegram::hearing::nothing_spoils_the_batch_it_comes_in` | here |
//! | 5 MB of text | `telegram::events::a_giant_text_is_heard`, `telegram::webhook::too_much_is_not_read` | here |
//! | Telegram answers 5xx, 429, garbage or never | `telegram::hearing::a_failing_or_silent_server_is_asked_again`, `telegram::sending` | – |
//! | model hangs, sends garbage, 401, 429, 500, cuts the line | `integration/agent/faults.rs`, all kinds | here |
//! | WebSocket frames that are no requests | `websocket::methods`, `proto::ws` | – |
//! | webhook call without the secret | `telegram::webhook::who_does_not_know_the_secret_is_not_heard` | – |

use serde_json::json;
use tests::{
    gateway::Gateway,
    model::{Answer, Fault},
    stage::{Fakes, Hears, Stage},
};

/// Longest text that a model is given, in characters: the default of `router.max_text_chars`.
const MAX_TEXT_CHARS: usize = 100_000;

async fn start(hears: Hears) -> (Stage, Gateway) {
    let stage = Stage::set(hears, "").await;
    let gateway = stage.gateway();
    gateway.ready().await;
    (stage, gateway)
}

/// Waits for the `n`-th answer to `chat`, the first being 1.
async fn answer(fakes: &Fakes, chat: i64, n: usize) -> String {
    fakes.telegram.wait_sent(chat, n).await[n - 1].text.clone()
}

async fn strange_updates_cost_nobody_an_answer(hears: Hears) {
    let (stage, gateway) = start(hears).await;
    let telegram = &stage.telegram;
    telegram.say(7, "first");
    telegram.push(json!({"update_id": 1002, "telepathy": {"chat": {"id": 7}}}));
    telegram.push(json!({"update_id": 1003, "message": {"chat": "?", "text": ["odd"]}}));
    telegram.push_raw(&br#"{"no_number": true}"#[..]);
    telegram.push_raw(&b"{\"update_id\":1005,\"message\":{\"message_id\":4,\"date\":1790000000,\"chat\":{\"id\":7,\"type\":\"private\"},\"from\":{\"id\":7,\"is_bot\":false,\"first_name\":\"A\"},\"text\":\"caf\xe9\"}}"[..]);
    if hears == Hears::Webhook {
        // Within a poll's answer it would be a broken answer, which is asked for again.
        telegram.push_raw(&b"\xff\xfe\x00"[..]);
    }
    telegram.push_raw(&br#"[{}]"#[..]);
    telegram.next_update_id(9_000_000_000);
    telegram.say(7, "last");
    let mut answers = Vec::new();
    for n in 1..=3 {
        answers.push(answer(&stage, 7, n).await);
    }
    answers.sort();
    assert_eq!(
        answers,
        ["you said: caf\u{fffd}", "you said: first", "you said: last"]
    );
    telegram.wait_confirmed().await;
    assert!(gateway.terminate().success());
    assert_eq!(
        telegram.sent_in_all(),
        3,
        "what is no message is not answered"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_updates_that_are_polled_cost_nobody_an_answer() {
    strange_updates_cost_nobody_an_answer(Hears::Polling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strange_updates_that_are_told_cost_nobody_an_answer() {
    strange_updates_cost_nobody_an_answer(Hears::Webhook).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_of_five_megabytes_is_cut_for_the_model_and_answered() {
    let (stage, gateway) = start(Hears::Polling).await;
    stage.model.script([Answer::text("That was long.")]);
    stage.telegram.say(7, &"w\u{f6}rd ".repeat(1024 * 1024));
    assert_eq!(answer(&stage, 7, 1).await, "That was long.");
    let given = stage.model.requests()[0].last();
    assert!(given.starts_with("w\u{f6}rd w\u{f6}rd "));
    let (chars, end) = (
        given.chars().count(),
        given.chars().rev().take(200).collect::<Vec<_>>(),
    );
    let end: String = end.into_iter().rev().collect();
    assert!(
        (MAX_TEXT_CHARS / 2..MAX_TEXT_CHARS + 200).contains(&chars),
        "{chars} characters"
    );
    assert!(
        !end.trim_end().ends_with("w\u{f6}rd"),
        "the model is told that it was cut: {end}"
    );
    stage.telegram.say(7, "and on");
    assert_eq!(answer(&stage, 7, 2).await, "you said: and on");
    assert!(gateway.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_model_does_the_person_gets_one_sentence_and_the_next_answer() {
    let stage = Stage::set(Hears::Polling, "").await;
    let folder = tempfile::tempdir().expect("temporary folder");
    let patience = [
        ("OPENCLAW_AGENT_IDLE_TIMEOUT_S", "1"),
        ("OPENCLAW_AGENT_RETRIES", "0"),
    ];
    let gateway = stage.gateway_in(folder.path(), &patience);
    gateway.ready().await;
    let faults = [
        (Fault::Hang(2), "stopped in the middle"),
        (Fault::Garbage, "no answer"),
        (Fault::Html, "no answer"),
        (Fault::Status(401), "agent.api_key"),
        (Fault::RateLimited(3600), "in 60 minutes"),
        (Fault::Status(500), "cannot be reached"),
        (Fault::Cut(2), "cannot be reached"),
    ];
    for (chat, (fault, words)) in (7..).zip(faults) {
        stage.model.script([Answer::fault(fault.clone())]);
        stage.telegram.say(chat, "my question");
        let told = answer(&stage, chat, 1).await;
        assert!(
            told.contains(words) && told.contains("kept"),
            "{fault:?}: {told}"
        );
        stage.telegram.say(chat, "and now?");
        assert_eq!(
            answer(&stage, chat, 2).await,
            "you said: and now?",
            "{fault:?}"
        );
        let given = stage.model.requests().pop().expect("a request").messages();
        let kept = given
            .iter()
            .any(|(role, text)| role == "user" && text == "my question");
        assert!(
            kept,
            "{fault:?}: the message was said to be kept: {given:?}"
        );
        assert_eq!(
            stage.telegram.sent(chat).len(),
            2,
            "{fault:?}: one sentence, one answer"
        );
    }
    assert!(gateway.terminate().success());
}
