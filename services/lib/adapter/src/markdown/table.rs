//! A table as aligned text.

use unicode_segmentation::UnicodeSegmentation;

/// No column is padded to more than this many characters: one giant cell must not blow up all rows.
const MAX_PAD: usize = 40;

/// Rows of cells, the header first.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Begins a row.
    pub(super) fn row(&mut self) {
        self.rows.push(Vec::new());
    }

    /// Begins a cell of the last row.
    pub(super) fn cell(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            row.push(String::new());
        }
    }

    /// Adds to the last cell.
    pub(super) fn push(&mut self, text: &str) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.last_mut()) {
            cell.push_str(text);
        }
    }

    /// All rows as lines, a line of dashes under the header.
    pub(super) fn text(&self) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(width_of(cell)).min(MAX_PAD);
            }
        }
        let mut text = String::new();
        for (n, row) in self.rows.iter().enumerate() {
            if n > 0 {
                text.push('\n');
            }
            line(&mut text, row, &widths);
            if n == 0 {
                let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
                text.push('\n');
                text.push_str(&dashes.join("-|-"));
            }
        }
        text
    }
}

fn line(text: &mut String, row: &[String], widths: &[usize]) {
    for (n, (cell, width)) in row.iter().zip(widths).enumerate() {
        if n > 0 {
            text.push_str(" | ");
        }
        text.push_str(cell);
        text.extend(std::iter::repeat_n(
            ' ',
            width.saturating_sub(width_of(cell)),
        ));
    }
    text.truncate(text.trim_end_matches(' ').len());
}

fn width_of(cell: &str) -> usize {
    cell.graphemes(true).count()
}
