//! What is wrong with the settings, where, and what to write instead.

use std::collections::BTreeMap;
use std::fmt;

/// Where a setting was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file, at a line counted from 1.
    Line {
        /// The file as it was named.
        file: String,
        /// The line, counted from 1.
        line: usize,
    },
    /// In an environment variable.
    Variable(String),
    /// Nowhere: it is missing, or a default.
    Nowhere,
}

/// One thing that is wrong. Never shows the value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was given.
    pub place: Place,
    /// What is wrong, as a clause that begins with the setting's path.
    pub what: String,
    /// What to write instead.
    pub instead: String,
}

/// Everything that is wrong, found in one reading.
#[derive(Debug, Clone, Default)]
pub struct Mistakes {
    pub(super) list: Vec<Mistake>,
    /// Where each given setting stands, by dotted path.
    pub(super) places: BTreeMap<String, Place>,
    section: Vec<String>,
}

impl Mistakes {
    /// Adds a mistake about the setting `path`, relative to the section being checked.
    /// `what` goes on after the path: `"is shorter than 24 characters"`.
    pub fn add(&mut self, path: &str, what: impl fmt::Display, instead: impl Into<String>) {
        let mut full = self.section.clone();
        full.extend(
            path.split('.')
                .filter(|part| !part.is_empty())
                .map(str::to_owned),
        );
        let place = (1..=full.len())
            .rev()
            .find_map(|length| self.places.get(&full[..length].join(".")))
            .cloned()
            .unwrap_or(Place::Nowhere);
        let name = match full.as_slice() {
            [] => "the settings".to_owned(),
            full => format!("`{}`", full.join(".")),
        };
        self.push(place, format!("{name} {what}"), instead);
    }

    /// Runs the checks of a section, whose paths are relative to it.
    pub fn within(&mut self, section: &str, check: impl FnOnce(&mut Self)) {
        self.section.push(section.to_owned());
        check(self);
        self.section.pop();
    }

    /// The mistakes, in the order in which they were found.
    pub fn list(&self) -> &[Mistake] {
        &self.list
    }

    /// True when nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn push(&mut self, place: Place, what: String, instead: impl Into<String>) {
        let instead = instead.into();
        self.list.push(Mistake {
            place,
            what,
            instead,
        });
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{file}:{line}"),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Nowhere => f.write_str("settings"),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; write {}", self.place, self.what, self.instead)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.list.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} mistake{plural} in the settings")?;
        for mistake in &self.list {
            write!(f, "\n  {mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}
