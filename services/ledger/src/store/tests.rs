//! Tests of the store on real SQLite files, and of the plans of its questions.

use proto::v1::{Accepted, Event};
use proto::v1::{Answered, HistoryRequest, SessionsRequest, event::What};
use sqlx::{AssertSqlSafe, Row};

use super::*;

fn at(sequence: u64) -> Position {
    Position {
        stream_created_ms: 1,
        sequence,
    }
}

fn said(n: u64) -> Event {
    let accepted = Accepted {
        text: format!("text {n}"),
        session_id: "s1".into(),
        ..Accepted::default()
    };
    event(n, What::Accepted(accepted))
}

fn event(n: u64, what: What) -> Event {
    Event {
        id: format!("e{n}"),
        at_ms: i64::try_from(n).unwrap(),
        agent: "main".into(),
        session_key: "telegram:dm:1".into(),
        turn_id: format!("t{n}"),
        what: Some(what),
        ..Event::default()
    }
}

fn asked() -> HistoryRequest {
    HistoryRequest {
        agent: "main".into(),
        session_key: "telegram:dm:1".into(),
        ..HistoryRequest::default()
    }
}

async fn texts(reader: &Reader, asked: HistoryRequest) -> Vec<String> {
    reader
        .history(&asked)
        .await
        .unwrap()
        .lines
        .into_iter()
        .map(|line| line.text)
        .collect()
}

async fn refusal(path: &Path) -> String {
    let error = open(path).await.err().unwrap();
    assert!(matches!(error, Error::Unusable(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn an_event_that_comes_again_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(&folder.path().join("l.sqlite")).await.unwrap();
    let answered = Answered {
        text: "yes".into(),
        input_tokens: 3,
        model: "m".into(),
        ..Answered::default()
    };
    let events = [said(1), event(2, What::Answered(answered)), said(1)];
    writer.apply(&events, at(3)).await.unwrap();
    writer.apply(&events, at(3)).await.unwrap();

    let history = reader.history(&asked()).await.unwrap();
    assert_eq!(
        (
            history.lines.len(),
            history.total,
            history.session_id.as_str()
        ),
        (2, 2, "s1")
    );
    let sessions = reader.sessions(&SessionsRequest::default()).await.unwrap();
    assert_eq!(sessions.total, 1);
    assert_eq!(
        (
            sessions.sessions[0].lines,
            sessions.sessions[0].input_tokens
        ),
        (2, 3)
    );
    assert_eq!(
        (
            sessions.sessions[0].model.as_str(),
            sessions.sessions[0].session_id.as_str()
        ),
        ("m", "s1")
    );
    assert_eq!(writer.position().await.unwrap(), at(3));
}

#[tokio::test]
async fn the_newest_lines_come_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(&folder.path().join("l.sqlite")).await.unwrap();
    writer
        .apply(&(1..=5).map(said).collect::<Vec<_>>(), at(5))
        .await
        .unwrap();

    let newest = reader
        .history(&HistoryRequest {
            limit: 2,
            ..asked()
        })
        .await
        .unwrap();
    assert_eq!(
        newest
            .lines
            .iter()
            .map(|line| line.text.as_str())
            .collect::<Vec<_>>(),
        ["text 4", "text 5"]
    );
    assert_eq!(newest.total, 5);
    let before = HistoryRequest {
        limit: 2,
        before: newest.lines[0].id,
        ..asked()
    };
    assert_eq!(texts(&reader, before).await, ["text 2", "text 3"]);
    assert_eq!(
        texts(
            &reader,
            HistoryRequest {
                since_ms: 4,
                ..asked()
            }
        )
        .await,
        ["text 4", "text 5"]
    );
    assert!(
        texts(
            &reader,
            HistoryRequest {
                agent: "other".into(),
                ..asked()
            }
        )
        .await
        .is_empty()
    );
}

#[tokio::test]
async fn an_answer_fits_into_one_message_whatever_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(&folder.path().join("l.sqlite")).await.unwrap();
    let mut events: Vec<_> = (1..=9).map(said).collect();
    for event in &mut events {
        let Some(What::Accepted(accepted)) = &mut event.what else {
            unreachable!()
        };
        accepted.text = "ä".repeat(500_000);
    }
    writer.apply(&events, at(9)).await.unwrap();
    let history = reader.history(&asked()).await.unwrap();
    assert!(prost::Message::encoded_len(&history) < 1 << 20);
    assert_eq!(
        history.lines.last().unwrap().at_ms,
        9,
        "the newest is there"
    );
}

#[tokio::test]
async fn what_is_too_old_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let (mut writer, reader) = open(&folder.path().join("l.sqlite")).await.unwrap();
    writer
        .apply(&(1..=1500).map(said).collect::<Vec<_>>(), at(1500))
        .await
        .unwrap();
    while writer.forget(1499).await.unwrap() {}
    let history = reader.history(&asked()).await.unwrap();
    assert_eq!((history.total, history.lines.len()), (2, 2));
    while writer.forget(2000).await.unwrap() {}
    assert_eq!(
        reader
            .sessions(&SessionsRequest::default())
            .await
            .unwrap()
            .total,
        0
    );
}

#[tokio::test]
async fn a_file_is_opened_again_as_it_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.sqlite");
    let (mut writer, _) = open(&path).await.unwrap();
    writer.apply(&[said(1)], at(7)).await.unwrap();
    writer.close().await.unwrap();
    let (mut writer, reader) = open(&path).await.unwrap();
    assert_eq!(writer.position().await.unwrap(), at(7));
    assert_eq!(texts(&reader, asked()).await, ["text 1"]);
}

#[tokio::test]
async fn a_missing_folder_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(&folder.path().join("away/l.sqlite")).await;
    assert!(
        said.contains("away") && said.contains("create it"),
        "{said}"
    );
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = refusal(folder.path()).await;
    assert!(said.contains("cannot be opened for writing"), "{said}");
}

#[cfg(unix)]
#[tokio::test]
async fn nobody_else_can_read_what_people_said() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.sqlite");
    let (mut writer, _) = open(&path).await.unwrap();
    writer.apply(&[said(1)], at(1)).await.unwrap();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "the file and its log");
    }
}

#[tokio::test]
async fn a_damaged_file_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.sqlite");
    std::fs::write(&path, "no database ".repeat(1000)).unwrap();
    let said = refusal(&path).await;
    assert!(
        said.contains("l.sqlite") && said.contains("move the file"),
        "{said}"
    );
}

#[tokio::test]
async fn a_locked_file_is_named_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.sqlite");
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true);
    let mut other = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE")
        .execute(&mut other)
        .await
        .unwrap();
    let said = refusal(&path).await;
    assert!(said.contains("locked by another program"), "{said}");
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("l.sqlite");
    let mut newer = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99")
        .execute(&mut newer)
        .await
        .unwrap();
    assert!(refusal(&path).await.contains("newer version"));
}

#[tokio::test]
async fn questions_are_answered_from_an_index() {
    let mut memory = SqliteConnectOptions::new().connect().await.unwrap();
    for migration in MIGRATIONS {
        sqlx::raw_sql(migration).execute(&mut memory).await.unwrap();
    }
    for (question, index) in [
        (
            read::HISTORY,
            "USING INDEX lines_of_session (agent=? AND session_key=? AND id>? AND id<?)",
        ),
        (
            read::HISTORY_AFTER,
            "USING INDEX lines_of_session (agent=? AND session_key=? AND id>? AND id<?)",
        ),
        (read::SESSIONS, "USING INDEX sessions_by_age"),
        (trace::OF_TURN, "USING INDEX events_of_turn (turn_id=?)"),
        (trace::BY_NAME, "USING PRIMARY KEY (name=?)"),
    ] {
        let plan = plan(&mut memory, question).await;
        assert!(
            plan[0].contains(index) && plan.len() == 1,
            "no sorting, no scan: {plan:?}"
        );
    }
    for (question, index) in [
        (keep::OVERDUE, "USING INDEX journeys_open (due_ms<?)"),
        (keep::SLOW, "USING INDEX journeys_open"),
    ] {
        let plan = plan(&mut memory, question).await;
        assert!(
            plan[0].contains(index) && plan[1].contains("(id=?)") && plan.len() == 2,
            "only what is open is looked at: {plan:?}"
        );
    }
}

async fn plan(memory: &mut SqliteConnection, question: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {question}"));
    let rows = sqlx::query(explain).fetch_all(memory).await.unwrap();
    rows.iter().map(|row| row.get("detail")).collect()
}
