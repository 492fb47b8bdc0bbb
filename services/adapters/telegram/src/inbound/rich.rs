//! Rich messages (Bot API 10.1): the text and the files inside their tree of blocks.

use serde_json::Value;

use super::fields::{list, name, text};

/// Deepest block that is looked into. Telegram states no limit; the text of deeper ones stands in `raw`.
const MAX_DEPTH: usize = 32;

/// Fields of a block or a text that hold more of the tree, in reading order.
const BRANCHES: [&str; 12] = [
    "label",
    "summary",
    "text",
    "blocks",
    "items",
    "cells",
    "expression",
    "alternative_text",
    "button",
    "buttons",
    "caption",
    "credit",
];

/// The words of a rich message, one line a block.
pub(super) fn flatten(rich_message: &Value) -> String {
    let mut lines = Vec::new();
    for block in list(rich_message, "blocks") {
        gather(block, 0, &mut lines);
    }
    lines.join("\n")
}

/// Calls `found` with each block that may hold a file.
pub(super) fn media(rich_message: &Value, found: &mut impl FnMut(&Value)) {
    fn walk(block: &Value, depth: usize, found: &mut impl FnMut(&Value)) {
        if depth > MAX_DEPTH {
            return;
        }
        found(block);
        for inner in list(block, "blocks").iter().chain(list(block, "items")) {
            walk(inner, depth + 1, found);
        }
    }
    for block in list(rich_message, "blocks") {
        walk(block, 0, found);
    }
}

/// Adds the lines of one block.
fn gather(block: &Value, depth: usize, lines: &mut Vec<String>) {
    if depth > MAX_DEPTH {
        return;
    }
    let mut line = String::new();
    for key in BRANCHES {
        match (key, &block[key]) {
            (_, Value::Null) => {}
            ("blocks" | "items", Value::Array(inner)) => {
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                inner
                    .iter()
                    .for_each(|inner| gather(inner, depth + 1, lines));
            }
            ("cells", Value::Array(rows)) => lines.extend(rows.iter().map(row)),
            (_, part) => {
                if !line.is_empty() {
                    line.push(' ');
                }
                inline(part, 0, &mut line);
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
}

fn row(cells: &Value) -> String {
    let cell = |cell: &Value| {
        let mut words = String::new();
        inline(&cell["text"], 0, &mut words);
        words
    };
    cells
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .map(cell)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// Adds the words of one styled text: a string, a list, or an object around either.
fn inline(styled: &Value, depth: usize, words: &mut String) {
    match styled {
        _ if depth > MAX_DEPTH => {}
        Value::String(plain) => words.push_str(plain),
        Value::Array(pieces) => pieces
            .iter()
            .for_each(|piece| inline(piece, depth + 1, words)),
        Value::Object(_) if styled.get("text").is_some() => {
            inline(&styled["text"], depth + 1, words)
        }
        Value::Object(_) if styled.get("button").is_some() => {
            inline(&styled["button"], depth + 1, words)
        }
        Value::Object(_) => {
            words.push_str(text(styled, "expression"));
            words.push_str(&name(styled, "alternative_text"));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_words_of_a_tree_come_in_reading_order() {
        let rich = json!({"blocks": [
            {"type": "section_heading", "text": ["To ", {"type": "bold", "text": "do"}]},
            {"type": "list", "items": [{"label": "1.", "blocks": [{"type": "paragraph", "text": "eat"}]}]},
            {"type": "table", "cells": [[{"text": "a"}, {"text": {"type": "code", "text": "b"}}]]},
            {"type": "photo", "photo": [], "caption": {"text": "a cat"}},
            {"type": "divider"},
        ]});
        assert_eq!(flatten(&rich), "To do\n1.\neat\na | b\na cat");
    }

    #[test]
    fn a_bottomless_tree_ends() {
        let mut text = json!("x");
        for _ in 0..100 {
            text = json!({"type": "bold", "text": text});
        }
        assert_eq!(flatten(&json!({"blocks": [{"text": text}]})), "");
    }
}
