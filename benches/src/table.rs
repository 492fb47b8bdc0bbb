//! The table that a person reads.

use crate::machine;

/// Rows of figures.
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Adds a figure, says it at once, and notes how busy the machine was.
    pub(crate) fn row(&mut self, figure: &str, value: String, aim: &str) {
        eprintln!("  {figure}: {value}");
        self.rows
            .push([figure.into(), value, aim.into(), machine::load()]);
    }

    pub(crate) fn print(&self) {
        let head = ["figure", "measured", "aim", "load 1 min"].map(String::from);
        let all: Vec<&[String; 4]> = std::iter::once(&head).chain(&self.rows).collect();
        let width: Vec<usize> = (0..4)
            .map(|column| {
                all.iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        println!(
            "\n{}, {} cores, sync_interval always\n",
            machine::system(),
            machine::cores()
        );
        for (n, row) in all.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .zip(&width)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            println!("| {} |", cells.join(" | "));
            if n == 0 {
                println!(
                    "|{}|",
                    width
                        .iter()
                        .map(|width| "-".repeat(width + 2))
                        .collect::<Vec<_>>()
                        .join("|")
                );
            }
        }
    }
}
