//! Puts environment variables over what the file says.

use serde_json::Value;

use super::mistakes::{Mistakes, Place};
use super::shape::Shape;
use super::tree::{Node, Tree};
use super::verify::nearest;
use super::{Names, PREFIX};

/// Puts the variables that are settings over `tree`; those that look like settings and are none
/// become mistakes.
pub(super) fn overlay(
    tree: &mut Tree,
    shape: &Shape,
    env: impl Iterator<Item = (String, String)>,
    names: &Names<'_>,
    mistakes: &mut Mistakes,
) {
    let mut given: Vec<(String, String)> = env.filter(|(_, text)| !text.is_empty()).collect();
    // Aliases first, so that the full name wins; then by name, so that mistakes keep their order.
    given.sort_by_key(|(name, _)| (alias(name, names).is_none(), name.clone()));
    for (name, text) in given {
        let found = match alias(&name, names) {
            Some(path) => {
                let path: Vec<String> = path.split('.').map(str::to_owned).collect();
                shape_at(shape, &path).map(|shape| (path.clone(), shape))
            }
            None if !name.starts_with(PREFIX) || names.others.contains(&name.as_str()) => continue,
            None => find(shape, &name[PREFIX.len()..]),
        };
        let place = Place::Variable(name.clone());
        match found {
            Some((path, shape)) => match parse(&text, shape, &place) {
                Some(value) => tree.put(&path, value),
                None => {
                    let what = format!("`{}` does not fit", path.join("."));
                    mistakes.push(place, what, shape.to_string());
                }
            },
            None => {
                let mut known = variables(shape);
                known.extend(names.others.iter().map(|&name| name.to_owned()));
                known.extend(names.aliases.iter().map(|&(name, _)| name.to_owned()));
                let instead = nearest(&name, known);
                let instead = instead.unwrap_or_else(|| "a name from docs/SETTINGS.md".to_owned());
                mistakes.push(place, format!("`{name}` is not a setting"), instead);
            }
        }
    }
}

/// The variable that sets the setting at `path`.
pub(super) fn variable(path: &str) -> String {
    PREFIX.to_owned() + &path.replace(['.', '-'], "_").to_uppercase()
}

fn alias<'a>(name: &str, names: &Names<'a>) -> Option<&'a str> {
    let mut aliases = names.aliases.iter();
    aliases.find_map(|&(alias, path)| (alias == name).then_some(path))
}

fn shape_at<'a>(shape: &'a Shape, path: &[String]) -> Option<&'a Shape> {
    let Some((first, rest)) = path.split_first() else {
        return Some(shape);
    };
    match shape {
        Shape::Table(fields) => {
            let field = fields.iter().find(|field| field.name == *first)?;
            shape_at(&field.shape, rest)
        }
        Shape::Map(of) => shape_at(of, rest),
        _ => None,
    }
}

/// Finds the setting that `SECTION_KEY` names; `_` parts both words and levels.
fn find<'a>(shape: &'a Shape, name: &str) -> Option<(Vec<String>, &'a Shape)> {
    match shape {
        Shape::Table(fields) => fields.iter().find_map(|field| {
            let rest = name.strip_prefix(&field.name.replace('-', "_").to_uppercase())?;
            let (mut path, shape) = if rest.is_empty() {
                (Vec::new(), &field.shape)
            } else {
                find(&field.shape, rest.strip_prefix('_')?)?
            };
            path.insert(0, field.name.clone());
            Some((path, shape))
        }),
        Shape::Map(of) => name.match_indices('_').find_map(|(at, _)| {
            let (mut path, shape) = find(of, &name[at + 1..])?;
            path.insert(0, name[..at].to_lowercase());
            Some((path, shape))
        }),
        _ => None,
    }
}

/// All variables there can be, `MAIN` standing for a name that the user chooses.
fn variables(shape: &Shape) -> Vec<String> {
    fn collect(shape: &Shape, path: &str, into: &mut Vec<String>) {
        match shape {
            Shape::Table(fields) => {
                for field in fields {
                    collect(&field.shape, &format!("{path}.{}", field.name), into);
                }
            }
            Shape::Map(of) if matches!(**of, Shape::Table(_)) => {
                collect(of, &format!("{path}.main"), into);
            }
            _ => into.push(variable(&path[1..])),
        }
    }
    let mut all = Vec::new();
    collect(shape, "", &mut all);
    all
}

fn parse(text: &str, shape: &Shape, place: &Place) -> Option<Tree> {
    let leaf = |value: Value| Tree {
        place: place.clone(),
        node: Node::Leaf(value),
    };
    match shape {
        Shape::Text { .. } => Some(leaf(text.into())),
        Shape::Integer { .. } => text.trim().parse::<i64>().ok().map(|it| leaf(it.into())),
        Shape::Number => text.trim().parse::<f64>().ok().map(|it| leaf(it.into())),
        Shape::Boolean => match text.trim() {
            "true" | "1" => Some(leaf(true.into())),
            "false" | "0" => Some(leaf(false.into())),
            _ => None,
        },
        Shape::List(_) if text.trim_start().starts_with('[') => Tree::inline(text, place),
        Shape::List(of) => {
            let each = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            let each: Option<Vec<Tree>> = each.map(|item| parse(item, of, place)).collect();
            each.map(|list| Tree {
                place: place.clone(),
                node: Node::List(list),
            })
        }
        Shape::Table(_) | Shape::Map(_) => Tree::inline(text, place),
        Shape::Any => Tree::inline(text, place).or_else(|| Some(leaf(text.into()))),
    }
}
