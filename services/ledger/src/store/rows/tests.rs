//! Tests of lists of sessions, of what counts of them, and of what they used.

use proto::v1::{
    Accepted, Address, Answered, Compacted, ConversationKind, Event, Failed, HistoryRequest,
    Inbound, Part, Removed, Reset, RowsRequest, Said, SessionName, UsageRequest, event::What,
    inbound::Body,
};

use crate::store::{Position, Reader, Writer, open};

/// A file, and what is written into it event by event.
struct File {
    folder: tempfile::TempDir,
    writer: Writer,
    reader: Reader,
    events: u64,
}

impl File {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = open(&folder.path().join("l.sqlite")).await.unwrap();
        Self {
            folder,
            writer,
            reader,
            events: 0,
        }
    }

    async fn add(&mut self, session_key: &str, what: What) {
        self.add_of("main", session_key, what).await;
    }

    async fn add_of(&mut self, agent: &str, session_key: &str, what: What) {
        self.events += 1;
        let n = self.events;
        let event = Event {
            id: format!("e{n}"),
            at_ms: i64::try_from(n).unwrap(),
            agent: agent.into(),
            session_key: session_key.into(),
            turn_id: format!("turn of {session_key}"),
            what: Some(what),
            ..Event::default()
        };
        let position = Position {
            stream_created_ms: 1,
            sequence: n,
        };
        self.writer.apply(&[event], position).await.unwrap();
    }

    async fn keys(&self, asked: RowsRequest) -> Vec<String> {
        let reply = self.reader.rows(&asked).await.unwrap();
        reply.rows.into_iter().map(|row| row.session_key).collect()
    }

    async fn texts(&self, session_key: &str) -> (Vec<String>, u64) {
        let asked = HistoryRequest {
            agent: "main".into(),
            session_key: session_key.into(),
            ..HistoryRequest::default()
        };
        let history = self.reader.history(&asked).await.unwrap();
        let texts = history.lines.into_iter().map(|line| line.text).collect();
        (texts, history.total)
    }
}

fn said(text: &str) -> What {
    let part = Part {
        text: text.into(),
        ..Part::default()
    };
    let mut address = Address {
        platform: "telegram".into(),
        title: "The team".into(),
        ..Address::default()
    };
    address.set_kind(ConversationKind::Group);
    let inbound = Inbound {
        address: Some(address),
        body: Some(Body::Said(Said {
            parts: vec![part],
            ..Said::default()
        })),
        ..Inbound::default()
    };
    What::Accepted(Accepted {
        text: text.into(),
        session_id: "s1".into(),
        inbound: Some(inbound),
        ..Accepted::default()
    })
}

fn answered(text: &str) -> What {
    What::Answered(Answered {
        text: text.into(),
        provider: "openai".into(),
        model: "m".into(),
        input_tokens: 3,
        output_tokens: 4,
        cost_micro_usd: 5,
        stop_reason: "stop".into(),
        ..Answered::default()
    })
}

fn name(session_key: &str) -> SessionName {
    SessionName {
        agent: "main".into(),
        session_key: session_key.into(),
    }
}

#[tokio::test]
async fn a_row_tells_what_its_lines_come_to() {
    let mut file = File::new().await;
    file.add("telegram:group:1", said("first")).await;
    file.add("telegram:group:1", answered("yes")).await;
    file.add("telegram:group:1", said("second")).await;
    let failed = Failed {
        message: "Try later.".into(),
        kind: "timeout".into(),
        provider: "openai".into(),
        ..Failed::default()
    };
    file.add("telegram:group:1", What::Failed(failed)).await;
    let reply = file.reader.rows(&RowsRequest::default()).await.unwrap();
    let row = &reply.rows[0];
    assert_eq!(
        (reply.total, row.lines, row.title.as_str()),
        (1, 4, "The team")
    );
    assert_eq!(
        (row.first_text.as_str(), row.last_text.as_str()),
        ("first", "second")
    );
    assert_eq!((row.last_end.as_str(), row.failed), ("timeout", true));
    assert_eq!(
        (row.created_at_ms, row.interacted_at_ms, row.updated_at_ms),
        (1, 3, 4)
    );
    assert_eq!((row.provider.as_str(), row.model.as_str()), ("openai", "m"));
    let named = RowsRequest {
        only: vec![name("telegram:group:2"), name("telegram:group:1")],
        ..RowsRequest::default()
    };
    assert_eq!(file.keys(named).await, ["telegram:group:1"]);
}

#[tokio::test]
async fn a_list_is_chosen_counted_and_paged() {
    let mut file = File::new().await;
    for n in 1..=5 {
        file.add(&format!("telegram:dm:{n}"), said("hi")).await;
    }
    file.add_of("work", "webchat:main", said("hi")).await;
    file.add("webchat:dm:notes", said("hi")).await;
    file.add("cron:job:1", said("hi")).await;
    file.add("telegram:dm:2", answered("late")).await;
    let all = RowsRequest::default();
    let page = RowsRequest {
        limit: 2,
        offset: 1,
        ..all.clone()
    };
    assert_eq!(file.keys(page).await, ["cron:job:1", "webchat:dm:notes"]);
    let by_interaction = RowsRequest {
        limit: 1,
        by_interaction: true,
        without_cron: true,
        ..all.clone()
    };
    assert_eq!(file.keys(by_interaction).await, ["webchat:dm:notes"]);
    let of_work = RowsRequest {
        agents: vec!["work".into()],
        ..all.clone()
    };
    assert_eq!(file.keys(of_work).await, ["webchat:main"]);
    let searched = |text: &str| RowsRequest {
        search: text.into(),
        ..all.clone()
    };
    assert_eq!(
        file.keys(searched("Agent:main:NOTES")).await,
        ["webchat:dm:notes"]
    );
    assert_eq!(
        file.keys(searched("agent:work:main")).await,
        ["webchat:main"]
    );
    assert_eq!(file.keys(searched("the team")).await.len(), 8);
    let labelled = RowsRequest {
        found: vec![name("cron:job:1")],
        without: vec![name("webchat:dm:notes")],
        ..searched("notes")
    };
    assert_eq!(file.keys(labelled).await, ["cron:job:1"]);
    let recent = RowsRequest { since_ms: 8, ..all };
    let reply = file.reader.rows(&recent).await.unwrap();
    assert_eq!((reply.total, reply.rows.len()), (2, 2));
}

#[tokio::test]
async fn a_session_that_begins_anew_or_is_compacted_counts_only_what_is_left() {
    let mut file = File::new().await;
    let key = "telegram:dm:1";
    for n in 1..=4 {
        file.add(key, said(&format!("text {n}"))).await;
    }
    file.add(key, What::Compacted(Compacted { keep: 2 })).await;
    assert_eq!(
        file.texts(key).await,
        (vec!["text 3".into(), "text 4".into()], 2)
    );
    file.add(key, What::Compacted(Compacted { keep: 9 })).await;
    assert_eq!(file.texts(key).await.1, 2, "nothing comes back");
    let reset = Reset {
        session_id: "s2".into(),
    };
    file.add(key, What::Reset(reset)).await;
    assert_eq!(file.texts(key).await, (Vec::new(), 0));
    file.add(key, said("new")).await;
    assert_eq!(file.texts(key).await, (vec!["new".into()], 1));
    while file.writer.forget(8).await.unwrap() {}
    assert_eq!(
        file.texts(key).await.1,
        1,
        "what was hidden is forgotten first"
    );
}

#[tokio::test]
async fn a_removed_session_is_not_listed_and_its_words_go_where_that_was_asked() {
    let mut file = File::new().await;
    for key in ["telegram:dm:1", "telegram:dm:2"] {
        file.add(key, said("a canary")).await;
        file.add(key, answered("a canary")).await;
    }
    file.add("telegram:dm:1", What::Removed(Removed { erase: true }))
        .await;
    file.add("telegram:dm:2", What::Removed(Removed { erase: false }))
        .await;
    assert!(file.keys(RowsRequest::default()).await.is_empty());
    let path = file.folder.path().join("l.sqlite");
    let file_of = |key: &'static str| {
        let path = path.clone();
        async move {
            let (_, reader) = open(&path).await.unwrap();
            let count = "SELECT count(*) FROM events WHERE session_key = ? AND instr(event, CAST('canary' AS BLOB))";
            sqlx::query_scalar::<_, i64>(count)
                .bind(key)
                .fetch_one(&reader.pool)
                .await
                .unwrap()
        }
    };
    assert_eq!(file_of("telegram:dm:1").await, 0);
    assert_eq!(file_of("telegram:dm:2").await, 2);
    file.add("telegram:dm:2", said("again")).await;
    assert_eq!(file.texts("telegram:dm:2").await, (vec!["again".into()], 1));
    assert_eq!(file.keys(RowsRequest::default()).await, ["telegram:dm:2"]);
}

#[tokio::test]
async fn usage_is_counted_by_session_day_and_model() {
    let mut file = File::new().await;
    for _ in 0..2 {
        file.add("telegram:dm:1", said("hi")).await;
        file.add("telegram:dm:1", answered("yes")).await;
    }
    file.add("telegram:dm:2", answered("yes")).await;
    let all = UsageRequest::default();
    let reply = file.reader.usage(&all).await.unwrap();
    assert_eq!((reply.cells.len(), reply.truncated), (3, false));
    let asked = UsageRequest {
        agent: "main".into(),
        session_key: "telegram:dm:1".into(),
        from_ms: 3,
        utc_offset_min: 24 * 60,
        ..all
    };
    let cells = file.reader.usage(&asked).await.unwrap().cells;
    let answers = cells.iter().find(|cell| cell.model == "m").unwrap();
    assert_eq!(
        (
            answers.assistant_lines,
            answers.input_tokens,
            answers.cost_micro_usd
        ),
        (1, 3, 5)
    );
    assert_eq!((answers.day, answers.first_at_ms), (1, 4));
    let people = cells.iter().find(|cell| cell.model.is_empty()).unwrap();
    assert_eq!((people.user_lines, people.first_at_ms), (1, 3));
}
