//! Markdown, as agents write it, read into styled text.

mod split;
mod table;
#[cfg(test)]
mod tests;

use pulldown_cmark::{
    CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream,
};

use crate::{Rich, Span, Style};

pub use split::split;

/// Schemes that a link may have; anything else is shown as its text alone.
const SCHEMES: [&str; 5] = ["https://", "http://", "mailto:", "tel:", "tg://"];
/// Lists are indented no deeper than this.
const MAX_INDENT: usize = 8;
/// Longest name of a language after a fence.
const MAX_LANG_BYTES: usize = 32;

/// Reads CommonMark with strikethrough, tables, task lists and `||spoilers||`.
///
/// Tables become aligned blocks of code, list items lines with "•" or a number, images links. HTML stays as it is
/// written, a text. The result has no white space at its end and is empty if there is nothing to read.
#[must_use]
pub fn parse(markdown: &str) -> Rich {
    let options =
        Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::default();
    for event in TextMergeStream::new(Parser::new_ext(markdown, options)) {
        writer.event(event);
    }
    writer.finish()
}

#[derive(Default)]
struct Writer {
    text: String,
    spans: Vec<Span>,
    /// Open tags, outermost first: the index of each one's span, or none where it has no style of its own.
    open: Vec<Option<usize>>,
    /// Spans that begin where the next text will.
    waiting: Vec<usize>,
    /// Line breaks due before the next text.
    gap: usize,
    /// A bullet was just written: the item's first paragraph follows on the same line.
    bullet: bool,
    /// Next number of each open list, outermost first; none for bullets.
    lists: Vec<Option<u64>>,
    table: Option<table::Table>,
    code: bool,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.code => self.push(&text),
            Event::Text(text) => self.words(&text),
            Event::Code(code) => {
                self.begin(Some(Style::Code));
                self.push(&code);
                self.close();
            }
            Event::SoftBreak | Event::HardBreak if self.table.is_some() => self.push(" "),
            Event::SoftBreak | Event::HardBreak => self.gap = self.gap.max(1),
            Event::Html(html) | Event::InlineHtml(html) => {
                match html.trim_end().to_ascii_lowercase().as_str() {
                    "<br>" | "<br/>" | "<br />" => self.gap = self.gap.max(1),
                    _ => {
                        self.push(html.trim_end_matches('\n'));
                        self.gap = self.gap.max(usize::from(html.ends_with('\n')));
                    }
                }
            }
            Event::Rule => {
                self.block();
                self.push("———");
            }
            Event::TaskListMarker(done) => self.push(if done { "☑ " } else { "☐ " }),
            // None of these is asked for in the options.
            Event::FootnoteReference(text) | Event::InlineMath(text) | Event::DisplayMath(text) => {
                self.push(&text)
            }
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::HtmlBlock => self.block(),
            Tag::Heading { .. } => {
                self.block();
                self.begin(Some(Style::Heading));
            }
            Tag::BlockQuote(_) => {
                self.block();
                self.begin(Some(Style::Quote));
            }
            Tag::CodeBlock(kind) => {
                self.block();
                self.code = true;
                self.begin(Some(Style::Pre { lang: lang(&kind) }));
            }
            Tag::List(first) => {
                self.gap = self.gap.max(if self.lists.is_empty() { 2 } else { 1 });
                self.bullet = false;
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::Table(_) => {
                self.block();
                self.table = Some(table::Table::default());
            }
            Tag::TableHead | Tag::TableRow => self.table.iter_mut().for_each(table::Table::row),
            Tag::TableCell => self.table.iter_mut().for_each(table::Table::cell),
            Tag::Emphasis => self.begin(Some(Style::Italic)),
            Tag::Strong => self.begin(Some(Style::Bold)),
            Tag::Strikethrough => self.begin(Some(Style::Strike)),
            Tag::Link {
                link_type,
                dest_url,
                ..
            } => self.begin(link(link_type, &dest_url)),
            Tag::Image {
                link_type,
                dest_url,
                ..
            } => self.begin(link(link_type, &dest_url)),
            // None of these is asked for in the options.
            _ => self.begin(None),
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph
            | TagEnd::HtmlBlock
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::TableCell => {}
            TagEnd::Item => self.bullet = false,
            TagEnd::List(_) => {
                self.lists.pop();
            }
            TagEnd::CodeBlock => {
                let fence = self.open.last().copied().flatten();
                let start = fence.map_or(0, |fence| self.spans[fence].start.min(self.text.len()));
                let kept = start + self.text[start..].trim_end_matches('\n').len();
                self.text.truncate(kept);
                self.code = false;
                self.close();
            }
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.begin(Some(Style::Pre {
                        lang: String::new(),
                    }));
                    self.push(&table.text());
                    self.close();
                }
            }
            TagEnd::Link | TagEnd::Image => {
                // A link without a text shows where it leads.
                let unread = self
                    .open
                    .last()
                    .copied()
                    .flatten()
                    .filter(|span| self.waiting.contains(span));
                if let Some(Style::Link { url }) = unread.map(|span| self.spans[span].style.clone())
                {
                    self.push(&url);
                }
                self.close();
            }
            _ => self.close(),
        }
    }

    /// A block begins: a blank line before it, unless it is the first thing after a bullet.
    fn block(&mut self) {
        if !std::mem::take(&mut self.bullet) {
            self.gap = self.gap.max(2);
        }
    }

    fn item(&mut self) {
        self.gap = self.gap.max(1);
        let indent = "  ".repeat(self.lists.len().saturating_sub(1).min(MAX_INDENT));
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                let mark = format!("{indent}{number}. ");
                *number = number.saturating_add(1);
                mark
            }
            _ => format!("{indent}• "),
        };
        self.push(&mark);
        self.bullet = true;
    }

    /// Opens a tag; a style inside itself, or inside a table, is no style.
    fn begin(&mut self, style: Option<Style>) {
        let same = |open: &Option<usize>| {
            let open = open.map(|span| std::mem::discriminant(&self.spans[span].style));
            open == style.as_ref().map(std::mem::discriminant)
        };
        let style = style
            .as_ref()
            .filter(|_| self.table.is_none() && !self.open.iter().any(same));
        self.open.push(style.map(|style| {
            self.waiting.push(self.spans.len());
            self.spans.push(Span {
                start: usize::MAX,
                end: usize::MAX,
                style: style.clone(),
            });
            self.spans.len() - 1
        }));
    }

    fn close(&mut self) {
        if let Some(span) = self.open.pop().flatten() {
            // It is the innermost, so if nothing came it is the last of those that wait.
            match self.waiting.last() {
                Some(last) if *last == span => {
                    self.waiting.pop();
                }
                _ => self.spans[span].end = self.text.len(),
            }
        }
    }

    /// Text outside of code: what stands between two `||` is hidden.
    fn words(&mut self, text: &str) {
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("||") {
            let Some((hidden, tail)) = after.split_once("||") else {
                break;
            };
            self.push(before);
            // "a || b || c" is how programmers say "or".
            if hidden.is_empty()
                || hidden.starts_with(char::is_whitespace)
                || hidden.ends_with(char::is_whitespace)
            {
                self.push("||");
                rest = after;
                continue;
            }
            self.begin(Some(Style::Spoiler));
            self.push(hidden);
            self.close();
            rest = tail;
        }
        self.push(rest);
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(table) = &mut self.table {
            table.push(text);
            return;
        }
        let gap = std::mem::take(&mut self.gap);
        if !self.text.is_empty() {
            self.text.extend(std::iter::repeat_n('\n', gap));
        }
        for span in self.waiting.drain(..) {
            self.spans[span].start = self.text.len();
        }
        self.text.push_str(text);
        self.bullet &= text.ends_with(' ');
    }

    fn finish(mut self) -> Rich {
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        self.spans.retain_mut(|span| {
            span.end = span.end.min(end);
            span.start < span.end
        });
        Rich {
            text: self.text,
            spans: self.spans,
        }
    }
}

fn link(link_type: LinkType, url: &str) -> Option<Style> {
    let url = match link_type {
        LinkType::Email => format!("mailto:{url}"),
        _ => url.to_owned(),
    };
    let known = |scheme: &&str| {
        url.get(..scheme.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    SCHEMES.iter().any(known).then_some(Style::Link { url })
}

fn lang(kind: &CodeBlockKind<'_>) -> String {
    let CodeBlockKind::Fenced(info) = kind else {
        return String::new();
    };
    let word = info.split([' ', '\t', ',', '{']).next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '#' | '-' | '_' | '.');
    match word.len() <= MAX_LANG_BYTES && word.chars().all(plain) {
        true => word.to_owned(),
        false => String::new(),
    }
}
