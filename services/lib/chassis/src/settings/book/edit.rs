//! Changing a TOML file: what is not changed stays as it was written, comments and order included.

use serde_json::{Map, Value};
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike};

use super::super::shape::Shape;

/// `text` changed so that it says `wanted`.
///
/// # Errors
/// When `text` is no TOML, or `wanted` holds what TOML cannot.
pub(super) fn edit(text: &str, wanted: &Value, shape: &Shape) -> Result<String, String> {
    let mut document: DocumentMut = text.parse().map_err(|_| "the file is no TOML".to_owned())?;
    let Value::Object(wanted) = wanted else {
        return Err("the settings are no table".into());
    };
    table(document.as_table_mut(), wanted, Some(shape))?;
    Ok(document.to_string())
}

fn table(
    there: &mut dyn TableLike,
    wanted: &Map<String, Value>,
    shape: Option<&Shape>,
) -> Result<(), String> {
    let gone: Vec<String> = there
        .iter()
        .map(|(key, _)| key.to_owned())
        .filter(|key| !wanted.contains_key(key))
        .collect();
    for key in gone {
        there.remove(&key);
    }
    for (key, value) in wanted {
        let under = shape.and_then(|shape| shape.under(key));
        match (there.get_mut(key), value) {
            (Some(item), Value::Object(fields)) if item.is_table_like() => {
                if let Some(inner) = item.as_table_like_mut() {
                    table(inner, fields, under)?;
                }
            }
            (Some(item), value) if says(item, value) => {}
            (Some(item), value) => replace(item, made(value, under)?),
            (None, value) => {
                there.insert(key, made(value, under)?);
            }
        }
    }
    Ok(())
}

/// Puts `new` in the place of `item`, with the comment behind it.
fn replace(item: &mut Item, mut new: Item) {
    if let (Some(old), Some(new)) = (item.as_value(), new.as_value_mut()) {
        *new.decor_mut() = old.decor().clone();
    }
    *item = new;
}

/// Whether a value that is there means the same; numbers are the same whether or not they have a point.
fn says(item: &Item, wanted: &Value) -> bool {
    match (item, wanted) {
        (Item::Value(value), wanted) => value_says(value, wanted),
        _ => false,
    }
}

fn value_says(value: &toml_edit::Value, wanted: &Value) -> bool {
    use toml_edit::Value as There;
    match (value, wanted) {
        (There::String(text), Value::String(wanted)) => text.value() == wanted,
        (There::Boolean(yes), Value::Bool(wanted)) => yes.value() == wanted,
        (There::Integer(number), Value::Number(wanted)) => {
            wanted.as_i64() == Some(*number.value())
                || wanted.as_f64() == Some(*number.value() as f64)
        }
        (There::Float(number), Value::Number(wanted)) => wanted.as_f64() == Some(*number.value()),
        (There::Datetime(time), Value::String(wanted)) => time.value().to_string() == *wanted,
        (There::Array(items), Value::Array(wanted)) => {
            items.len() == wanted.len()
                && items
                    .iter()
                    .zip(wanted)
                    .all(|(item, wanted)| value_says(item, wanted))
        }
        (There::InlineTable(fields), Value::Object(wanted)) => {
            fields.len() == wanted.len()
                && fields.iter().all(|(key, value)| {
                    wanted
                        .get(key)
                        .is_some_and(|wanted| value_says(value, wanted))
                })
        }
        _ => false,
    }
}

/// A new item: a table of its own where the shape has one, else a value.
fn made(value: &Value, shape: Option<&Shape>) -> Result<Item, String> {
    match value {
        Value::Object(fields) => {
            let mut made = Table::new();
            // A section with sections only needs no line of its own.
            made.set_implicit(!fields.is_empty() && fields.values().all(Value::is_object));
            table(&mut made, fields, shape)?;
            Ok(Item::Table(made))
        }
        value => Ok(Item::Value(plain(value, shape)?)),
    }
}

fn plain(value: &Value, shape: Option<&Shape>) -> Result<toml_edit::Value, String> {
    let of = match shape {
        Some(Shape::List(of)) => Some(&**of),
        shape => shape,
    };
    Ok(match value {
        Value::String(text) => text.as_str().into(),
        Value::Bool(yes) => (*yes).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) if !matches!(shape, Some(Shape::Number)) => number.into(),
            // 5.0 is how some programs write 5.
            (None, Some(number))
                if matches!(shape, Some(Shape::Integer { .. }))
                    && number.fract() == 0.0
                    && number.abs() < 9e15 =>
            {
                (number as i64).into()
            }
            (_, Some(number)) => number.into(),
            _ => return Err(format!("{number} is larger than TOML can hold")),
        },
        Value::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| plain(item, of)).collect();
            toml_edit::Value::Array(Array::from_iter(items?))
        }
        Value::Object(fields) => {
            let mut made = InlineTable::new();
            for (key, value) in fields {
                let under = shape.and_then(|shape| shape.under(key));
                made.insert(key, plain(value, under)?);
            }
            made.into()
        }
        Value::Null => return Err("a list holds nothing where a value is wanted".into()),
    })
}
