//! The ledger: what is published once is written once, in order, and found at once.

use std::path::PathBuf;

use bus::Bus;
use chassis::Context;
use proto::{
    subject,
    v1::{
        Accepted, Answered, Event, HistoryReply, HistoryRequest, SessionsReply, SessionsRequest,
        event::What,
    },
};
use tempfile::TempDir;
use tests::{
    eventually::{DEADLINE, eventually},
    servers::Nats,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A ledger that runs in this process.
struct Ledger {
    bus: Bus,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Ledger {
    async fn start(nats: &Nats, folder: &TempDir) -> Self {
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let stop = CancellationToken::new();
        let config = ledger::Config {
            path: file(folder),
            ..ledger::Config::default()
        };
        let task = tokio::spawn(ledger::run(Context::new(bus.clone(), stop.clone()), config));
        Self { bus, stop, task }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }

    async fn history(&self, asked: HistoryRequest) -> HistoryReply {
        let asked = &asked;
        eventually("the ledger to answer", || async {
            self.bus.ask(subject::HISTORY, asked, DEADLINE).await.ok()
        })
        .await
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("ledger.sqlite")
}

fn event(id: &str, session_key: &str, what: What) -> Event {
    Event {
        id: id.into(),
        at_ms: chassis::clock::now_ms(),
        agent: "main".into(),
        session_key: session_key.into(),
        turn_id: id.split('.').next().unwrap().into(),
        what: Some(what),
        ..Event::default()
    }
}

fn said(n: usize) -> Event {
    let accepted = Accepted {
        text: format!("text {n}"),
        session_id: "s1".into(),
        ..Accepted::default()
    };
    event(
        &format!("t{n}.accepted"),
        "telegram:dm:1",
        What::Accepted(accepted),
    )
}

fn answered(n: usize) -> Event {
    let answered = Answered {
        text: format!("answer {n}"),
        output_tokens: 2,
        ..Answered::default()
    };
    event(
        &format!("t{n}.answered"),
        "telegram:dm:1",
        What::Answered(answered),
    )
}

async fn publish(bus: &Bus, event: &Event) {
    bus.publish(&subject::event(event), &event.id, event)
        .await
        .unwrap();
}

fn asked() -> HistoryRequest {
    HistoryRequest {
        agent: "main".into(),
        session_key: "telegram:dm:1".into(),
        ..HistoryRequest::default()
    }
}

fn texts(history: &HistoryReply) -> Vec<&str> {
    history
        .lines
        .iter()
        .map(|line| line.text.as_str())
        .collect()
}

#[tokio::test]
async fn who_publishes_and_then_asks_finds_it() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let ledger = Ledger::start(&nats, &folder).await;
    ledger.history(asked()).await;
    for n in 0..20 {
        publish(&ledger.bus, &said(n)).await;
        publish(&ledger.bus, &answered(n)).await;
        let history = ledger
            .history(HistoryRequest {
                limit: 2,
                ..asked()
            })
            .await;
        assert_eq!(
            texts(&history),
            [format!("text {n}"), format!("answer {n}")]
        );
        assert_eq!(
            (history.total, history.session_id.as_str()),
            (2 * n as u64 + 2, "s1")
        );
        assert_eq!(history.lines[0].turn_id, history.lines[1].turn_id);
    }
    let sessions: SessionsReply = ledger
        .bus
        .ask(subject::SESSIONS, &SessionsRequest::default(), DEADLINE)
        .await
        .unwrap();
    assert_eq!(
        (sessions.total, sessions.sessions[0].output_tokens),
        (1, 40)
    );
    ledger.stop().await;
}

#[tokio::test]
async fn a_restart_goes_on_and_writes_nothing_twice() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let ledger = Ledger::start(&nats, &folder).await;
    publish(&ledger.bus, &said(1)).await;
    assert_eq!(texts(&ledger.history(asked()).await), ["text 1"]);
    let bus = ledger.bus.clone();
    ledger.stop().await;

    publish(&bus, &said(2)).await;
    let ledger = Ledger::start(&nats, &folder).await;
    eventually("what was said meanwhile", || async {
        (texts(&ledger.history(asked()).await) == ["text 1", "text 2"]).then_some(())
    })
    .await;
    ledger.stop().await;
}

#[tokio::test]
async fn a_deleted_file_is_written_anew_from_the_stream() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let ledger = Ledger::start(&nats, &folder).await;
    for n in 0..300 {
        publish(&ledger.bus, &said(n)).await;
    }
    let before = ledger
        .history(HistoryRequest {
            limit: 300,
            ..asked()
        })
        .await;
    assert_eq!(before.lines.len(), 300);
    ledger.stop().await;

    std::fs::remove_file(file(&folder)).unwrap();
    let ledger = Ledger::start(&nats, &folder).await;
    let after = eventually("all of it again", || async {
        let after = ledger
            .history(HistoryRequest {
                limit: 300,
                ..asked()
            })
            .await;
        (after.total == 300).then_some(after)
    })
    .await;
    assert_eq!(before, after);
    ledger.stop().await;
}

#[tokio::test]
async fn another_stream_under_the_same_name_is_read_from_its_start() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let ledger = Ledger::start(&nats, &folder).await;
    for n in 0..5 {
        publish(&ledger.bus, &said(n)).await;
    }
    assert_eq!(ledger.history(asked()).await.total, 5);
    ledger.stop().await;

    // A server that lost its disk: the first event is one that the ledger knows.
    let other = Nats::start();
    let ledger = Ledger::start(&other, &folder).await;
    publish(&ledger.bus, &said(4)).await;
    publish(&ledger.bus, &said(5)).await;
    let history = eventually("the new event", || async {
        let history = ledger.history(asked()).await;
        (history.total == 6).then_some(history)
    })
    .await;
    assert_eq!(
        texts(&history),
        ["text 0", "text 1", "text 2", "text 3", "text 4", "text 5"]
    );
    ledger.stop().await;
}

#[tokio::test]
async fn a_killed_server_costs_no_event() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let ledger = Ledger::start(&nats, &folder).await;
    for n in 0..60 {
        if n % 20 == 10 {
            nats.restart();
        }
        eventually("the server to store again", || async {
            let event = said(n);
            ledger
                .bus
                .publish(&subject::event(&event), &event.id, &event)
                .await
                .ok()
        })
        .await;
    }
    let history = eventually("all of them", || async {
        let history = ledger.history(asked()).await;
        (history.total == 60).then_some(history)
    })
    .await;
    let expected: Vec<_> = (0..60).map(|n| format!("text {n}")).collect();
    assert_eq!(texts(&history), expected);
    ledger.stop().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_used_ends_the_service_with_what_to_do() {
    let nats = Nats::start();
    let bus = Bus::connect(nats.settings()).await.unwrap();
    let config = ledger::Config {
        path: "/nowhere/ledger.sqlite".into(),
        ..ledger::Config::default()
    };
    let error = ledger::run(Context::new(bus, CancellationToken::new()), config)
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("create it"), "{error:#}");
}

/// A long transcript costs no more than a short one.
#[tokio::test]
async fn a_long_session_is_answered_from_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, reader) = ledger::store::open(&file(&folder)).await.unwrap();
    for batch in 0..100 {
        let events: Vec<_> = (batch * 1000..(batch + 1) * 1000).map(said).collect();
        let position = ledger::store::Position {
            stream_created_ms: 1,
            sequence: (batch as u64 + 1) * 1000,
        };
        writer.apply(&events, position).await.unwrap();
    }
    let begun = std::time::Instant::now();
    for _ in 0..20 {
        let history = reader.history(&asked()).await.unwrap();
        assert_eq!((history.lines.len(), history.total), (200, 100_000));
        assert_eq!(history.lines[199].text, "text 99999");
    }
    let each = begun.elapsed() / 20;
    assert!(
        each < std::time::Duration::from_millis(250),
        "{each:?} an answer"
    );
    println!("200 of 100000 lines in {each:?}");
}
