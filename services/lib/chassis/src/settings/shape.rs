//! What a setting may hold, read from the JSON Schema of its type.

use std::fmt;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// What a value may be.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A text; with `choices`, one of them.
    Text { secret: bool, choices: Vec<String> },
    /// A whole number from `min` to `max`.
    Integer { min: i128, max: i128 },
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Several of one shape.
    List(Box<Shape>),
    /// A table whose keys are known.
    Table(Vec<Field>),
    /// A table whose keys are names that the user chooses.
    Map(Box<Shape>),
    /// More than the above can say: its type decides.
    Any,
}

/// One key of a table.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: String,
    /// The doc comment of the field: the documentation of the setting.
    pub(super) about: String,
    pub(super) default: Option<Value>,
    pub(super) required: bool,
    pub(super) shape: Shape,
}

/// The JSON Schema of `T`, without references.
pub(super) fn schema_of<T: JsonSchema>() -> Value {
    let generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator();
    generator.into_root_schema_for::<T>().to_value()
}

impl Shape {
    pub(super) fn of<T: JsonSchema>() -> Self {
        Self::from_schema(&schema_of::<T>())
    }

    /// What stands under `key`; `None` where nothing may.
    pub(super) fn under(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Table(fields) => {
                let field = fields.iter().find(|field| field.name == key)?;
                Some(&field.shape)
            }
            Self::Map(of) => Some(of),
            Self::Any => Some(self),
            _ => None,
        }
    }

    fn from_schema(schema: &Value) -> Self {
        if let Some(shape) = union(schema) {
            return shape;
        }
        let kinds = kinds(schema);
        match kinds.as_slice() {
            ["string"] => Self::Text {
                secret: schema["writeOnly"] == true,
                choices: choices(schema).unwrap_or_default(),
            },
            ["integer"] => integer(schema),
            ["number"] => Self::Number,
            ["boolean"] => Self::Boolean,
            ["array"] => Self::List(Box::new(Self::from_schema(&schema["items"]))),
            ["object"] => table(schema),
            _ => Self::Any,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { choices, .. } if !choices.is_empty() => {
                let quoted: Vec<String> = choices.iter().map(|one| format!("\"{one}\"")).collect();
                write!(f, "{}", quoted.join(" or "))
            }
            Self::Text { .. } => f.write_str("a text in quotes"),
            Self::Integer { min, max } if *max >= i128::from(i64::MAX) => {
                write!(f, "a whole number of at least {min}")
            }
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Number => f.write_str("a number"),
            Self::Boolean => f.write_str("true or false"),
            Self::List(of) => write!(f, "a list in brackets, each {of}"),
            Self::Table(_) | Self::Map(_) => f.write_str("a table"),
            Self::Any => f.write_str("a value as docs/SETTINGS.md describes it"),
        }
    }
}

/// An `Option` is its inside; a union of fixed texts is a choice; other unions are their type's.
fn union(schema: &Value) -> Option<Shape> {
    let branches = schema["anyOf"].as_array().or(schema["oneOf"].as_array())?;
    let some: Vec<&Value> = branches
        .iter()
        .filter(|branch| branch["type"] != "null")
        .collect();
    if let [only] = some.as_slice() {
        return Some(Shape::from_schema(only));
    }
    let all: Option<Vec<Vec<String>>> = some.into_iter().map(choices).collect();
    Some(all.map_or(Shape::Any, |choices| Shape::Text {
        secret: false,
        choices: choices.concat(),
    }))
}

fn choices(schema: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    if let Some(only) = text(&schema["const"]) {
        return Some(vec![only]);
    }
    Some(schema["enum"].as_array()?.iter().filter_map(text).collect())
}

fn kinds(schema: &Value) -> Vec<&str> {
    let kinds = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        kind => kind.as_str().into_iter().collect::<Vec<_>>(),
    };
    kinds.into_iter().filter(|kind| *kind != "null").collect()
}

fn integer(schema: &Value) -> Shape {
    let (least, most) = match schema["format"].as_str().unwrap_or_default() {
        "uint8" => (0, i128::from(u8::MAX)),
        "uint16" => (0, i128::from(u16::MAX)),
        "uint32" => (0, i128::from(u32::MAX)),
        "int32" => (i128::from(i32::MIN), i128::from(i32::MAX)),
        // TOML's integers have 64 bits with a sign.
        "uint" | "uint64" => (0, i128::from(i64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let bound = |key: &str, otherwise| schema[key].as_i64().map_or(otherwise, i128::from);
    Shape::Integer {
        min: bound("minimum", least),
        max: bound("maximum", most),
    }
}

fn table(schema: &Value) -> Shape {
    let Some(properties) = schema["properties"].as_object() else {
        return match &schema["additionalProperties"] {
            of @ Value::Object(_) => Shape::Map(Box::new(Shape::from_schema(of))),
            _ => Shape::Any,
        };
    };
    let required = |name: &str| {
        let required = schema["required"].as_array();
        required.is_some_and(|required| required.iter().any(|one| one == name))
    };
    let fields = properties.iter().map(|(name, schema)| Field {
        name: name.clone(),
        about: schema["description"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        default: schema.get("default").cloned(),
        required: required(name),
        shape: Shape::from_schema(schema),
    });
    Shape::Table(fields.collect())
}
