//! Settings as given, each with the place where it stands.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistakes::{Mistakes, Place};

/// A value and where it was given.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) place: Place,
    pub(super) node: Node,
}

/// What stands at one place.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Neither a list nor a table.
    Leaf(Value),
    List(Vec<Tree>),
    Table(BTreeMap<String, Tree>),
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            place: Place::Nowhere,
            node: Node::Table(BTreeMap::new()),
        }
    }
}

impl Tree {
    /// Reads a TOML file; what cannot be read becomes mistakes, the rest is kept.
    pub(super) fn read(file: &Path, mistakes: &mut Mistakes) -> Self {
        let name = file.display().to_string();
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                let place = Place::Line {
                    file: name,
                    line: 1,
                };
                let instead = "the path of a readable file, or leave it out";
                mistakes.push(place, format!("the file cannot be read ({error})"), instead);
                return Self::default();
            }
        };
        Self::parse(&name, &text, mistakes)
    }

    /// Reads TOML that stands in a file called `name`; what cannot be read becomes mistakes, the rest is kept.
    pub(super) fn parse(name: &str, text: &str, mistakes: &mut Mistakes) -> Self {
        let name = name.to_owned();
        let source = Source { name, text };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let start = error.span().map_or(0, |span| span.start);
            let what = format!("this is not TOML ({})", error.message());
            mistakes.push(source.place(start), what, "`key = value` or `[section]`");
        }
        let place = source.place(0);
        source.table(table.get_ref(), place)
    }

    /// Reads one TOML value, as an environment variable may hold it.
    pub(super) fn inline(text: &str, place: &Place) -> Option<Self> {
        let whole = format!("value = {text}");
        let table = DeTable::parse(&whole).ok()?;
        let source = Source {
            name: String::new(),
            text: "",
        };
        let (_, value) = table.get_ref().iter().next()?;
        let mut tree = source.value(value);
        tree.move_to(place);
        Some(tree)
    }

    /// Puts `value` at `path`, over what was there.
    pub(super) fn put(&mut self, path: &[String], value: Self) {
        let Some((first, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self.node, Node::Table(_)) {
            *self = Self::default();
        }
        if let Node::Table(table) = &mut self.node {
            let place = value.place.clone();
            let entry = table.entry(first.clone()).or_insert_with(|| Self {
                place,
                node: Node::Table(BTreeMap::new()),
            });
            entry.put(rest, value);
        }
    }

    /// Where each setting stands, by dotted path.
    pub(super) fn places(&self) -> BTreeMap<String, Place> {
        let mut places = BTreeMap::new();
        self.collect(String::new(), &mut places);
        places
    }

    fn collect(&self, path: String, places: &mut BTreeMap<String, Place>) {
        if let Node::Table(table) = &self.node {
            for (key, child) in table {
                let dot = if path.is_empty() { "" } else { "." };
                child.collect(format!("{path}{dot}{key}"), places);
            }
        }
        places.insert(path, self.place.clone());
    }

    fn move_to(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.node {
            Node::Leaf(_) => {}
            Node::List(list) => list.iter_mut().for_each(|item| item.move_to(place)),
            Node::Table(table) => table.values_mut().for_each(|item| item.move_to(place)),
        }
    }
}

struct Source<'a> {
    name: String,
    text: &'a str,
}

impl Source<'_> {
    fn place(&self, offset: usize) -> Place {
        let before = self.text.as_bytes().iter().take(offset);
        Place::Line {
            file: self.name.clone(),
            line: 1 + before.filter(|byte| **byte == b'\n').count(),
        }
    }

    fn table(&self, table: &DeTable<'_>, place: Place) -> Tree {
        let entries = table.iter().map(|(key, value)| {
            let mut tree = self.value(value);
            // The key's line, not that of a value which may begin lines later.
            tree.place = self.place(key.span().start);
            (key.get_ref().to_string(), tree)
        });
        Tree {
            place,
            node: Node::Table(entries.collect()),
        }
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Tree {
        let place = self.place(value.span().start);
        let leaf = |value| Node::Leaf(value);
        let node = match value.get_ref() {
            DeValue::String(text) => leaf(Value::from(text.as_ref())),
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                leaf(parsed.map_or(Value::Null, Value::from))
            }
            DeValue::Float(number) => leaf(
                number
                    .as_str()
                    .parse::<f64>()
                    .map_or(Value::Null, Value::from),
            ),
            DeValue::Boolean(yes) => leaf(Value::from(*yes)),
            DeValue::Datetime(time) => leaf(Value::from(time.to_string())),
            DeValue::Array(list) => Node::List(list.iter().map(|item| self.value(item)).collect()),
            DeValue::Table(table) => return self.table(table, place),
        };
        Tree { place, node }
    }
}
