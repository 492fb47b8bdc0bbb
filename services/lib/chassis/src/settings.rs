//! Reads settings once, checks them whole, and reports every mistake together.

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use book::{Book, Child, Hint, REDACTED, Spot};
pub use mistakes::{Mistake, Mistakes, Place};
pub use print::{markdown, schema, show};
use shape::Shape;
use tree::Tree;

mod book;
mod environment;
mod mistakes;
mod print;
mod shape;
#[cfg(test)]
mod tests;
mod tree;
mod verify;

/// What all environment variables for settings begin with.
const PREFIX: &str = "OPENCLAW_";

/// Environment variables that are not simply `OPENCLAW_<SECTION>_<KEY>`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// Variable and the dotted path of the setting it sets, as `("REDIS_URL", "redis.url")`.
    /// The `OPENCLAW_` name of the same setting wins over an alias.
    pub aliases: &'a [(&'a str, &'a str)],
    /// Variables that begin with `OPENCLAW_` and are no settings.
    pub others: &'a [&'a str],
}

/// What types cannot say about settings: lengths, combinations, addresses that are too open.
pub trait Check {
    /// Adds what is wrong to `mistakes`; paths are relative to this section.
    fn check(&self, mistakes: &mut Mistakes);
}

/// Reads `file`, puts the environment over it, and checks the whole.
///
/// An environment variable that is set but empty counts as not set.
///
/// # Errors
/// With every mistake found, each with its place and what to write instead. No mistake shows the
/// value of a setting.
pub fn load<T>(
    file: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    names: &Names<'_>,
) -> Result<T, Mistakes>
where
    T: DeserializeOwned + JsonSchema + Check,
{
    let mut mistakes = Mistakes::default();
    let tree = file.map_or_else(Tree::default, |file| Tree::read(file, &mut mistakes));
    finish(tree, env, names, mistakes)
}

/// As [`load`], of a file called `name` that holds `text`.
fn load_text<T>(
    name: &str,
    text: Option<&str>,
    env: impl Iterator<Item = (String, String)>,
    names: &Names<'_>,
) -> Result<T, Mistakes>
where
    T: DeserializeOwned + JsonSchema + Check,
{
    let mut mistakes = Mistakes::default();
    let tree = text.map_or_else(Tree::default, |text| Tree::parse(name, text, &mut mistakes));
    finish(tree, env, names, mistakes)
}

fn finish<T>(
    mut tree: Tree,
    env: impl Iterator<Item = (String, String)>,
    names: &Names<'_>,
    mut mistakes: Mistakes,
) -> Result<T, Mistakes>
where
    T: DeserializeOwned + JsonSchema + Check,
{
    let shape = Shape::of::<T>();
    environment::overlay(&mut tree, &shape, env, names, &mut mistakes);
    mistakes.places = tree.places();
    let value = verify::verify(&tree, &shape, &mut mistakes);
    match serde_json::from_value::<T>(value.clone()) {
        Ok(settings) => settings.check(&mut mistakes),
        Err(error) if mistakes.is_empty() => blame::<T>(&value, &error, &mut mistakes),
        Err(_) => {}
    }
    let settings = serde_json::from_value(value);
    match settings {
        Ok(settings) if mistakes.is_empty() => Ok(settings),
        _ => Err(mistakes),
    }
}

/// Finds whose value a type refuses that the schema allows: the one without which it goes.
fn blame<T: DeserializeOwned>(value: &Value, error: &serde_json::Error, mistakes: &mut Mistakes) {
    let paths: Vec<String> = mistakes.places.keys().cloned().collect();
    let culprit = paths.into_iter().rev().find(|path| {
        let mut without = value.clone();
        let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
        let mut parents = parent.split('.').filter(|part| !part.is_empty());
        let table = parents.try_fold(&mut without, |at, part| at.get_mut(part));
        table
            .and_then(Value::as_object_mut)
            .is_some_and(|table| table.remove(key).is_some())
            && serde_json::from_value::<T>(without).is_ok()
    });
    // Serde quotes the value it refuses, and it might be a secret.
    let why = error.to_string();
    let why = why
        .split(['"', '`'])
        .step_by(2)
        .collect::<Vec<_>>()
        .join("…");
    mistakes.add(
        &culprit.unwrap_or_default(),
        format!("has a value that does not fit ({why})"),
        "a value as docs/SETTINGS.md describes it",
    );
}
