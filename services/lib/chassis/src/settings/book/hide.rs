//! Hiding what nobody may read, and putting it back where it is written as it was shown.

use serde_json::{Map, Value};

use super::super::mistakes::{Mistakes, Place};
use super::super::shape::Shape;
use super::super::tree::{Node, Tree};

/// What stands where a secret would, in the words of the reference gateway.
pub const REDACTED: &str = "__OPENCLAW_REDACTED__";
/// How a [`crate::Secret`] is serialised.
const MASK: &str = "***";

/// What `tree` says, secrets hidden; texts of keys that are no settings too, as they may be misspelt secrets.
pub(super) fn shown(tree: &Tree, shape: Option<&Shape>) -> Value {
    match &tree.node {
        Node::Leaf(Value::String(text)) => hidden(text, shape).into(),
        Node::Leaf(value) => value.clone(),
        Node::List(items) => {
            let of = match shape {
                Some(Shape::List(of)) => Some(&**of),
                Some(Shape::Any) => shape,
                _ => None,
            };
            items.iter().map(|item| shown(item, of)).collect()
        }
        Node::Table(table) => {
            let each = table.iter().map(|(key, tree)| {
                let under = shape.and_then(|shape| shape.under(key));
                (key.clone(), shown(tree, under))
            });
            Value::Object(each.collect())
        }
    }
}

/// A text as it may be shown.
fn hidden(text: &str, shape: Option<&Shape>) -> String {
    match shape {
        _ if text.is_empty() => String::new(),
        None | Some(Shape::Text { secret: true, .. }) => REDACTED.to_owned(),
        _ => match userinfo(text) {
            Some((begin, end)) => format!("{}{REDACTED}{}", &text[..begin], &text[end..]),
            None => text.to_owned(),
        },
    }
}

/// Where the user and the password of an address stand.
fn userinfo(text: &str) -> Option<(usize, usize)> {
    let begin = text.find("://")? + 3;
    let end = text[begin..].find('/').map_or(text.len(), |at| begin + at);
    let at = text[begin..end].rfind('@')?;
    (at > 0).then_some((begin, begin + at))
}

/// Writes [`REDACTED`] over the masks of secrets in settings that were serialised, and hides users in addresses.
pub(super) fn effective(value: &mut Value, shape: &Shape) {
    match value {
        Value::String(text) => *text = hidden(text, Some(shape)),
        Value::Array(items) => {
            if let Shape::List(of) = shape {
                items.iter_mut().for_each(|item| effective(item, of));
            }
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                if let Some(shape) = shape.under(key) {
                    effective(value, shape);
                }
            }
        }
        _ => {}
    }
}

/// `wanted` with what is hidden in it as it stands in `before`. A hidden text that was not shown for anything there is
/// a mistake, but for a secret: that stays where it is, perhaps in the environment.
pub(super) fn restored(
    wanted: &Value,
    before: &Tree,
    shape: &Shape,
    mistakes: &mut Mistakes,
) -> Value {
    let restored = restore(wanted, Some(before), Some(shape), "", mistakes);
    restored.unwrap_or_else(|| Value::Object(Map::new()))
}

fn restore(
    wanted: &Value,
    before: Option<&Tree>,
    shape: Option<&Shape>,
    path: &str,
    mistakes: &mut Mistakes,
) -> Option<Value> {
    match wanted {
        Value::String(text) => restore_text(text, before, shape, path, mistakes).map(Value::from),
        Value::Array(items) => {
            let of = match shape {
                Some(Shape::List(of)) => Some(&**of),
                shape => shape,
            };
            let there = match before.map(|tree| &tree.node) {
                Some(Node::List(there)) => there.as_slice(),
                _ => &[],
            };
            let each = items.iter().enumerate().filter_map(|(n, item)| {
                // Items move about: the one that was shown like this is the one that is meant.
                let same = there.get(n).filter(|tree| shown(tree, of) == *item);
                let same = same.or_else(|| there.iter().find(|tree| shown(tree, of) == *item));
                restore(item, same, of, &format!("{path}[{n}]"), mistakes)
            });
            Some(each.collect())
        }
        Value::Object(fields) => {
            let there = match before.map(|tree| &tree.node) {
                Some(Node::Table(there)) => Some(there),
                _ => None,
            };
            let mut restored = Map::new();
            for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                let dot = if path.is_empty() { "" } else { "." };
                let (path, before) = (
                    format!("{path}{dot}{key}"),
                    there.and_then(|there| there.get(key)),
                );
                let under = shape.and_then(|shape| shape.under(key));
                if let Some(value) = restore(value, before, under, &path, mistakes) {
                    restored.insert(key.clone(), value);
                }
            }
            Some(restored.into())
        }
        value => Some(value.clone()),
    }
}

fn restore_text(
    text: &str,
    before: Option<&Tree>,
    shape: Option<&Shape>,
    path: &str,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let secret = matches!(shape, Some(Shape::Text { secret: true, .. }));
    let masked = secret && text == MASK;
    if !text.contains(REDACTED) && !masked {
        return Some(text.to_owned());
    }
    match before.map(|tree| &tree.node) {
        Some(Node::Leaf(Value::String(before))) if masked || hidden(before, shape) == text => {
            Some(before.clone())
        }
        None if secret && (masked || text == REDACTED) => None,
        _ => {
            let what =
                format!("`{path}` holds the placeholder of a secret that does not stand there");
            mistakes.push(Place::Nowhere, what, "the secret itself, or leave it out");
            None
        }
    }
}
