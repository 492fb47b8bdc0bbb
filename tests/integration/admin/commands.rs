//! The operator's commands as people type them, against a real admin API.

use std::{
    process::{Command, Output},
    sync::{Arc, Mutex},
};

use adapter_loopback::Answer;
use bus::{Delivery, Outcome};
use proto::v1::Turn;
use serde_json::Value;
use tests::{eventually::eventually, gateway::program};

use super::{Account, Desk, TOKEN, connection, is_connected, publish};

/// Runs `openclaw` with `words` against `desk`.
async fn openclaw(desk: &Desk, words: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(program());
    command
        .args(words)
        .args(["--address", &desk.admin.to_string()])
        .current_dir(folder.path());
    command
        .env("OPENCLAW_HOME", folder.path())
        .env("OPENCLAW_GATEWAY_TOKEN", TOKEN);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// What it prints when all is well.
pub(super) async fn says(desk: &Desk, words: &[&str]) -> String {
    let output = openclaw(desk, words).await;
    let (out, err) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{words:?}: {out}{err}");
    out
}

/// What it complains about when not.
pub(super) async fn complains(desk: &Desk, words: &[&str]) -> String {
    let output = openclaw(desk, words).await;
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

pub(super) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_dead_letter_is_found_read_and_dropped_from_the_command_line() {
    let desk = Desk::open().await;
    desk.bury_turns(&["rejected: chat not found", "expired"])
        .await;
    let list = says(&desk, &["dead", "list", "--reason", "chat"]).await;
    assert!(
        list.contains("MSG_002  rejected: chat not found") && !list.contains("expired"),
        "{list}"
    );
    let shown = says(&desk, &["dead", "show", "1"]).await;
    assert!(
        shown.contains("turn.0.n.main.x") && shown.contains("text: rejected"),
        "{shown}"
    );
    let nothing = complains(&desk, &["dead", "drop"]).await;
    assert!(nothing.contains("--all"), "{nothing}");
    let missing = complains(&desk, &["dead", "show", "99"]).await;
    assert!(missing.contains("there is no dead letter 99"), "{missing}");
    let dropped = says(&desk, &["dead", "drop", "--all", "--json"]).await;
    assert_eq!(json(&dropped)["done"], 2);
    assert_eq!(
        says(&desk, &["dead", "list"]).await,
        "There are no dead letters.\n"
    );
    desk.close().await;
}

#[tokio::test]
async fn an_operator_sends_decides_and_looks_from_the_command_line() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    let to = ["send", "--to", "loopback:main:c", "--text"];
    let sent = says(&desk, &[&to[..], &["hello", "--key", "k"]].concat()).await;
    assert_eq!(sent, "On its way: send-k\n");
    drop(account.asked().await);
    let later = says(
        &desk,
        &[&to[..], &["later", "--key", "l", "--at", "+1h", "--json"]].concat(),
    )
    .await;
    assert_eq!(json(&later)["id"], "send-l");
    let schedules = says(&desk, &["schedules", "list"]).await;
    assert!(
        schedules.contains("send-l") && schedules.contains("loopback:main:c"),
        "{schedules}"
    );
    says(&desk, &["schedules", "cancel", "send-l"]).await;
    assert_eq!(
        says(&desk, &["schedules", "list"]).await,
        "Nothing is to be sent later.\n"
    );

    publish(&desk, "next", "next").await;
    // Its turn has come, so the first is decided to be unknown.
    account.asked().await.answer(Answer::Done("2".into()));
    let unknown = says(&desk, &["unknown", "list", "--json"]).await;
    assert_eq!(json(&unknown)[0]["key"], "send-k.0");
    says(&desk, &["unknown", "settle", "--sent", "send-k.0"]).await;
    assert_eq!(
        says(&desk, &["unknown", "list"]).await,
        "There is nothing to decide.\n"
    );
    let settled = complains(&desk, &["unknown", "resend", "send-k.0"]).await;
    assert!(settled.contains("1 of them"), "{settled}");

    let connections = says(&desk, &["connections", "list"]).await;
    assert!(
        connections.contains("loopback:main  @loopback  connected"),
        "{connections}"
    );
    let wrong = complains(&desk, &["connections", "drain", "telegram"]).await;
    assert!(
        wrong.contains("CONN_001: there is no account telegram:main"),
        "{wrong}"
    );
    assert!(says(&desk, &["queues"]).await.contains("OUT"));
    assert!(
        complains(&desk, &["sessions"])
            .await
            .contains("the ledger does not answer")
    );
    assert!(
        says(&desk, &["pairing", "list"])
            .await
            .contains("Nobody waits.")
    );
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_are_replayed_in_their_order_and_once_though_two_operators_do_it() {
    const LETTERS: usize = 450;
    let desk = Desk::open().await;
    desk.bury_turns(&["expired"; LETTERS]).await;
    let replay = ["dead", "replay", "--reason", "expired"];
    tokio::join!(openclaw(&desk, &replay), openclaw(&desk, &replay));
    assert!(says(&desk, &replay).await.starts_with("Replayed: "));
    desk.dead(0).await;
    let handled: Arc<Mutex<Vec<String>>> = Arc::default();
    let note = handled.clone();
    desk.work(
        "TURN",
        vec!["turn.0".into()],
        move |delivery: Delivery<Turn>| {
            note.lock().unwrap().push(delivery.message.id);
            Outcome::Ack
        },
    );
    eventually("all of them", || async {
        let left = desk.bus.stream_state("TURN").await.ok()?.messages;
        (left == 0 && !handled.lock().unwrap().is_empty()).then_some(())
    })
    .await;
    let expected: Vec<_> = (0..LETTERS).map(|n| format!("t0-{n}")).collect();
    assert_eq!(*handled.lock().unwrap(), expected);
    desk.close().await;
}
