//! A long styled text in pieces that a platform takes.

use std::ops::Range;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use crate::{Rich, Span, Style, Unit};

/// Splits `rich` into pieces of at most `max` (in `unit`), none of them blank.
///
/// It prefers to cut between paragraphs, then lines, sentences, words; it cuts links and code within a line only where
/// one of them alone is too long, blocks of code only between lines if it can, and never a character that people see as
/// one, unless that alone is longer than `max`. A style that is cut goes on in the next piece. White space at a cut is
/// dropped; otherwise the pieces together are the text. `max` below 4 counts as 4, so that any character fits.
///
/// The work grows with the length of the text and not faster.
#[must_use]
pub fn split(rich: &Rich, max: usize, unit: Unit) -> Vec<Rich> {
    let splitter = Splitter::new(rich, max.max(4), unit);
    let mut pieces = Vec::new();
    let mut spans = Spans {
        rest: &rich.spans,
        open: Vec::new(),
    };
    let mut from = splitter.skip_blank(0);
    while from < rich.text.len() {
        let to = splitter.cut(from);
        let end = from + rich.text[from..to].trim_end().len();
        if from < end {
            pieces.push(Rich {
                text: rich.text[from..end].to_owned(),
                spans: spans.within(from..end),
            });
        }
        from = splitter.skip_blank(to);
    }
    pieces
}

struct Splitter<'a> {
    text: &'a str,
    max: usize,
    unit: Unit,
    /// Links and code within a line, in order, not nested: better not cut.
    whole: Vec<Range<usize>>,
    /// Blocks of code, in order.
    fences: Vec<Range<usize>>,
}

impl<'a> Splitter<'a> {
    fn new(rich: &'a Rich, max: usize, unit: Unit) -> Self {
        let mut whole: Vec<Range<usize>> = Vec::new();
        let mut fences = Vec::new();
        for span in &rich.spans {
            match span.style {
                Style::Link { .. } | Style::Code
                    if whole.last().is_none_or(|last| last.end <= span.start) =>
                {
                    whole.push(span.range());
                }
                Style::Pre { .. } => fences.push(span.range()),
                _ => {}
            }
        }
        Self {
            text: &rich.text,
            max,
            unit,
            whole,
            fences,
        }
    }

    /// Where the piece that begins at `from` ends; always after `from`.
    fn cut(&self, from: usize) -> usize {
        let limit = self.limit(from);
        if limit == self.text.len() {
            return limit;
        }
        // Before the middle a cut wastes too much of the message; only words are better cut early than broken.
        let middle = from + (limit - from) / 2;
        let fence = holder(&self.fences, limit);
        let fence_starts_late = fence
            .map(|fence| fence.start)
            .filter(|start| *start > middle);
        if let Some(start) = fence_starts_late {
            return start;
        }
        let rules: [(&dyn Fn(usize) -> bool, usize); 4] = [
            (
                &|at| self.after(at, "\n\n") && holder(&self.fences, at).is_none(),
                middle,
            ),
            (&|at| self.after(at, "\n"), middle),
            (&|at| self.ends_sentence(at), middle),
            (&|at| self.text[..at].ends_with(char::is_whitespace), from),
        ];
        for (border, least) in rules {
            let good = |at: &usize| {
                border(*at) && holder(&self.whole, *at).is_none() && self.between_graphemes(*at)
            };
            let found = self.backwards(least, limit).find(good);
            if let Some(at) = found {
                return at;
            }
        }
        match holder(&self.whole, limit) {
            Some(whole) if whole.start > from => whole.start,
            _ => limit,
        }
    }

    /// The farthest byte up to which the text from `from` on fits, between two characters as people see them.
    fn limit(&self, from: usize) -> usize {
        let mut left = self.max;
        let mut at = from;
        // No unit takes more than four bytes, so this is more than fits; one endless "character" is not read to its end.
        let seen = self.text.ceil_char_boundary(
            from.saturating_add(self.max.saturating_mul(4))
                .saturating_add(64),
        );
        for grapheme in self.text[from..seen].graphemes(true) {
            let length = self.unit.length(grapheme);
            if length > left {
                if at > from {
                    return at;
                }
                // One "character" of a hundred marks: cut it between code points.
                return from + self.prefix(grapheme);
            }
            left -= length;
            at += grapheme.len();
        }
        at
    }

    fn prefix(&self, grapheme: &str) -> usize {
        let mut left = self.max;
        let fits = grapheme.chars().take_while(|c| {
            let length = self.unit.length(c.encode_utf8(&mut [0; 4]));
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        });
        fits.map(char::len_utf8).sum()
    }

    /// Character borders in `(least, limit]`, from the back.
    fn backwards(&self, least: usize, limit: usize) -> impl Iterator<Item = usize> + '_ {
        (least + 1..=limit)
            .rev()
            .filter(|at| self.text.is_char_boundary(*at))
    }

    fn between_graphemes(&self, at: usize) -> bool {
        GraphemeCursor::new(at, self.text.len(), true)
            .is_boundary(self.text, 0)
            .unwrap_or(true)
    }

    fn after(&self, at: usize, border: &str) -> bool {
        self.text[..at].ends_with(border)
    }

    fn ends_sentence(&self, at: usize) -> bool {
        let before = &self.text[..at];
        if before.ends_with(['。', '！', '？']) {
            return true;
        }
        before.ends_with(char::is_whitespace)
            && before
                .trim_end_matches(' ')
                .ends_with(['.', '!', '?', '…', ':', ';'])
    }

    /// The next byte worth showing: white space is skipped, but not what indents a line of code.
    fn skip_blank(&self, from: usize) -> usize {
        let rest = &self.text[from..];
        let word = from + (rest.len() - rest.trim_start().len());
        match holder(&self.fences, word).map(|fence| fence.start.max(from)) {
            Some(start) => {
                let line = self.text[start..word]
                    .rfind('\n')
                    .map_or(start, |line| start + line + 1);
                if word - line > self.max / 2 {
                    word
                } else {
                    line
                }
            }
            None => word,
        }
    }
}

/// The range that `at` lies inside of, not at its border.
fn holder(ranges: &[Range<usize>], at: usize) -> Option<&Range<usize>> {
    let next = ranges.partition_point(|range| range.end <= at);
    ranges.get(next).filter(|range| range.start < at)
}

/// Hands out the spans of one piece after the other.
struct Spans<'a> {
    rest: &'a [Span],
    /// Those that reach beyond the last piece.
    open: Vec<&'a Span>,
}

impl Spans<'_> {
    fn within(&mut self, piece: Range<usize>) -> Vec<Span> {
        let new = self.rest.partition_point(|span| span.start < piece.end);
        let (begun, rest) = self.rest.split_at(new);
        self.rest = rest;
        self.open.extend(begun);
        let cut = self.open.iter().map(|span| Span {
            start: span.start.max(piece.start).saturating_sub(piece.start),
            end: span.end.min(piece.end).saturating_sub(piece.start),
            style: span.style.clone(),
        });
        let cut = cut.filter(|span| span.start < span.end).collect();
        self.open.retain(|span| span.end > piece.end);
        cut
    }
}
