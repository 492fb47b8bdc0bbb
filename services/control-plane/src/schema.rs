//! Reads the parameters of a method and says what is wrong with them in the words of the reference gateway.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::value::RawValue;

mod document;
mod shape;

pub use document::document;
pub(crate) use shape::{Generators, Shape};

/// A text that is not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)? {
            text if text.is_empty() => Err(D::Error::custom(TOO_SHORT)),
            text => Ok(Self(text)),
        }
    }
}

impl JsonSchema for Text {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// What the reference says of an empty text.
pub(crate) const TOO_SHORT: &str = "must NOT have fewer than 1 characters";
/// What it says of a text that is none of a closed list.
pub(crate) const NOT_ALLOWED: &str = "must be equal to one of the allowed values";

/// Reads parameters; absent ones are an empty object.
///
/// # Errors
/// Where and what, for people: "at /client/id: must be string".
pub(crate) fn read<P: DeserializeOwned>(params: Option<&RawValue>) -> Result<P, String> {
    let text = params.map_or("{}", RawValue::get);
    let mut json = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let path = match path.as_str() {
            "." => String::new(),
            path => format!("/{}", path.replace(['.', '['], "/").replace(']', "")),
        };
        sentence(&path, &error.into_inner().to_string())
    })
}

/// Words of serde in words of the reference.
fn sentence(path: &str, said: &str) -> String {
    let said = said.split(" at line ").next().unwrap_or_default();
    let quoted = said.split('`').nth(1).unwrap_or_default();
    let at = |text: String| match path {
        "" => format!("at root: {text}"),
        path => format!("at {path}: {text}"),
    };
    if said.starts_with("missing field") {
        let missing = format!("must have required property '{quoted}'");
        return if path.is_empty() {
            missing
        } else {
            at(missing)
        };
    }
    if said.starts_with("unknown field") {
        let parent = path.strip_suffix(&format!("/{quoted}")).unwrap_or(path);
        let place = if parent.is_empty() { "root" } else { parent };
        return format!("at {place}: unexpected property '{quoted}'");
    }
    if said.starts_with("unknown variant") {
        return at(NOT_ALLOWED.into());
    }
    let Some((_, expected)) = said.split_once("expected ") else {
        return at(said.to_owned());
    };
    let kind = match expected {
        text if text.starts_with("a string") || text.starts_with("a borrowed") => "string",
        text if text.starts_with("a boolean") => "boolean",
        text if text.starts_with("a sequence") => "array",
        text if text.starts_with("struct") || text.starts_with("a map") => "object",
        text if text.starts_with('u') || text.starts_with('i') => "integer",
        _ => return at(said.to_owned()),
    };
    at(format!("must be {kind}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Params {
        session_key: Text,
        limit: Option<u32>,
        client: Option<Client>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only read")]
    struct Client {
        id: Text,
        caps: Vec<String>,
    }

    fn why(text: &str) -> String {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        read::<Params>(Some(&raw)).unwrap_err()
    }

    #[test]
    fn mistakes_are_told_as_the_reference_tells_them() {
        assert_eq!(why("{}"), "must have required property 'sessionKey'");
        assert_eq!(
            why(r#"{"sessionKey":"m","x":1}"#),
            "at root: unexpected property 'x'"
        );
        assert_eq!(why(r#"{"sessionKey":5}"#), "at /sessionKey: must be string");
        assert_eq!(
            why(r#"{"sessionKey":""}"#),
            "at /sessionKey: must NOT have fewer than 1 characters"
        );
        assert_eq!(
            why(r#"{"sessionKey":"m","limit":-1}"#),
            "at /limit: must be integer"
        );
        assert_eq!(
            why(r#"{"sessionKey":"m","client":{"id":"a"}}"#),
            "at /client: must have required property 'caps'"
        );
        assert_eq!(
            why(r#"{"sessionKey":"m","client":{"id":"a","caps":[1]}}"#),
            "at /client/caps/0: must be string"
        );
        assert_eq!(why("[]"), "at root: must be object");
        assert_eq!(why("7"), "at root: must be object");
    }
}
