//! What each method of the Bot API does.

use std::sync::Arc;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, timeout_at};

use super::{BOT_ID, BOT_NAME, File, Shared, Webhook, chat_json, server::refusal};

/// Longest text, in UTF-16 code units.
const MAX_TEXT: usize = 4096;
/// Longest caption, in UTF-16 code units.
const MAX_CAPTION: usize = 1024;

/// A refusal: code, words, parameters.
struct No(u16, &'static str, Value);

/// Does what `method`, in lower case, asks for.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    method: &str,
    params: Value,
    files: Vec<File>,
) -> Response {
    let response = match method {
        "getupdates" => return get_updates(shared, &params).await,
        "getme" => done(json!({"id": BOT_ID, "is_bot": true, "first_name": "Gateway", "username": BOT_NAME})),
        "setwebhook" => set_webhook(shared, &params),
        "deletewebhook" => {
            shared.change(|state| state.set_webhook(None));
            done(true.into())
        }
        "getwebhookinfo" => done(shared.look(|state| {
            let url = state.webhook.as_ref().map_or("", |webhook| &webhook.url);
            let waiting = state.updates.len();
            json!({"url": url, "pending_update_count": waiting, "last_error_message": state.webhook_error})
        })),
        "getfile" => get_file(shared, &params),
        "editmessagetext" => edit(shared, &params),
        "deletemessage" => delete(shared, &params),
        "sendmediagroup" => send_album(shared, params, files),
        send if send.starts_with("send") && send != "sendchataction" => send_one(shared, send, params, files),
        "answercallbackquery" | "sendchataction" | "setmessagereaction" | "setmycommands" => done(true.into()),
        _ => refusal(404, "Not Found", Value::Null),
    };
    shared.announce();
    response
}

/// Long polling as Telegram does it: the offset forgets what is before it, and only one may poll.
async fn get_updates(shared: &Arc<Shared>, params: &Value) -> Response {
    let limit = params["limit"].as_u64().unwrap_or(100).clamp(1, 100) as usize;
    let until =
        Instant::now() + Duration::from_secs(params["timeout"].as_u64().unwrap_or_default());
    let poll = shared.change(|state| {
        state.confirm(params["offset"].as_i64().unwrap_or_default());
        state.poll += 1;
        state.poll
    });
    shared.announce();
    let mut changed = shared.changed.subscribe();
    loop {
        changed.borrow_and_update();
        let (taken, webhook, newest) = shared.look(|state| {
            let taken: Vec<_> = state
                .updates
                .values()
                .take(limit)
                .map(|update| update.bytes.clone())
                .collect();
            (taken, state.webhook.is_some(), state.poll)
        });
        if webhook {
            let why = "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first";
            return refusal(409, why, Value::Null);
        }
        if newest != poll {
            let why = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running";
            return refusal(409, why, Value::Null);
        }
        if !taken.is_empty() || timeout_at(until, changed.changed()).await.is_err() {
            let body = [
                &b"{\"ok\":true,\"result\":["[..],
                &taken.join(&b","[..]),
                b"]}",
            ]
            .concat();
            return ([(header::CONTENT_TYPE, "application/json")], body).into_response();
        }
    }
}

fn set_webhook(shared: &Arc<Shared>, params: &Value) -> Response {
    let webhook = Webhook {
        url: params["url"].as_str().unwrap_or_default().to_owned(),
        secret: params["secret_token"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
        max_connections: params["max_connections"].as_u64().unwrap_or(40) as usize,
    };
    shared
        .change(|state| state.set_webhook(Some(webhook).filter(|webhook| !webhook.url.is_empty())));
    done(true.into())
}

fn get_file(shared: &Arc<Shared>, params: &Value) -> Response {
    let id = params["file_id"].as_str().unwrap_or_default();
    match shared.look(|state| state.files.get(id).map(|bytes| bytes.len())) {
        Some(size) => {
            done(json!({"file_id": id, "file_path": format!("files/{id}"), "file_size": size}))
        }
        None => refusal(400, "Bad Request: invalid file_id", Value::Null),
    }
}

fn send_one(shared: &Arc<Shared>, method: &str, params: Value, files: Vec<File>) -> Response {
    let text = params["text"]
        .as_str()
        .or(params["caption"].as_str())
        .unwrap_or_default()
        .to_owned();
    let longest = if method == "sendmessage" {
        MAX_TEXT
    } else {
        MAX_CAPTION
    };
    if method == "sendmessage" && text.trim().is_empty() {
        return refusal(400, "Bad Request: message text is empty", Value::Null);
    }
    if text.encode_utf16().count() > longest {
        return refusal(400, "Bad Request: message is too long", Value::Null);
    }
    match send(shared, method, &text, params, files) {
        Ok(message) => done(message),
        Err(No(code, words, parameters)) => refusal(code, words, parameters),
    }
}

fn send_album(shared: &Arc<Shared>, params: Value, mut files: Vec<File>) -> Response {
    let items = params["media"].as_array().cloned().unwrap_or_default();
    if !(2..=10).contains(&items.len()) {
        return refusal(
            400,
            "Bad Request: wrong number of items in the album",
            Value::Null,
        );
    }
    let mut messages = Vec::new();
    for item in items {
        let field = item["media"]
            .as_str()
            .and_then(|media| media.strip_prefix("attach://"))
            .unwrap_or_default();
        let (own, rest) = files
            .into_iter()
            .partition(|file: &File| file.field == field);
        files = rest;
        let mut one = params.clone();
        one["media"] = item.clone();
        match send(
            shared,
            "sendmediagroup",
            item["caption"].as_str().unwrap_or_default(),
            one,
            own,
        ) {
            Ok(message) => messages.push(message),
            Err(No(code, words, parameters)) => return refusal(code, words, parameters),
        }
    }
    done(messages.into())
}

fn send(
    shared: &Arc<Shared>,
    method: &str,
    text: &str,
    params: Value,
    files: Vec<File>,
) -> Result<Value, No> {
    let Some(chat) = params["chat_id"].as_i64() else {
        return Err(No(400, "Bad Request: chat not found", Value::Null));
    };
    shared.change(|state| {
        if state.blocked.contains(&chat) {
            return Err(No(403, "Forbidden: bot was blocked by the user", Value::Null));
        }
        if let Some(new) = state.migrated.get(&chat) {
            let why = "Bad Request: group chat was upgraded to a supergroup chat";
            return Err(No(400, why, json!({"migrate_to_chat_id": new})));
        }
        let message_id = state.send(chat, method, text, params, files);
        Ok(json!({"message_id": message_id, "date": 1_790_000_000, "chat": chat_json(chat), "text": text}))
    })
}

fn edit(shared: &Arc<Shared>, params: &Value) -> Response {
    let text = params["text"].as_str().unwrap_or_default();
    let (chat, id) = (
        params["chat_id"].as_i64().unwrap_or_default(),
        params["message_id"].as_i64().unwrap_or_default(),
    );
    shared.change(|state| match state.message(chat, id) {
        None => refusal(400, "Bad Request: message to edit not found", Value::Null),
        Some(message) if message.text == text => {
            let why = "Bad Request: message is not modified: specified new message content and reply markup are exactly the same";
            refusal(400, why, Value::Null)
        }
        Some(message) => {
            message.before.push(std::mem::replace(&mut message.text, text.to_owned()));
            done(json!({"message_id": id, "date": 1_790_000_000, "chat": chat_json(chat), "text": text}))
        }
    })
}

fn delete(shared: &Arc<Shared>, params: &Value) -> Response {
    let (chat, id) = (
        params["chat_id"].as_i64().unwrap_or_default(),
        params["message_id"].as_i64().unwrap_or_default(),
    );
    shared.change(
        |state| match state.message(chat, id).filter(|message| !message.deleted) {
            None => refusal(400, "Bad Request: message to delete not found", Value::Null),
            Some(message) => {
                message.deleted = true;
                done(true.into())
            }
        },
    )
}

fn done(result: Value) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        json!({"ok": true, "result": result}).to_string(),
    )
        .into_response()
}
