//! Shows settings to people: the effective ones, and what there is to set.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::environment::variable;
use super::shape::{self, Field, Shape};

/// The effective settings as TOML, secrets as `***`.
///
/// # Errors
/// When a type of settings cannot be written as TOML.
pub fn show<T: Serialize>(settings: &T) -> Result<String, toml::ser::Error> {
    toml::to_string_pretty(settings)
}

/// The JSON Schema of the settings.
pub fn schema<T: JsonSchema>() -> Value {
    shape::schema_of::<T>()
}

/// The reference of all settings as Markdown: one table a section.
pub fn markdown<T: JsonSchema>() -> String {
    let mut page = String::new();
    if let Shape::Table(fields) = Shape::of::<T>() {
        for field in &fields {
            section(&mut page, &field.name, field, &field.shape);
        }
    }
    page
}

fn section(page: &mut String, path: &str, field: &Field, shape: &Shape) {
    let fields = match shape {
        Shape::Table(fields) => fields,
        Shape::Map(of) if matches!(**of, Shape::Table(_)) => {
            return section(page, &format!("{path}.<name>"), field, of);
        }
        _ => return,
    };
    let (own, nested): (Vec<_>, Vec<_>) = fields.iter().partition(|field| !is_section(field));
    let _ = writeln!(page, "\n## `[{path}]`\n\n{}\n", one_line(&field.about));
    if !own.is_empty() {
        page.push_str("| key | value | default | meaning | environment |\n|---|---|---|---|---|\n");
    }
    for field in own {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | `{}` |",
            field.name,
            escape(&value(&field.shape)),
            default(field),
            escape(&one_line(&field.about)),
            variable(&format!("{path}.{}", field.name)),
        );
    }
    for field in nested {
        section(page, &format!("{path}.{}", field.name), field, &field.shape);
    }
}

fn is_section(field: &Field) -> bool {
    match &field.shape {
        Shape::Table(_) => true,
        Shape::Map(of) => matches!(**of, Shape::Table(_)),
        _ => false,
    }
}

fn value(shape: &Shape) -> String {
    match shape {
        Shape::Text { secret: true, .. } => "secret text".to_owned(),
        Shape::Text { choices, .. } if choices.is_empty() => "text".to_owned(),
        Shape::Text { choices, .. } => {
            let quoted: Vec<String> = choices.iter().map(|one| format!("`\"{one}\"`")).collect();
            quoted.join(" or ")
        }
        Shape::List(of) => format!("list of {}", value(of)),
        Shape::Map(of) => format!("table of names and {}", value(of)),
        Shape::Any => "see meaning".to_owned(),
        other => other.to_string(),
    }
}

fn default(field: &Field) -> String {
    match &field.default {
        _ if field.required => "must be given".to_owned(),
        None | Some(Value::Null) => "none".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "none".to_owned(),
        Some(Value::Array(list)) if list.is_empty() => "none".to_owned(),
        Some(Value::Object(table)) if table.is_empty() => "none".to_owned(),
        Some(value) => format!("`{}`", escape(&value.to_string())),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}
