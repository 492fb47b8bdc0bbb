//! WebSocket frames, byte by byte: one file a frame, as it stands on the wire.

use std::fs;

use serde_json::{Value, json, value::to_raw_value};

use super::{compare, fixtures};
use crate::ws::{Error, Event, Request, Response, StateVersion};

/// Compares the frame `text` with its golden file, and what it means with `meaning`.
fn frame(name: &str, text: &str, meaning: &Value) {
    let file = format!("frames/{name}.json");
    compare(&file, &format!("{text}\n"));
    let golden = fs::read_to_string(fixtures().join(file)).unwrap();
    assert_eq!(
        &serde_json::from_str::<Value>(&golden).unwrap(),
        meaning,
        "{name}"
    );
}

fn full_error() -> Error {
    Error {
        code: "UNAVAILABLE",
        message: "the bus is away".into(),
        details: Some(json!({"code": "BUS_AWAY"})),
        retryable: Some(true),
        retry_after_ms: Some(500),
    }
}

#[test]
fn requests_are_read_as_their_golden_files_say() {
    let plain = r#"{"type":"req","id":"1","method":"health"}"#;
    let full = concat!(
        r#"{"type":"req","id":"2","method":"chat.send","params":{"sessionKey":"main","message":"hi \"you\""},"#,
        r#""traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","expectedProfileId":"p"}"#
    );
    compare("frames/request.json", &format!("{plain}\n"));
    compare("frames/request.full.json", &format!("{full}\n"));

    let golden = |name: &str| fs::read_to_string(fixtures().join("frames").join(name)).unwrap();
    let text = golden("request.json");
    let request = Request::read(&text).unwrap();
    assert_eq!((&*request.id, &*request.method), ("1", "health"));
    assert!(
        request.params.is_none()
            && request.traceparent.is_none()
            && request.expected_profile_id.is_none()
    );

    let text = golden("request.full.json");
    let request = Request::read(&text).unwrap();
    assert_eq!((&*request.id, &*request.method), ("2", "chat.send"));
    assert_eq!(
        request.params.unwrap().get(),
        r#"{"sessionKey":"main","message":"hi \"you\""}"#
    );
    assert!(
        request
            .traceparent
            .unwrap()
            .ends_with("-b7ad6b7169203331-01")
    );
    assert_eq!(request.expected_profile_id.as_deref(), Some("p"));
}

#[test]
fn responses_are_written_as_their_golden_files_say() {
    let payload = to_raw_value(&json!({"ts": 1})).unwrap();
    let short = Error {
        code: "INVALID_REQUEST",
        message: "unknown method: x".into(),
        ..Error::default()
    };
    let full = full_error();
    let (short_json, full_json) = (
        json!({"code": "INVALID_REQUEST", "message": "unknown method: x"}),
        json!({
            "code": "UNAVAILABLE", "message": "the bus is away", "details": {"code": "BUS_AWAY"},
            "retryable": true, "retryAfterMs": 500,
        }),
    );
    let frames = [
        (
            "response",
            Response::new("1", Ok(&payload)),
            json!({"type": "res", "id": "1", "ok": true, "payload": {"ts": 1}}),
        ),
        (
            "response.error",
            Response::new("2", Err(&short)),
            json!({"type": "res", "id": "2", "ok": false, "error": short_json}),
        ),
        (
            "response.error.full",
            Response::new("3", Err(&full)),
            json!({"type": "res", "id": "3", "ok": false, "error": full_json}),
        ),
    ];
    for (name, response, meaning) in frames {
        frame(name, &response.text(), &meaning);
    }
}

#[test]
fn events_are_written_as_their_golden_files_say() {
    let state = StateVersion {
        presence: 3,
        health: 9,
    };
    let tick = Event::new("tick", &json!({"ts": 1}), None);
    let presence = Event::new("presence", &json!({"presence": []}), Some(state));
    frame(
        "event.first",
        &tick.text(None),
        &json!({"type": "event", "event": "tick", "payload": {"ts": 1}}),
    );
    frame(
        "event",
        &tick.text(Some(7)),
        &json!({"type": "event", "event": "tick", "payload": {"ts": 1}, "seq": 7}),
    );
    let meaning = json!({
        "type": "event", "event": "presence", "payload": {"presence": []}, "seq": 8,
        "stateVersion": {"presence": 3, "health": 9},
    });
    frame("event.state", &presence.text(Some(8)), &meaning);
    frame(
        "state",
        &serde_json::to_string(&state).unwrap(),
        &json!({"presence": 3, "health": 9}),
    );
}
