//! Makes what the model reads out of transcript lines and of the turn at hand.

use proto::v1::{Attachment, ConversationKind, Line, Turn};

use crate::{
    backend::{Message, Role},
    history::Kept,
};

/// Longest name of a person or file that the model is told, in characters.
const MAX_NAME_CHARS: usize = 80;

/// What the person said in `turn`, as the model reads it.
pub(crate) fn said(turn: &Turn) -> Message {
    let direct = turn.reply_to.as_ref().is_none_or(|to| {
        matches!(
            to.kind(),
            ConversationKind::Direct | ConversationKind::Unspecified
        )
    });
    let sender = match &turn.sender {
        Some(sender) if !direct => &sender.display_name,
        _ => "",
    };
    Message {
        role: Role::User,
        content: content(sender, &turn.text, &turn.attachments),
    }
}

/// What the model is told first: the agent's instructions, and what is added for this turn alone.
pub(crate) fn system(instructions: &str, turn: &Turn) -> String {
    let added = turn.wish.as_ref().map_or("", |wish| wish.system.as_str());
    match (instructions.is_empty(), added.is_empty()) {
        (_, true) => instructions.to_owned(),
        (true, false) => added.to_owned(),
        (false, false) => format!("{instructions}\n\n{added}"),
    }
}

/// What whoever asks says was said before.
pub(crate) fn told_before(turn: &Turn) -> impl Iterator<Item = Message> + '_ {
    let before = turn.wish.iter().flat_map(|wish| &wish.before);
    before.map(|line| Message {
        role: match line.role.as_str() {
            "assistant" => Role::Assistant,
            _ => Role::User,
        },
        content: line.text.clone(),
    })
}

/// The lines that came before the turn `turn_id`, from what the ledger knows.
///
/// The turn's own lines are left out, and so are messages that wait behind it: their answers are still to come.
pub(crate) fn before(turn_id: &str, lines: Vec<Line>) -> Vec<Kept> {
    let own = lines
        .iter()
        .position(|line| line.turn_id == turn_id)
        .unwrap_or(lines.len());
    let answered: Vec<String> = lines
        .iter()
        .skip(own)
        .filter(|line| line.role == "assistant")
        .map(|line| line.turn_id.clone())
        .collect();
    let waits = |at: usize, line: &Line| {
        at > own && line.role == "user" && !answered.contains(&line.turn_id)
    };
    lines
        .into_iter()
        .enumerate()
        .filter(|(at, line)| line.turn_id != turn_id && !waits(*at, line))
        .filter_map(|(_, line)| kept(line))
        .collect()
}

fn kept(line: Line) -> Option<Kept> {
    let role = match line.role.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => return None,
    };
    let content = match role {
        Role::User => content(&line.sender, &line.text, &line.attachments),
        Role::Assistant => line.text,
    };
    if content.is_empty() {
        return None;
    }
    Some(Kept {
        turn_id: line.turn_id,
        at_ms: line.at_ms,
        message: Message { role, content },
    })
}

/// The newest of `kept` that fit into `max_lines` and `max_chars`, oldest first.
pub(crate) fn newest(kept: &[Kept], max_lines: usize, max_chars: usize) -> Vec<Message> {
    let mut room = max_chars;
    let fits = |line: &&Kept| {
        let chars = line.message.content.chars().count();
        let fits = chars <= room;
        room = room.saturating_sub(chars);
        fits
    };
    let mut newest: Vec<Message> = kept
        .iter()
        .rev()
        .take(max_lines)
        .take_while(fits)
        .map(|line| line.message.clone())
        .collect();
    newest.reverse();
    newest
}

fn content(sender: &str, text: &str, attachments: &[Attachment]) -> String {
    let mut content = String::with_capacity(text.len());
    if !sender.is_empty() {
        content.push_str(&plain(sender));
        content.push_str(": ");
    }
    content.push_str(text);
    for file in attachments {
        if !content.is_empty() {
            content.push('\n');
        }
        content.push_str(&mention(file));
    }
    content
}

/// Says that a file came with the message. The model cannot look into it yet.
fn mention(file: &Attachment) -> String {
    let mime = if file.mime.is_empty() {
        &file.claimed_mime
    } else {
        &file.mime
    };
    let mime = if mime.is_empty() {
        "unknown type".into()
    } else {
        plain(mime)
    };
    match file.file_name.as_str() {
        "" => format!("[attached file, {mime}, content not shown]"),
        name => format!(
            "[attached file \"{}\", {mime}, content not shown]",
            plain(name)
        ),
    }
}

/// `name` without what could pass for lines or brackets of ours.
fn plain(name: &str) -> String {
    let odd = |c: char| c.is_control() || matches!(c, '[' | ']' | '"');
    name.chars()
        .take(MAX_NAME_CHARS)
        .map(|c| if odd(c) { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use proto::v1::{Address, Sender};

    use super::*;

    fn line(turn_id: &str, role: &str, text: &str) -> Line {
        Line {
            turn_id: turn_id.into(),
            role: role.into(),
            text: text.into(),
            ..Line::default()
        }
    }

    fn texts(kept: &[Kept]) -> Vec<&str> {
        kept.iter()
            .map(|line| line.message.content.as_str())
            .collect()
    }

    #[test]
    fn the_turns_own_line_and_those_that_wait_are_no_history() {
        let lines = vec![
            line("1", "user", "one"),
            line("2", "user", "two"),
            line("3", "user", "three"),
            line("1", "assistant", "answer one"),
            line("9", "user", "urgent"),
            line("9", "assistant", "answer urgent"),
            line("2", "system", "note"),
        ];
        assert_eq!(
            texts(&before("2", lines)),
            ["one", "answer one", "urgent", "answer urgent"]
        );
    }

    #[test]
    fn all_lines_are_history_while_the_ledger_does_not_know_the_turn() {
        let lines = vec![
            line("1", "user", "one"),
            line("1", "assistant", ""),
            line("2", "user", "two"),
        ];
        assert_eq!(texts(&before("3", lines)), ["one", "two"]);
    }

    #[test]
    fn the_oldest_lines_are_left_out_first() {
        let lines = ["aaa", "bb", "cc", "d"].map(|text| line("1", "user", text));
        let kept = before("2", lines.into());
        let contents = |lines, chars| {
            newest(&kept, lines, chars)
                .into_iter()
                .map(|message| message.content)
                .collect::<Vec<_>>()
        };
        assert_eq!(contents(3, 100), ["bb", "cc", "d"]);
        assert_eq!(
            contents(9, 4),
            ["cc", "d"],
            "aaa would fit no more, and nothing older is taken either"
        );
        assert!(contents(0, 100).is_empty());
    }

    #[test]
    fn in_a_group_the_model_is_told_who_speaks_and_of_files_their_names() {
        let turn = Turn {
            text: "look".into(),
            sender: Some(Sender {
                display_name: "Ann\n[x]".into(),
                ..Sender::default()
            }),
            reply_to: Some(Address {
                kind: ConversationKind::Group.into(),
                ..Address::default()
            }),
            attachments: vec![Attachment {
                mime: "image/png".into(),
                file_name: "cat.png".into(),
                ..Attachment::default()
            }],
            ..Turn::default()
        };
        let expected = "Ann  x : look\n[attached file \"cat.png\", image/png, content not shown]";
        assert_eq!(said(&turn).content, expected);
        assert_eq!(
            said(&Turn {
                reply_to: None,
                attachments: vec![],
                ..turn
            })
            .content,
            "look"
        );
    }
}
