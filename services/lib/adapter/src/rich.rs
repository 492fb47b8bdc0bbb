//! Styled text as every platform can render it: plain text and ranges of it.

use std::ops::Range;

/// Plain text with styled ranges.
///
/// The spans are sorted by `start`, longer first, lie on character borders, are never empty, and nest: of any two, one
/// holds the other or they do not touch. No style lies inside itself, and nothing but [`Style::Quote`] holds a
/// [`Style::Pre`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rich {
    /// What a reader reads.
    pub text: String,
    /// How it looks.
    pub spans: Vec<Span>,
}

/// A styled range of [`Rich::text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// How it looks.
    pub style: Style,
}

/// How a range of text looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// Strong.
    Bold,
    /// Emphasis.
    Italic,
    /// Struck through.
    Strike,
    /// Code within a line.
    Code,
    /// A block of code; its text does not end in a line break.
    Pre {
        /// Language named after the fence; may be empty.
        lang: String,
    },
    /// A link: http, https, mailto, tel or tg.
    Link {
        /// Where to.
        url: String,
    },
    /// A quoted block.
    Quote,
    /// Hidden until touched.
    Spoiler,
    /// A heading of any level.
    Heading,
}

/// In what a platform counts the length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// UTF-16 code units.
    Utf16,
    /// Unicode code points.
    Chars,
    /// Bytes of UTF-8.
    Bytes,
}

impl Unit {
    /// Length of `text` in this unit.
    #[must_use]
    pub fn length(self, text: &str) -> usize {
        match self {
            Self::Utf16 => text.chars().map(char::len_utf16).sum(),
            Self::Chars => text.chars().count(),
            Self::Bytes => text.len(),
        }
    }
}

impl Rich {
    /// `text` without any style.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            spans: Vec::new(),
        }
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

impl Span {
    /// The bytes it covers.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start..self.end
    }
}
