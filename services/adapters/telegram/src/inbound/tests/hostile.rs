//! Updates as nobody should send them, and those that were recorded elsewhere.

use proto::v1::Part;
use serde_json::json;

use super::{super::*, bot};

fn text_update(text: &str) -> Inbound {
    let update = json!({"update_id": 1, "message": {"message_id": 1, "date": 1, "chat": {"id": 5, "type": "private"}, "text": text}});
    from_update(update.to_string().as_bytes(), "main", &bot())
}

#[test]
fn a_giant_text_is_cut_to_what_the_bus_carries() {
    let inbound = text_update(&"é".repeat(5 * 1024 * 1024 / 2));
    assert!(inbound.raw_cut && inbound.raw.len() == MAX_RAW_BYTES);
    let Some(Body::Said(said)) = inbound.body else {
        panic!()
    };
    assert!((200_000..=256 * 1024).contains(&said.parts[0].text.len()));
}

#[test]
fn nothing_stops_it() {
    let deep = format!(
        "{{\"update_id\": 3, \"message\": {}1{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    for odd in [
        "",
        "null",
        "[]",
        "7",
        "{",
        "{\"update_id\": \"x\"}",
        "{\"update_id\": 1}",
        "{\"update_id\": 1, \"message\": null}",
        "{\"update_id\": 1, \"message\": {\"chat\": 5, \"from\": [], \"text\": {}, \"date\": -1, \"photo\": [7, null]}}",
        "{\"update_id\": 1, \"message_reaction\": {\"new_reaction\": [1, {}], \"old_reaction\": 4}}",
        "{\"update_id\": 1.5, \"callback_query\": {\"message\": \"gone\"}}",
        &deep,
    ] {
        let inbound = from_update(odd.as_bytes(), "main", &bot());
        assert!(
            inbound.body.is_some() && !inbound.dedupe_key.is_empty(),
            "{odd:.80}"
        );
        assert_eq!(inbound.raw, &odd.as_bytes()[..odd.len().min(MAX_RAW_BYTES)]);
    }
    assert_eq!(
        update_id(deep.as_bytes()),
        Some(3),
        "a number is read though the rest cannot be"
    );
    assert_eq!(
        update_id(b"{\"update_id\": -4}"),
        None,
        "an offset below zero means something else"
    );
}

#[test]
fn one_update_does_not_spoil_another() {
    let answer = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    let mixed = answer(r#"[{"update_id": 1}, "odd", {"update_id": 99999999999999999999}]"#);
    let ids: Vec<_> = batch(&mixed).unwrap().into_iter().map(update_id).collect();
    assert_eq!(ids, [Some(1), None, None]);
    assert!(batch(&answer("{}")).is_err() && batch(&answer("[]")).unwrap().is_empty());
}

#[test]
fn bytes_that_are_no_utf8_are_replaced() {
    let inbound = from_update(
        b"{\"update_id\":4,\"message\":{\"message_id\":1,\"chat\":{\"id\":5},\"text\":\"a\xff\"}}",
        "main",
        &bot(),
    );
    let Some(Body::Said(said)) = inbound.body else {
        panic!()
    };
    assert_eq!(said.parts[0].text, "a\u{fffd}");
}

#[test]
fn recorded_payloads_are_all_understood() {
    let recorded = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../../shared/specs/telegram/teloxide-embedded-payloads.jsonl"
    );
    // They stand beside the project where it is developed, not in it.
    let Ok(recorded) = std::fs::read_to_string(recorded) else {
        eprintln!("SKIPPED: no recorded payloads stand beside the project");
        return;
    };
    let mut seen = 0;
    for line in recorded.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let mut payload = line["json"].take();
        if payload.get("update_id").is_none() {
            payload = json!({"update_id": 1, "message": payload});
        }
        let inbound = from_update(payload.to_string().as_bytes(), "main", &bot());
        match inbound.body.as_ref().unwrap() {
            Body::Said(said) => assert!(
                said.parts.iter().all(|part| *part != Part::default()),
                "{payload}"
            ),
            Body::Unknown(unknown) => assert!(!unknown.kind.is_empty(), "{payload}"),
            _ => {}
        }
        seen += 1;
    }
    assert!(seen >= 53, "{seen} payloads");
}
