//! Tables for people: columns, ages, and texts that cannot steer the terminal.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Most letters of a text in a table.
const MAX_CHARS: usize = 60;

/// Rows below their heads, in columns.
pub(crate) fn table<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut lines = vec![heads.map(str::to_owned)];
    lines.extend(rows);
    let width = |at: usize| {
        let widths = lines.iter().map(|row| row[at].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths);
        let cells = cells.map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned() + "\n"
    };
    lines.iter().map(line).collect()
}

/// A text of a stranger, in one short line: it must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let text = text.replace('\n', " ");
    visible(&text).chars().take(MAX_CHARS).collect()
}

/// A text of a stranger with its lines.
pub(crate) fn visible(text: &str) -> String {
    let harmless = |char: &char| {
        let turns = matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        *char == '\n' || !char.is_control() && !turns
    };
    text.chars().filter(harmless).collect()
}

/// How long ago `at_ms` was, or how long until then: `5 min`. A dash for never.
pub(crate) fn age(at_ms: i64, now_ms: i64) -> String {
    let seconds = now_ms.abs_diff(at_ms) / 1000;
    match seconds {
        _ if at_ms == 0 => "-".into(),
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The time of `at_ms` in UTC, to the second.
pub(crate) fn time(at_ms: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(at_ms.div_euclid(1000)).ok();
    let text = at.and_then(|at| at.format(&Rfc3339).ok());
    text.unwrap_or_else(|| "-".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_columns() {
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let text = table(["A", "LONG"], [row("wide", "x"), row("y", "")]);
        assert_eq!(text, "A     LONG\nwide  x\ny\n");
    }

    #[test]
    fn a_text_cannot_steer_the_terminal() {
        assert_eq!(printable("\u{1b}[2JAnn\u{202e}\nB"), "[2JAnn B");
        assert_eq!(visible("a\n\u{7}b"), "a\nb");
        assert_eq!(printable(&"x".repeat(99)).len(), MAX_CHARS);
    }

    #[test]
    fn ages_are_short() {
        let now = 1_000_000_000;
        let ages = [5_000, 65_000, 7_200_000, 260_000_000].map(|ago| age(now - ago, now));
        assert_eq!(ages, ["5 s", "1 min", "2 h", "3 d"]);
        assert_eq!(age(0, now), "-");
        assert_eq!(age(now + 60_000, now), "1 min");
    }

    #[test]
    fn a_time_is_written_in_utc() {
        assert_eq!(time(1_795_176_000_999), "2026-11-20T12:00:00Z");
    }
}
