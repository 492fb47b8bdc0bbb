//! A place in the stream of what happened, as a client keeps it from one connection to the next.

use std::{fmt, str::FromStr};

/// A place in the stream of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// When the stream was made, Unix epoch; another time is another stream.
    pub(crate) created_ms: i64,
    /// The message up to which everything is known.
    pub(crate) sequence: u64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:x}-{:x}", self.created_ms, self.sequence)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (created, sequence) = text.split_once('-').ok_or(())?;
        Ok(Self {
            created_ms: i64::from_str_radix(created, 16).map_err(|_| ())?,
            sequence: u64::from_str_radix(sequence, 16).map_err(|_| ())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_what_it_writes() {
        let cursor = Cursor {
            created_ms: 1_795_183_389_000,
            sequence: 77,
        };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for wrong in ["", "-", "1", "x-1", "1-x", "1-2-3", "--1"] {
            assert_eq!(wrong.parse::<Cursor>(), Err(()), "{wrong}");
        }
    }
}
