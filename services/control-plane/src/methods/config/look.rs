//! Looking at the settings: what the file says, what holds, and what there is to set.

use schemars::JsonSchema;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, json};

use super::{super::Call, book, hash, issues, text};
use crate::{gateway::VERSION, refusal::Refusal, schema::Text};

/// What the file says, and whether it is good; secrets hidden. `runtimeConfig` is what would hold after a restart.
pub(crate) async fn get(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let book = book(call)?;
    let text = text(book).await?;
    let said = book.shown(text.as_deref());
    let (valid, effective, issues) = match book.check(text.as_deref()) {
        Ok(effective) => (true, effective, Vec::new()),
        Err(mistakes) => (false, json!({}), issues(&mistakes)),
    };
    let raw = serde_json::to_string_pretty(&said).unwrap_or_default() + "\n";
    Ok(json!({
        "path": book.file(), "exists": text.is_some(), "raw": raw, "parsed": said, "valid": valid,
        "config": said, "sourceConfig": said, "resolved": said, "runtimeConfig": effective,
        "hash": hash(call, text.as_deref()), "issues": issues, "warnings": [], "legacyIssues": [],
        "writable": book.frozen().is_none(),
    }))
}

/// What there is to set.
pub(crate) async fn schema(call: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    let book = book(call)?;
    let hints = book
        .hints()
        .into_iter()
        .map(|(path, hint)| (path, json!(hint)));
    Ok(json!({
        "schema": book.schema(), "uiHints": hints.collect::<Map<_, _>>(), "version": VERSION,
        "generatedAt": call.gateway.began_at(),
    }))
}

/// Which part of it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lookup {
    path: Text,
}

/// One part of what there is to set, and what is directly below.
pub(crate) async fn lookup(call: &Call, wanted: Lookup) -> Result<Value, Refusal> {
    let book = book(call)?;
    let path = wanted.path.trim().trim_matches('.').to_owned();
    let spot = book.spot(&path).ok_or_else(|| {
        Refusal::Invalid(format!(
            "config schema path not found: {path}; config.schema has them all"
        ))
    })?;
    let children: Vec<_> = spot
        .children
        .iter()
        .map(|child| {
            let at = format!("{path}.{}", child.key);
            let mut told = json!({
                "key": child.key, "path": at, "required": child.required, "hasChildren": child.has_children,
                "reloadKind": "restart",
            });
            if let Some(kind) = child.kind {
                told["type"] = kind.into();
            }
            if let Some(hint) = &child.hint {
                told["hint"] = json!(hint);
                told["hintPath"] = at.into();
            }
            told
        })
        .collect();
    let mut told = json!({
        "path": path, "schema": spot.schema, "reloadKind": "restart", "children": children,
    });
    if let Some(hint) = spot.hint {
        told["hint"] = json!(hint);
        told["hintPath"] = told["path"].clone();
    }
    Ok(told)
}
