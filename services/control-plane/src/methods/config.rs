//! The settings, looked at and changed by operators.

use chassis::settings::{Book, Mistakes};
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::refusal::Refusal;

mod change;
mod json5;
mod look;
mod merge;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("config.get", Read, look::get),
    method!("config.schema", Read, look::schema),
    method!("config.schema.lookup", Read, look::lookup),
    method!("config.set", Admin, change::set),
    method!("config.patch", Admin, change::patch),
    method!("config.apply", Admin, change::apply),
];

/// The settings of this process.
fn book(call: &Call) -> Result<&Book, Refusal> {
    let book = call.gateway.host.settings.as_ref();
    book.ok_or_else(|| {
        Refusal::Invalid(
            "this gateway was not told where its settings stand; look at how it is started".into(),
        )
    })
}

/// The text of the settings file; `None` where there is none.
async fn text(book: &Book) -> Result<Option<String>, Refusal> {
    let (book, path) = (book.clone(), book.file().display().to_string());
    let read = tokio::task::spawn_blocking(move || book.read()).await;
    match read {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(error)) => Err(Refusal::Busy(format!("{path} cannot be read: {error}"))),
        Err(_) => Err(Refusal::Busy(format!("{path} was not read; try again"))),
    }
}

/// What tells two texts of the file apart, and tells nothing of them: the key is this process's own.
fn hash(call: &Call, text: Option<&str>) -> String {
    let key = &call.gateway.hash_key;
    let hash = blake3::keyed_hash(key, text.unwrap_or_default().as_bytes());
    hash.to_hex().to_string()
}

/// Mistakes as clients show them: each with its path.
fn issues(mistakes: &Mistakes) -> Vec<Value> {
    let issue = |mistake: &chassis::settings::Mistake| {
        let path = mistake
            .what
            .strip_prefix('`')
            .and_then(|rest| rest.split_once('`'));
        let path = path.map_or("", |(path, _)| path);
        json!({"path": path, "message": format!("{}; write {}", mistake.what, mistake.instead)})
    };
    mistakes.list().iter().map(issue).collect()
}
