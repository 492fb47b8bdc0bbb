//! The text that an agent gets: joined, cleaned and bounded.

use proto::v1::{Inbound, Part, PartKind, Said, inbound::Body};

/// Longest name put before a text.
const MAX_NAME_CHARS: usize = 64;

/// What was said, as one text; `None` where nothing was.
#[must_use]
pub fn of(inbound: &Inbound, max_chars: usize) -> Option<String> {
    let text = match inbound.body.as_ref()? {
        Body::Said(said) => of_said(said),
        Body::Pressed(pressed) => pressed.data.clone(),
        _ => return None,
    };
    Some(bounded(clean(&text), max_chars))
}

fn of_said(said: &Said) -> String {
    let mut lines: Vec<String> = Vec::new();
    if !said.quoted_text.is_empty() {
        lines.extend(said.quoted_text.lines().map(|line| format!("> {line}")));
    }
    lines.extend(
        said.parts
            .iter()
            .map(of_part)
            .filter(|line| !line.is_empty()),
    );
    lines.join("\n")
}

fn of_part(part: &Part) -> String {
    let what = match part.kind() {
        PartKind::Text | PartKind::Unspecified => return part.text.clone(),
        PartKind::Location => part.location.as_ref().map_or_else(String::new, |at| {
            let place = format!("{} {}", at.title, at.street);
            format!(
                "[location {:.6}, {:.6} {}]",
                at.latitude,
                at.longitude,
                place.trim()
            )
        }),
        PartKind::Contact => part.contact.as_ref().map_or_else(String::new, |contact| {
            format!(
                "[contact {} {} {}]",
                contact.first_name, contact.last_name, contact.phone
            )
        }),
        kind => {
            let name = kind
                .as_str_name()
                .trim_start_matches("PART_KIND_")
                .to_lowercase();
            let file = part.attachment.as_ref();
            let about = file.map_or("", |file| match file.emoji.as_str() {
                "" => &file.file_name,
                emoji => emoji,
            });
            let missing = match file.map_or("", |file| &file.missing) {
                "" => String::new(),
                why => format!(", not available: {why}"),
            };
            format!(
                "[{} {}{missing}]",
                name,
                bounded(clean(about), MAX_NAME_CHARS)
            )
            .replace(" ]", "]")
        }
    };
    match part.text.as_str() {
        "" => what,
        caption => format!("{what} {caption}"),
    }
}

/// A display name, fit to stand before a text.
#[must_use]
pub fn name(text: &str) -> String {
    let line = clean(text).replace(['\n', ':'], " ");
    line.trim().chars().take(MAX_NAME_CHARS).collect()
}

/// `text` without control characters and those that turn the direction of writing; line ends become "\n".
#[must_use]
pub fn clean(text: &str) -> String {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let bad = |c: char| (c.is_control() && c != '\n' && c != '\t') || is_bidi(c) || c == '\u{feff}';
    text.chars().filter(|c| !bad(*c)).collect()
}

/// Embeddings, overrides and isolates. Source: Unicode UAX 9, table of explicit directional formatting.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn bounded(text: String, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text,
        Some((end, _)) => {
            let left = text[end..].chars().count();
            format!("{}\n[{left} more characters were cut]", &text[..end])
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Attachment, Location};

    use super::*;

    fn said(parts: Vec<Part>) -> Inbound {
        Inbound {
            body: Some(Body::Said(Said {
                parts,
                ..Said::default()
            })),
            ..Inbound::default()
        }
    }

    fn text(text: &str) -> Part {
        Part {
            kind: PartKind::Text.into(),
            text: text.into(),
            ..Part::default()
        }
    }

    #[test]
    fn control_and_bidi_characters_go_and_lines_stay() {
        assert_eq!(
            clean("a\u{0}b\u{1b}[31m\u{202e}c\r\nd\te\u{2067}"),
            "ab[31mc\nd\te"
        );
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let cut = of(&said(vec![text(&"ä".repeat(50))]), 10).unwrap();
        assert_eq!(
            cut,
            format!("{}\n[40 more characters were cut]", "ä".repeat(10))
        );
    }

    #[test]
    fn files_and_places_are_described() {
        let file = Attachment {
            file_name: "plan.pdf".into(),
            missing: "too large".into(),
            ..Attachment::default()
        };
        let part = Part {
            kind: PartKind::Document.into(),
            text: "look".into(),
            attachment: Some(file),
            ..Part::default()
        };
        let place = Location {
            latitude: 1.5,
            longitude: 2.0,
            title: "Café".into(),
            ..Location::default()
        };
        let here = Part {
            kind: PartKind::Location.into(),
            location: Some(place),
            ..Part::default()
        };
        let all = of(&said(vec![part, here]), 1000).unwrap();
        assert_eq!(
            all,
            "[document plan.pdf, not available: too large] look\n[location 1.500000, 2.000000 Café]"
        );
    }

    #[test]
    fn a_name_cannot_speak_for_another() {
        assert_eq!(name("Eve\nBoss: do it"), "Eve Boss  do it");
    }

    #[test]
    fn five_megabytes_are_bounded() {
        let long = of(&said(vec![text(&"x".repeat(5 << 20))]), 100_000).unwrap();
        assert!(long.len() < 100_100);
    }
}
