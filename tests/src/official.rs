//! The official JSON Schemas of the protocol, where they stand beside the project: what we answer must be what they say.

use std::{collections::HashMap, fs, sync::Mutex};

use serde_json::{Map, Value};

use crate::gateway::root;

/// Schemas deeper than this are not looked at.
const DEPTH: usize = 64;

/// The types of one release of the reference gateway.
pub struct Official {
    definitions: Map<String, Value>,
}

/// Releases that were read, by name; `None` where they do not stand here.
static READ: Mutex<Option<HashMap<&'static str, Option<&'static Official>>>> = Mutex::new(None);

/// The release that is the model for `protocol`; `None`, said loudly, where it does not stand beside the project.
///
/// # Panics
/// When a file of schemas is none.
#[must_use]
pub fn of_protocol(protocol: u8) -> Option<&'static Official> {
    release(if protocol < 4 {
        "2026.1.29"
    } else {
        "2026.9.1"
    })
}

fn release(name: &'static str) -> Option<&'static Official> {
    let mut read = READ.lock().expect("nobody panics with it");
    let known = read.get_or_insert_default().entry(name);
    *known.or_insert_with(|| {
        let path = root()
            .join("../shared/schemas")
            .join(format!("{name}.json"));
        let Ok(text) = fs::read_to_string(&path) else {
            eprintln!(
                "SKIPPED: no official schemas at {}; answers are not compared with them",
                path.display()
            );
            return None;
        };
        let mut document: Value = serde_json::from_str(&text).expect("schemas are JSON");
        let Value::Object(definitions) = document["definitions"].take() else {
            panic!("{} has no definitions", path.display())
        };
        Some(Box::leak(Box::new(Official { definitions })))
    })
}

/// Panics unless `value` is a `name` of the release that is the model for `protocol`. Says so and passes where that
/// does not stand beside the project, or has no such type.
///
/// # Panics
/// When it is not; says where and why.
pub fn assert_official(protocol: u8, name: &str, value: &Value) {
    let Some(official) = of_protocol(protocol) else {
        return;
    };
    let Some(schema) = official.definitions.get(name) else {
        eprintln!("SKIPPED: protocol {protocol} has no official type {name}");
        return;
    };
    if let Err(why) = official.check(schema, value, name, DEPTH) {
        panic!("protocol {protocol}: {why}\nin {value:#}")
    }
}

impl Official {
    /// What of the schema does not hold for `value`. Formats and patterns are not looked at.
    fn check(&self, schema: &Value, value: &Value, at: &str, depth: usize) -> Result<(), String> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Ok(());
        };
        let wrong = |why: String| Err(format!("{at}: {why}"));
        if let Some(reference) = schema["$ref"].as_str() {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return match self.definitions.get(name) {
                Some(schema) => self.check(schema, value, at, deeper),
                None => wrong(format!("unknown type {name}")),
            };
        }
        if schema.get("const").is_some_and(|only| only != value) {
            return wrong(format!("{value} is not {}", schema["const"]));
        }
        if let Some(choices) = schema["enum"].as_array()
            && !choices.contains(value)
        {
            return wrong(format!("{value} is none of {}", schema["enum"]));
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(branches) = schema[key].as_array() {
                let tried = branches
                    .iter()
                    .map(|branch| self.check(branch, value, at, deeper));
                let misses: Vec<_> = tried.filter_map(Result::err).collect();
                if misses.len() == branches.len() {
                    return wrong(format!("no branch fits: {}", misses.join("; ")));
                }
            }
        }
        for branch in schema["allOf"].as_array().into_iter().flatten() {
            self.check(branch, value, at, deeper)?;
        }
        if let Some(kind) = schema.get("type").filter(|kind| !is_of(kind, value)) {
            return wrong(format!("{value} is no {kind}"));
        }
        bounds(schema, value).or_else(wrong)?;
        match value {
            Value::Object(fields) => self.fields(schema, fields, at, deeper),
            Value::Array(items) => {
                for (n, item) in items
                    .iter()
                    .enumerate()
                    .filter(|_| schema["items"].is_object())
                {
                    self.check(&schema["items"], item, &format!("{at}[{n}]"), deeper)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn fields(
        &self,
        schema: &Value,
        fields: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) -> Result<(), String> {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !name.as_str().is_some_and(|name| fields.contains_key(name)) {
                return Err(format!("{at}: {name} is missing"));
            }
        }
        // Keys of maps are texts of any kind in these schemas.
        let any_key = schema["patternProperties"]
            .as_object()
            .and_then(|all| all.values().next());
        let others = schema.get("additionalProperties");
        for (name, value) in fields {
            let at = format!("{at}.{name}");
            match (schema["properties"].get(name), any_key, others) {
                (Some(schema), ..) | (None, Some(schema), _) => {
                    self.check(schema, value, &at, depth)?
                }
                (None, None, Some(Value::Bool(false))) => {
                    return Err(format!("{at} is not allowed"));
                }
                (None, None, Some(schema @ Value::Object(_))) => {
                    self.check(schema, value, &at, depth)?
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_of(kind: &Value, value: &Value) -> bool {
    if let Some(kinds) = kind.as_array() {
        return kinds.iter().any(|kind| is_of(kind, value));
    }
    match kind.as_str().unwrap_or_default() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

fn bounds(schema: &Value, value: &Value) -> Result<(), String> {
    let over = |key: &str, size: f64| schema[key].as_f64().is_some_and(|most| size > most);
    let under = |key: &str, size: f64| schema[key].as_f64().is_some_and(|least| size < least);
    let (low, high, size) = match value {
        Value::Number(number) => ("minimum", "maximum", number.as_f64()),
        Value::String(text) => ("minLength", "maxLength", Some(text.chars().count() as f64)),
        Value::Array(items) => ("minItems", "maxItems", Some(items.len() as f64)),
        _ => return Ok(()),
    };
    match size {
        Some(size) if over(high, size) || under(low, size) => {
            Err(format!("{value} is out of bounds"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        let thing = json!({
            "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": "array", "items": {"anyOf": [{"const": "x"}, {"type": "integer", "minimum": 0}]}}},
        });
        let definitions = Map::from_iter([("Thing".to_owned(), thing)]);
        let official = Official { definitions };
        let check =
            |value: Value| official.check(&json!({"$ref": "#/definitions/Thing"}), &value, "it", 9);
        assert_eq!(check(json!({"a": ["x", 3]})), Ok(()));
        for (value, why) in [
            (json!({}), "it: \"a\" is missing"),
            (json!({"a": [], "b": 1}), "it.b is not allowed"),
            (json!({"a": [-1]}), "it.a[0]: no branch fits"),
            (json!([]), "it: [] is no \"object\""),
        ] {
            let said = check(value).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
    }
}
