//! The settings as an operator looks at them and changes them from afar: no secret leaves, no comment is lost.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::mistakes::{Mistakes, Place};
use super::shape::Shape;
use super::tree::{Node, Tree};
use super::{Check, Names, load_text};
use crate::Secret;

mod edit;
mod hide;
mod hints;
mod write;

pub use hide::REDACTED;
pub use hints::{Child, Hint, Spot};

/// Reads settings: the name of the file, what it says, the environment, and the names of the variables.
type Load = fn(&str, Option<&str>, &[(String, String)], &Names<'_>) -> Result<Value, Mistakes>;

/// The settings of a process: where they stand, what they may be, and changing them. Clones are the same book.
#[derive(Clone)]
pub struct Book(Arc<Inner>);

struct Inner {
    file: PathBuf,
    frozen: Option<String>,
    shape: Shape,
    env: Vec<(String, String)>,
    names: Names<'static>,
    load: Load,
}

impl Book {
    /// The settings `T` in `file`, which need not be there, under the environment `env`. Where they cannot be changed,
    /// `frozen` says why and what to do instead.
    pub fn new<T>(
        file: PathBuf,
        frozen: Option<String>,
        env: Vec<(String, String)>,
        names: Names<'static>,
    ) -> Self
    where
        T: DeserializeOwned + Serialize + JsonSchema + Check,
    {
        Self(Arc::new(Inner {
            file,
            frozen,
            shape: Shape::of::<T>(),
            env,
            names,
            load: effective::<T>,
        }))
    }

    /// Where they stand, or would.
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Why they cannot be changed from here, and what to do instead.
    pub fn frozen(&self) -> Option<&str> {
        self.0.frozen.as_deref()
    }

    /// The text of the file; `None` where there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn read(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.0.file) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What holds with a file of `text`: its settings under the environment and over the defaults, secrets hidden.
    ///
    /// # Errors
    /// With everything that is wrong.
    pub fn check(&self, text: Option<&str>) -> Result<Value, Mistakes> {
        let inner = &*self.0;
        let name = inner.file.display().to_string();
        let mut value = (inner.load)(&name, text, &inner.env, &inner.names)?;
        hide::effective(&mut value, &inner.shape);
        Ok(value)
    }

    /// What a file of `text` says, as JSON, secrets hidden. What is no TOML is left out.
    pub fn shown(&self, text: Option<&str>) -> Value {
        hide::shown(&self.tree(text).0, Some(&self.0.shape))
    }

    /// The text of a file that says `wanted`, as [`Book::shown`] would show it: what is hidden there stays as it is in
    /// `text`, and so do comments and the order of what is not changed.
    ///
    /// # Errors
    /// With everything that is wrong with what would hold then.
    pub fn revised(&self, text: Option<&str>, wanted: &Value) -> Result<String, Mistakes> {
        let (before, broken) = self.tree(text);
        let mut mistakes = Mistakes::default();
        let wanted = hide::restored(wanted, &before, &self.0.shape, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let text = match broken {
            false => text.unwrap_or_default(),
            true => "",
        };
        let revised = edit::edit(text, &wanted, &self.0.shape).map_err(|why| {
            let mut mistakes = Mistakes::default();
            mistakes.push(Place::Nowhere, why, "settings that TOML can hold");
            mistakes
        })?;
        self.check(Some(&revised))?;
        Ok(revised)
    }

    /// Puts `text` into the file, whole or not at all.
    ///
    /// # Errors
    /// When the system refuses: the file is as it was.
    pub fn write(&self, text: &str) -> io::Result<()> {
        write::whole(&self.0.file, text)
    }

    /// Every secret that stands in the file or in the environment.
    pub fn secrets(&self) -> Vec<Secret> {
        let text = self.read().unwrap_or_default();
        let (mut tree, mut ignored) = (self.tree(text.as_deref()).0, Mistakes::default());
        let env = self.0.env.iter().cloned();
        super::environment::overlay(&mut tree, &self.0.shape, env, &self.0.names, &mut ignored);
        let mut secrets = Vec::new();
        collect(&tree, &self.0.shape, &mut secrets);
        secrets
    }

    /// The JSON Schema of the file, in the plain form that programs draw forms from.
    pub fn schema(&self) -> Value {
        hints::schema(&self.0.shape)
    }

    /// What there is to say about each setting, by path; `*` stands for a name that the user chooses.
    pub fn hints(&self) -> Vec<(String, Hint)> {
        hints::hints(&self.0.shape)
    }

    /// The part of the schema at a dotted path; the empty one is the whole.
    pub fn spot(&self, path: &str) -> Option<Spot> {
        hints::spot(&self.0.shape, path)
    }

    /// What `text` says, and whether some of it is no TOML.
    fn tree(&self, text: Option<&str>) -> (Tree, bool) {
        let mut mistakes = Mistakes::default();
        let tree = text.map_or_else(Tree::default, |text| {
            Tree::parse(&self.0.file.display().to_string(), text, &mut mistakes)
        });
        (tree, !mistakes.is_empty())
    }
}

fn effective<T>(
    name: &str,
    text: Option<&str>,
    env: &[(String, String)],
    names: &Names<'_>,
) -> Result<Value, Mistakes>
where
    T: DeserializeOwned + Serialize + JsonSchema + Check,
{
    let settings: T = load_text(name, text, env.iter().cloned(), names)?;
    Ok(serde_json::to_value(settings).unwrap_or_default())
}

fn collect(tree: &Tree, shape: &Shape, into: &mut Vec<Secret>) {
    match (&tree.node, shape) {
        (Node::Leaf(Value::String(text)), Shape::Text { secret: true, .. }) if !text.is_empty() => {
            into.push(Secret::from(text.as_str()));
        }
        (Node::List(items), Shape::List(of)) => {
            items.iter().for_each(|item| collect(item, of, into));
        }
        (Node::Table(table), shape) => {
            for (key, tree) in table {
                if let Some(shape) = shape.under(key) {
                    collect(tree, shape, into);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
