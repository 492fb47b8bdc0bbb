//! Changing the settings file: checked whole, written whole, and only on top of what the client has seen.

use std::time::Duration;

use proto::ws::Error;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Call, book, hash, issues, json5, merge, text};
use crate::{refusal::Refusal, schema::Text};

/// Pause before the process begins anew where the client names none: the answer is on its way by then.
const PAUSE_MS: u64 = 500;
/// Longest that a client can ask for.
const MOST_PAUSE_MS: u64 = 60_000;

/// Settings as a client writes them. Open: who is told of a change, and where, is not for the gateway.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    /// JSON, JSON5 or TOML.
    raw: Text,
    /// As `config.get` told it.
    base_hash: Option<Text>,
    restart_delay_ms: Option<u64>,
    /// Paths whose value is replaced by the patch, not merged with it.
    #[serde(default)]
    replace_paths: Vec<Text>,
}

/// What becomes of the process once the file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// Nothing yet.
    Stay,
    /// It begins anew.
    Restart,
}

/// Replaces the settings.
pub(crate) async fn set(call: &Call, change: Change) -> Result<Value, Refusal> {
    let wanted = read(call, &change)?;
    write(call, &change, After::Stay, |_| Ok(wanted)).await
}

/// Replaces the settings and begins anew with them.
pub(crate) async fn apply(call: &Call, change: Change) -> Result<Value, Refusal> {
    let wanted = read(call, &change)?;
    write(call, &change, After::Restart, |_| Ok(wanted)).await
}

/// Changes some settings (a JSON merge patch: `null` removes) and begins anew with them.
pub(crate) async fn patch(call: &Call, change: Change) -> Result<Value, Refusal> {
    let patch = read(call, &change)?;
    let whole: Vec<_> = change
        .replace_paths
        .iter()
        .map(|path| path.0.as_str())
        .collect();
    let merged = |said| Ok(merge::merged(said, patch, &whole));
    write(call, &change, After::Restart, merged).await
}

/// What the client wrote: an object.
fn read(call: &Call, change: &Change) -> Result<Value, Refusal> {
    let name = call.name();
    let raw = change.raw.trim_start();
    // TOML begins with a section, a key or a comment; JSON and JSON5 with what TOML cannot begin with.
    let read = match raw.starts_with(['{', '/']) {
        true => json5::read(raw).map_err(|why| format!("{name} raw is no JSON5: {why}")),
        false => {
            toml(raw).map_err(|why| format!("{name} raw is neither a JSON5 object nor TOML: {why}"))
        }
    };
    match read.map_err(Refusal::Invalid)? {
        object @ Value::Object(_) => Ok(object),
        _ => Err(Refusal::Invalid(format!("{name} raw must be an object"))),
    }
}

fn toml(raw: &str) -> Result<Value, String> {
    let table: toml::Table = raw.parse().map_err(|error: toml::de::Error| {
        // Without the line itself: it may hold a secret.
        error
            .message()
            .split('`')
            .step_by(2)
            .collect::<Vec<_>>()
            .join("…")
    })?;
    serde_json::to_value(table).map_err(|error| error.to_string())
}

/// Writes what `wanted` makes of what the file says now.
async fn write(
    call: &Call,
    change: &Change,
    after: After,
    wanted: impl FnOnce(Value) -> Result<Value, Refusal>,
) -> Result<Value, Refusal> {
    let (gateway, book) = (&call.gateway, book(call)?);
    if let Some(why) = book.frozen() {
        return Err(Refusal::Invalid(why.to_owned()));
    }
    // Who compares and who writes are one.
    let _alone = gateway.changing_settings.lock().await;
    let before = text(book).await?;
    let path = book.file().display().to_string();
    match &change.base_hash {
        None if before.is_some() => {
            let missing =
                format!("config base hash required for {path}; re-run config.get and retry");
            return Err(Refusal::Invalid(missing));
        }
        Some(base) if base.0 != hash(call, before.as_deref()) => {
            let stale = "config changed since last load; re-run config.get and retry";
            return Err(Refusal::Invalid(stale.into()));
        }
        _ => {}
    }
    let said = book.shown(before.as_deref());
    let wanted = wanted(said.clone())?;
    let revised = book
        .revised(before.as_deref(), &wanted)
        .map_err(|mistakes| {
            let issues = issues(&mistakes);
            let all: Vec<_> = issues
                .iter()
                .filter_map(|issue| issue["message"].as_str())
                .collect();
            let message = format!("invalid config: {}", all.join("; "));
            Refusal::Told(Box::new(Error {
                code: "INVALID_REQUEST",
                message,
                details: Some(json!({"issues": issues})),
                ..Error::default()
            }))
        })?;
    let changed = merge::changed(&said, &book.shown(Some(&revised)));
    let secrets = before.as_deref() != Some(revised.as_str());
    if secrets {
        let (book, text) = (book.clone(), revised.clone());
        let written = tokio::task::spawn_blocking(move || book.write(&text)).await;
        let refused = |why: String| {
            Refusal::Invalid(format!(
                "{path} cannot be written: {why}. Change it where it comes from, and start the gateway anew"
            ))
        };
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(refused(error.to_string())),
            Err(_) => return Err(refused("the writing broke off".into())),
        }
        gateway.host.hide_secrets();
        tracing::info!(
            by = call.who(),
            paths = changed.join(", "),
            "an operator has changed the settings"
        );
    }
    let restart = restart(call, change, after, secrets);
    Ok(json!({
        "ok": true, "path": path, "config": book.shown(Some(&revised)), "hash": hash(call, Some(&revised)),
        "changedPaths": changed, "restartRequired": secrets, "restart": restart, "sentinel": null,
    }))
}

/// Begins anew soon where that is wanted, needed and possible; says what becomes of it.
fn restart(call: &Call, change: &Change, after: After, changed: bool) -> Value {
    let by_hand = "restart the gateway by hand for the change to hold";
    let (ok, reason) = match (&call.gateway.host.again, after, changed) {
        (_, _, false) => (false, "nothing was changed".to_owned()),
        (_, After::Stay, _) => (
            false,
            format!("config.set does not restart: {by_hand}, or call config.apply"),
        ),
        (None, ..) => (
            false,
            format!("this process cannot begin anew by itself: {by_hand}"),
        ),
        (Some(again), ..) => {
            let pause = change
                .restart_delay_ms
                .unwrap_or(PAUSE_MS)
                .min(MOST_PAUSE_MS);
            let again = again.clone();
            // Outlives the call: its answer is to arrive first.
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                again.begin();
            });
            return json!({"ok": true, "delayMs": pause, "reason": call.name()});
        }
    };
    json!({"ok": ok, "reason": reason})
}
