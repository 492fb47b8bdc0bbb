//! What programs draw forms from: the schema in its plainest form, and what to say about each setting.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::shape::{Field, Shape};

/// What to say about a setting, in the words of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hint {
    /// Its name for people.
    pub label: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Its place among its neighbours.
    pub order: usize,
    /// Its value is hidden.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// A part of the schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Spot {
    /// Its schema.
    pub schema: Value,
    /// What to say about it; nothing about the whole.
    pub hint: Option<Hint>,
    /// Settings directly below it.
    pub children: Vec<Child>,
}

/// A setting below another.
#[derive(Clone, Debug, PartialEq)]
pub struct Child {
    /// Its key; `*` stands for a name that the user chooses.
    pub key: String,
    /// Its JSON type; `None` where it may have several.
    pub kind: Option<&'static str>,
    /// It must be given.
    pub required: bool,
    /// It has settings below it.
    pub has_children: bool,
    /// What to say about it.
    pub hint: Option<Hint>,
}

/// The schema of `shape`, nothing in it but types, choices, bounds, defaults and descriptions.
pub(super) fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Text { choices, .. } if choices.is_empty() => json!({"type": "string"}),
        Shape::Text { choices, .. } => json!({"type": "string", "enum": choices}),
        Shape::Integer { min, max } => {
            let mut schema = json!({"type": "integer"});
            for (key, bound) in [("minimum", min), ("maximum", max)] {
                if let Ok(bound) = i64::try_from(*bound)
                    && bound.unsigned_abs() < i64::MAX as u64
                {
                    schema[key] = bound.into();
                }
            }
            schema
        }
        Shape::Number => json!({"type": "number"}),
        Shape::Boolean => json!({"type": "boolean"}),
        Shape::List(of) => json!({"type": "array", "items": schema(of)}),
        Shape::Map(of) => json!({"type": "object", "additionalProperties": schema(of)}),
        Shape::Table(fields) => {
            let properties = fields
                .iter()
                .map(|field| (field.name.clone(), described(field)));
            let properties: Map<_, _> = properties.collect();
            let required: Vec<_> = fields.iter().filter(|field| field.required).collect();
            let required: Vec<_> = required.iter().map(|field| &field.name).collect();
            let mut schema = json!({
                "type": "object", "properties": properties, "additionalProperties": false,
            });
            if !required.is_empty() {
                schema["required"] = json!(required);
            }
            schema
        }
        Shape::Any => json!({}),
    }
}

fn described(field: &Field) -> Value {
    let mut schema = schema(&field.shape);
    schema["title"] = label(&field.name).into();
    if !field.about.is_empty() {
        schema["description"] = one_line(&field.about).into();
    }
    // Those of sections stand in their own settings.
    let whole = matches!(field.shape, Shape::Table(_) | Shape::Map(_));
    if let Some(default) = field.default.as_ref().filter(|it| !it.is_null() && !whole) {
        schema["default"] = default.clone();
    }
    schema
}

/// What to say about each setting below `shape`, by path.
pub(super) fn hints(shape: &Shape) -> Vec<(String, Hint)> {
    fn collect(shape: &Shape, path: &str, into: &mut Vec<(String, Hint)>) {
        let dot = if path.is_empty() { "" } else { "." };
        match shape {
            Shape::Table(fields) => {
                for (order, field) in fields.iter().enumerate() {
                    let path = format!("{path}{dot}{}", field.name);
                    into.push((path.clone(), hint(field, order)));
                    collect(&field.shape, &path, into);
                }
            }
            Shape::Map(of) => collect(of, &format!("{path}{dot}*"), into),
            _ => {}
        }
    }
    let mut all = Vec::new();
    collect(shape, "", &mut all);
    all
}

/// The part of `shape` at `path`.
pub(super) fn spot(shape: &Shape, path: &str) -> Option<Spot> {
    let (mut at, mut hint_there) = (shape, None);
    for key in path.split('.').filter(|key| !key.is_empty()) {
        if let Shape::Table(fields) = at {
            let place = fields.iter().position(|field| field.name == key)?;
            hint_there = Some(hint(&fields[place], place));
        }
        at = at.under(key)?;
    }
    let children = match at {
        Shape::Table(fields) => fields
            .iter()
            .enumerate()
            .map(|(order, field)| {
                child(
                    &field.name,
                    &field.shape,
                    field.required,
                    Some(hint(field, order)),
                )
            })
            .collect(),
        Shape::Map(of) => vec![child("*", of, false, None)],
        _ => Vec::new(),
    };
    Some(Spot {
        schema: schema(at),
        hint: hint_there,
        children,
    })
}

fn child(key: &str, shape: &Shape, required: bool, hint: Option<Hint>) -> Child {
    let kind = match shape {
        Shape::Text { .. } => Some("string"),
        Shape::Integer { .. } => Some("integer"),
        Shape::Number => Some("number"),
        Shape::Boolean => Some("boolean"),
        Shape::List(_) => Some("array"),
        Shape::Table(_) | Shape::Map(_) => Some("object"),
        Shape::Any => None,
    };
    Child {
        key: key.to_owned(),
        kind,
        required,
        has_children: matches!(shape, Shape::Table(_) | Shape::Map(_)),
        hint,
    }
}

fn hint(field: &Field, order: usize) -> Hint {
    Hint {
        label: label(&field.name),
        help: one_line(&field.about),
        order,
        sensitive: matches!(field.shape, Shape::Text { secret: true, .. }),
    }
}

/// `max_output_chars` as people read it.
fn label(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut letters = words.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
