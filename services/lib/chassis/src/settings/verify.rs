//! Compares what was given with what may be given.

use serde_json::{Map, Value};

use super::mistakes::Mistakes;
use super::shape::{Field, Shape};
use super::tree::{Node, Tree};

/// Below this similarity (0 to 1) a known name is no help to somebody who wrote another.
const SIMILAR: f64 = 0.6;

/// Returns what fits of `tree`, and adds a mistake for each thing that does not.
pub(super) fn verify(tree: &Tree, shape: &Shape, mistakes: &mut Mistakes) -> Value {
    value(tree, shape, "", mistakes).unwrap_or_else(|| Value::Object(Map::new()))
}

/// The known name most like `name`, if any is like it at all.
pub(super) fn nearest<S: AsRef<str>>(
    name: &str,
    known: impl IntoIterator<Item = S>,
) -> Option<String> {
    let alike = |one: S| (strsim::jaro_winkler(name, one.as_ref()), one);
    let best = known.into_iter().map(alike);
    let best = best.max_by(|one, other| one.0.total_cmp(&other.0))?;
    (best.0 >= SIMILAR).then(|| best.1.as_ref().to_owned())
}

fn value(tree: &Tree, shape: &Shape, path: &str, mistakes: &mut Mistakes) -> Option<Value> {
    match (&tree.node, shape) {
        (Node::Table(_), Shape::Table(fields)) => Some(table(tree, fields, path, mistakes)),
        (Node::Table(given), Shape::Map(of)) => {
            let mut known = Map::new();
            for (key, tree) in given {
                if misplaced(key, tree, of) {
                    let what = format!("`{path}.{key}` stands outside of a named section");
                    let instead = format!("it under `[{path}.main]`");
                    mistakes.push(tree.place.clone(), what, instead);
                } else if let Some(value) = value(tree, of, &join(path, key), mistakes) {
                    known.insert(key.clone(), value);
                }
            }
            Some(Value::Object(known))
        }
        (Node::List(given), Shape::List(of)) => {
            let each = given.iter().enumerate();
            let each =
                each.filter_map(|(at, tree)| value(tree, of, &format!("{path}[{at}]"), mistakes));
            Some(Value::Array(each.collect()))
        }
        (_, Shape::Any) => Some(plain(tree)),
        (Node::Leaf(given), shape) => match leaf(given, shape) {
            Ok(value) => Some(value),
            Err(why) => {
                let instead = why.instead.unwrap_or_else(|| shape.to_string());
                let what = format!("`{path}` {}", why.what);
                mistakes.push(tree.place.clone(), what, instead);
                None
            }
        },
        (node, shape) => {
            let what = format!("`{path}` is {}", kind(node));
            mistakes.push(tree.place.clone(), what, shape.to_string());
            None
        }
    }
}

fn table(tree: &Tree, fields: &[Field], path: &str, mistakes: &mut Mistakes) -> Value {
    let Node::Table(given) = &tree.node else {
        return Value::Null;
    };
    let mut known = Map::new();
    for (key, tree) in given {
        let path = join(path, key);
        match fields.iter().find(|field| field.name == *key) {
            Some(field) => {
                if let Some(value) = value(tree, &field.shape, &path, mistakes) {
                    known.insert(key.clone(), value);
                }
            }
            None => unknown(key, tree, fields, &path, mistakes),
        }
    }
    for field in fields.iter().filter(|field| field.required) {
        if !given.contains_key(&field.name) {
            let what = format!("`{}` is missing", join(path, &field.name));
            mistakes.push(tree.place.clone(), what, field.shape.to_string());
        }
    }
    Value::Object(known)
}

fn unknown(key: &str, tree: &Tree, fields: &[Field], path: &str, mistakes: &mut Mistakes) {
    let names = || fields.iter().map(|field| field.name.as_str());
    let instead = match nearest(key, names()) {
        Some(name) => format!("`{name}`"),
        None => {
            let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
            format!("one of {}", names.join(", "))
        }
    };
    mistakes.push(
        tree.place.clone(),
        format!("`{path}` is not a setting"),
        instead,
    );
}

/// True for a key of a named section that was written without naming one.
fn misplaced(key: &str, tree: &Tree, of: &Shape) -> bool {
    matches!(tree.node, Node::Leaf(_) | Node::List(_))
        && matches!(of, Shape::Table(fields) if fields.iter().any(|field| field.name == key))
}

/// Why a value does not fit; never with the value.
struct Misfit {
    what: String,
    instead: Option<String>,
}

fn leaf(given: &Value, shape: &Shape) -> Result<Value, Misfit> {
    let misfit = |what: &str, instead| {
        Err(Misfit {
            what: what.to_owned(),
            instead,
        })
    };
    match (shape, given) {
        (Shape::Text { choices, .. }, Value::String(text)) if !choices.is_empty() => {
            if choices.contains(text) {
                return Ok(given.clone());
            }
            let near = nearest(text, choices).map(|near| format!("\"{near}\""));
            misfit("is none of the choices", near)
        }
        (Shape::Text { secret: false, .. }, Value::String(text)) if has_password(text) => misfit(
            "holds a password within an address",
            Some("the address without it, and the password in the setting made for it".to_owned()),
        ),
        (Shape::Text { .. }, Value::String(_)) => Ok(given.clone()),
        (Shape::Integer { min, max }, Value::Number(number)) => {
            match number.as_i64().map(i128::from) {
                Some(number) if (*min..=*max).contains(&number) => Ok(given.clone()),
                Some(_) => misfit("is out of range", None),
                None => misfit("is a fraction", None),
            }
        }
        (Shape::Number, Value::Number(_)) | (Shape::Boolean, Value::Bool(_)) => Ok(given.clone()),
        _ => misfit(&format!("is {}", kind_of_leaf(given)), None),
    }
}

/// True for `scheme://somebody:something@host`.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.contains('@')
}

fn plain(tree: &Tree) -> Value {
    match &tree.node {
        Node::Leaf(value) => value.clone(),
        Node::List(list) => list.iter().map(plain).collect(),
        Node::Table(table) => {
            let entries = table.iter().map(|(key, tree)| (key.clone(), plain(tree)));
            Value::Object(entries.collect())
        }
    }
}

fn kind(node: &Node) -> &'static str {
    match node {
        Node::Leaf(value) => kind_of_leaf(value),
        Node::List(_) => "a list",
        Node::Table(_) => "a table",
    }
}

fn kind_of_leaf(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a number",
        // Integers beyond 64 bits end up here.
        _ => "no value that can be read",
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
