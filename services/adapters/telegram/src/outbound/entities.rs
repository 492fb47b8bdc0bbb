//! From styled byte ranges to entities, whose offsets count UTF-16 code units.

use adapter::{Rich, Span, Style};
use reqwest::Url;
use teloxide_core::types::{MessageEntity, MessageEntityKind};

/// The entities of `body`; none at all rather than an empty list.
///
/// Entities need no escaping and cannot fail to parse, so there is no `parse_mode`.
pub(super) fn of(body: &Rich) -> Option<Vec<MessageEntity>> {
    let mut units = Units::new(&body.text);
    let entities: Vec<_> = body
        .spans
        .iter()
        .filter_map(|span| entity(span, &mut units))
        .collect();
    (!entities.is_empty()).then_some(entities)
}

fn entity(span: &Span, units: &mut Units) -> Option<MessageEntity> {
    let kind = match &span.style {
        Style::Bold | Style::Heading => MessageEntityKind::Bold,
        Style::Italic => MessageEntityKind::Italic,
        Style::Strike => MessageEntityKind::Strikethrough,
        Style::Code => MessageEntityKind::Code,
        Style::Pre { lang } => MessageEntityKind::Pre {
            language: Some(lang.clone()).filter(|lang| !lang.is_empty()),
        },
        // A link that is none is left as a text.
        Style::Link { url } => MessageEntityKind::TextLink {
            url: Url::parse(url).ok()?,
        },
        Style::Quote => MessageEntityKind::Blockquote,
        Style::Spoiler => MessageEntityKind::Spoiler,
    };
    let offset = units.at(span.start);
    let length = units
        .at(span.end)
        .checked_sub(offset)
        .filter(|length| *length > 0)?;
    Some(MessageEntity {
        kind,
        offset,
        length,
    })
}

/// UTF-16 offset of each byte of a text.
struct Units(Vec<usize>);

impl Units {
    fn new(text: &str) -> Self {
        let mut offsets = Vec::with_capacity(text.len() + 1);
        let mut units = 0;
        for character in text.chars() {
            offsets.extend(std::iter::repeat_n(units, character.len_utf8()));
            units += character.len_utf16();
        }
        offsets.push(units);
        Self(offsets)
    }

    /// Offset of the character at `byte`; the text's length if that lies behind it.
    fn at(&self, byte: usize) -> usize {
        let last = self.0.last().copied().unwrap_or_default();
        self.0.get(byte).copied().unwrap_or(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(text: &str, spans: &[(usize, usize, Style)]) -> Vec<(usize, usize)> {
        let spans = spans.iter().map(|(start, end, style)| Span {
            start: *start,
            end: *end,
            style: style.clone(),
        });
        let entities = of(&Rich {
            text: text.into(),
            spans: spans.collect(),
        })
        .unwrap_or_default();
        entities
            .iter()
            .map(|entity| (entity.offset, entity.length))
            .collect()
    }

    #[test]
    fn offsets_count_utf16_units() {
        // "😀" is four bytes and two units, "é" two bytes and one unit.
        assert_eq!(
            spans("😀é bold", &[(7, 11, Style::Bold), (0, 4, Style::Italic)]),
            [(4, 4), (0, 2)]
        );
    }

    #[test]
    fn what_lies_outside_or_is_empty_is_left_out() {
        assert_eq!(
            spans(
                "ab",
                &[
                    (1, 99, Style::Bold),
                    (2, 2, Style::Bold),
                    (50, 60, Style::Code)
                ]
            ),
            [(1, 1)]
        );
    }

    #[test]
    fn a_link_that_is_none_stays_a_text() {
        let link = |url: &str| Style::Link { url: url.into() };
        assert_eq!(
            spans(
                "ab",
                &[
                    (0, 1, link("nonsense")),
                    (1, 2, link("https://example.org/?a=b c"))
                ]
            ),
            [(1, 1)]
        );
    }
}
