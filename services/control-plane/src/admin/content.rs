//! What a message on the bus says, for people; and the same message with time left to live.

use bytes::Bytes;
use prost::Message;
use proto::v1::{
    Address, Attachment, Inbound, Outbound, Sender, Turn, inbound::Body, outbound::Action,
};

/// How long a message lives that is put back after its time.
const LIFE_MS: i64 = 24 * 60 * 60 * 1000;
/// How long an agent has for a turn that is put back, at least and at most.
const ANSWER_MS: (i64, i64) = (60_000, 3_600_000);
/// Bytes shown of what nobody can read.
const SHOWN_BYTES: usize = 64;
/// Letters of a text that stand for the whole of it.
const BEGINNING: usize = 80;

/// What `payload`, a message of `stream`, says.
pub(super) fn readable(stream: &str, payload: &Bytes) -> String {
    let read = match stream {
        "IN" => Inbound::decode(payload.clone()).map(|inbound| of_inbound(&inbound)),
        "TURN" => Turn::decode(payload.clone()).map(|turn| of_turn(&turn)),
        "OUT" => Outbound::decode(payload.clone()).map(|outbound| of_outbound(&outbound)),
        _ => return raw(payload),
    };
    match read {
        Ok(lines) => {
            let lines = lines.into_iter().filter(|(_, text)| !text.is_empty());
            let lines = lines.map(|(name, text)| format!("{name}: {text}"));
            lines.collect::<Vec<_>>().join("\n")
        }
        Err(_) => raw(payload),
    }
}

/// How the text of an outbound begins.
pub(super) fn beginning(outbound: &Outbound) -> String {
    let text = text_of(outbound);
    match text.char_indices().nth(BEGINNING) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// `payload`, a message of `stream`, as it is; with a later end where its time is over.
pub(super) fn renew(stream: &str, payload: &Bytes, now_ms: i64) -> Bytes {
    let over = |at_ms: i64| at_ms != 0 && at_ms <= now_ms;
    match stream {
        "IN" => match Inbound::decode(payload.clone()) {
            Ok(mut inbound) if over(inbound.expires_at_ms) => {
                inbound.expires_at_ms = now_ms + LIFE_MS;
                inbound.encode_to_vec().into()
            }
            _ => payload.clone(),
        },
        "TURN" => match Turn::decode(payload.clone()) {
            Ok(mut turn) if over(turn.deadline_ms) => {
                let had = turn.deadline_ms - turn.received_at_ms;
                turn.deadline_ms = now_ms + had.clamp(ANSWER_MS.0, ANSWER_MS.1);
                turn.encode_to_vec().into()
            }
            _ => payload.clone(),
        },
        "OUT" => match Outbound::decode(payload.clone()) {
            Ok(outbound) if expired(&outbound, now_ms) => {
                alive(outbound, now_ms).encode_to_vec().into()
            }
            _ => payload.clone(),
        },
        _ => payload.clone(),
    }
}

/// The outbound with time left to live.
pub(super) fn alive(mut outbound: Outbound, now_ms: i64) -> Outbound {
    if expired(&outbound, now_ms) {
        outbound.expires_at_ms = now_ms + LIFE_MS;
    }
    outbound
}

fn expired(outbound: &Outbound, now_ms: i64) -> bool {
    let end = match (outbound.expires_at_ms, outbound.created_at_ms) {
        (0, 0) => return false,
        (0, created) => created.saturating_add(LIFE_MS),
        (end, _) => end,
    };
    end <= now_ms
}

fn of_inbound(inbound: &Inbound) -> Vec<(&'static str, String)> {
    let said = match &inbound.body {
        Some(Body::Said(said)) => said.parts.iter().map(|part| part.text.as_str()).collect(),
        Some(Body::Edited(edited)) => {
            let parts = edited.now.iter().flat_map(|said| &said.parts);
            parts.map(|part| part.text.as_str()).collect()
        }
        _ => Vec::new(),
    };
    let other = match (&inbound.body, said.is_empty()) {
        (Some(body), true) => format!("{body:?}"),
        _ => String::new(),
    };
    vec![
        ("id", inbound.id.clone()),
        ("at", place(inbound.address.as_ref())),
        ("from", person(inbound.sender.as_ref())),
        ("text", said.join("\n")),
        ("event", other),
        (
            "platform's own form",
            String::from_utf8_lossy(&inbound.raw).into_owned(),
        ),
    ]
}

fn of_turn(turn: &Turn) -> Vec<(&'static str, String)> {
    vec![
        ("id", turn.id.clone()),
        ("session", turn.session_key.clone()),
        ("agent", turn.agent.clone()),
        ("from", person(turn.sender.as_ref())),
        ("reply to", place(turn.reply_to.as_ref())),
        ("cancels", turn.cancel.clone()),
        ("text", turn.text.clone()),
        ("files", files(&turn.attachments)),
    ]
}

fn of_outbound(outbound: &Outbound) -> Vec<(&'static str, String)> {
    vec![
        ("id", outbound.id.clone()),
        ("to", place(outbound.to.as_ref())),
        ("session", outbound.session_key.clone()),
        ("text", text_of(outbound)),
    ]
}

fn text_of(outbound: &Outbound) -> String {
    match &outbound.action {
        Some(Action::Text(text)) => text.markdown.clone(),
        Some(Action::Edit(edit)) => edit.markdown.clone(),
        Some(Action::Media(media)) => format!("{} {}", files(&media.files), media.caption),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn place(address: Option<&Address>) -> String {
    let Some(to) = address else {
        return String::new();
    };
    let thread = match to.thread.as_str() {
        "" => String::new(),
        thread => format!(", thread {thread}"),
    };
    format!("{}:{}:{}{thread}", to.platform, to.account, to.conversation)
}

fn person(sender: Option<&Sender>) -> String {
    sender.map_or_else(String::new, |sender| match sender.display_name.as_str() {
        "" => sender.id.clone(),
        name => format!("{name} ({})", sender.id),
    })
}

fn files(files: &[Attachment]) -> String {
    let names = files.iter().map(|file| match file.file_name.as_str() {
        "" => format!("[{}]", file.mime),
        name => format!("[{name}]"),
    });
    names.collect::<Vec<_>>().join(" ")
}

fn raw(payload: &Bytes) -> String {
    let shown = &payload[..payload.len().min(SHOWN_BYTES)];
    let hex: Vec<_> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    let rest = if payload.len() > SHOWN_BYTES {
        " …"
    } else {
        ""
    };
    format!(
        "{} bytes that this version does not read: {}{rest}",
        payload.len(),
        hex.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use proto::v1::Text;

    use super::*;

    fn outbound(created_at_ms: i64, expires_at_ms: i64) -> Outbound {
        let markdown = "hello".into();
        let text = Text {
            markdown,
            ..Text::default()
        };
        Outbound {
            id: "o".into(),
            action: Some(Action::Text(text)),
            created_at_ms,
            expires_at_ms,
            ..Outbound::default()
        }
    }

    #[test]
    fn a_message_is_read_by_its_stream() {
        let payload = Bytes::from(outbound(1, 0).encode_to_vec());
        assert_eq!(readable("OUT", &payload), "id: o\ntext: hello");
        let garbage = Bytes::from_static(&[0xff, 0xff]);
        assert_eq!(
            readable("OUT", &garbage),
            "2 bytes that this version does not read: ff ff"
        );
    }

    #[test]
    fn a_message_whose_time_is_over_gets_more_and_no_other_is_touched() {
        let bytes = |outbound: Outbound| Bytes::from(outbound.encode_to_vec());
        let fresh = bytes(outbound(10, 0));
        assert_eq!(renew("OUT", &fresh, 11), fresh);
        let old = renew("OUT", &bytes(outbound(1, 2)), 3);
        assert_eq!(Outbound::decode(old).unwrap().expires_at_ms, 3 + LIFE_MS);
        let turn = Turn {
            received_at_ms: 1,
            deadline_ms: 120_001,
            ..Turn::default()
        };
        let late = renew("TURN", &turn.encode_to_vec().into(), 500_000);
        assert_eq!(Turn::decode(late).unwrap().deadline_ms, 620_000);
        let garbage = Bytes::from_static(&[0xff]);
        assert_eq!(renew("IN", &garbage, 1), garbage);
    }

    #[test]
    fn a_long_text_is_cut_between_letters() {
        let mut long = outbound(0, 0);
        if let Some(Action::Text(text)) = &mut long.action {
            text.markdown = "ü".repeat(BEGINNING + 1);
        }
        assert_eq!(beginning(&long).chars().count(), BEGINNING + 1);
        assert_eq!(beginning(&outbound(0, 0)), "hello");
    }
}
