//! The table of faults and promises, as text.

use std::{fmt, time::Duration};

use crate::chaos::judge::Verdict;

/// One fault and what became of the messages that were said during it.
#[derive(Clone, Debug)]
pub struct Row {
    /// The fault.
    pub fault: String,
    /// What became of them.
    pub verdict: Verdict,
    /// Whether answers may be the gateway's own words.
    pub may_tell: bool,
}

/// Rows in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Table(pub Vec<Row>);

impl Row {
    /// The promises that were broken, one line each.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let mut broken = self.verdict.broken();
        if !self.may_tell && self.verdict.told > 0 {
            let (told, words) = (self.verdict.told, &self.verdict.words);
            broken.push(format!(
                "{told} people got other words than the model's: {words:?}"
            ));
        }
        broken
    }
}

impl Table {
    /// All broken promises with their faults, one line each; at most three of a row.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let of_row = |row: &Row| {
            let broken = row.broken();
            let shown = broken
                .iter()
                .take(3)
                .map(|why| format!("{}: {why}", row.fault))
                .collect::<Vec<_>>();
            let more = broken.len() - shown.len();
            let rest = (more > 0).then(|| format!("{}: and {more} more", row.fault));
            shown.into_iter().chain(rest).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of_row).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = [
            "fault",
            "said",
            "answered",
            "told",
            "unknown",
            "lost",
            "out of order",
            "twice",
            "longest stall",
        ];
        let width = self
            .0
            .iter()
            .map(|row| row.fault.len())
            .max()
            .unwrap_or_default()
            .max(5);
        write!(f, "| {:width$} |", heads[0])?;
        for head in &heads[1..] {
            write!(f, " {head} |")?;
        }
        write!(f, "\n|{}|", "-".repeat(width + 2))?;
        for head in &heads[1..] {
            write!(f, "{}:|", "-".repeat(head.len() + 1))?;
        }
        for row in &self.0 {
            let of = &row.verdict;
            let numbers = [
                of.said,
                of.answered,
                of.told,
                of.unknown,
                of.lost.len(),
                of.out_of_order.len(),
                of.twice.len(),
            ];
            write!(f, "\n| {:width$} |", row.fault)?;
            for (head, number) in heads[1..].iter().zip(numbers) {
                write!(f, " {number:>width$} |", width = head.len())?;
            }
            write!(
                f,
                " {:>width$} |",
                seconds(of.longest_stall),
                width = heads[8].len()
            )?;
        }
        Ok(())
    }
}

/// A duration as people read it.
#[must_use]
pub fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_says_what_is_broken() {
        let verdict = Verdict {
            said: 3,
            answered: 2,
            lost: vec!["`m`".into()],
            ..Verdict::default()
        };
        let table = Table(vec![Row {
            fault: "router: SIGKILL".into(),
            verdict,
            may_tell: false,
        }]);
        let text = table.to_string();
        let widths: Vec<_> = text.lines().map(str::len).collect();
        assert_eq!(widths.len(), 3);
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
        assert_eq!(table.broken(), ["router: SIGKILL: lost: `m`"]);
    }
}
