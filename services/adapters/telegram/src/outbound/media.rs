//! Files: one by its own method, several as an album; stored ones are sent along, others named.

use adapter::{Error, Rich};
use proto::v1::{Attachment, PartKind};
use serde_json::{Map, Value, json};

use super::{Request, Target, entities, reply};

/// Largest file that a bot may send, in bytes. Source: Bot API, "Sending files".
const MAX_FILE_BYTES: u64 = 50 * 1024 * 1024;
/// Largest picture that may be sent as a picture; larger ones go as documents. Same source.
const MAX_PHOTO_BYTES: u64 = 10 * 1024 * 1024;
/// Most files of an album. Source: Bot API, sendMediaGroup.
pub(crate) const MAX_ALBUM: usize = 10;

/// The request that sends `files` to `target`.
pub(super) fn request(
    target: &Target,
    kind: PartKind,
    files: &[Attachment],
    caption: &Rich,
    reply_to: Option<&str>,
) -> Result<Request, Error> {
    let mut along = Vec::new();
    let mut params = Map::new();
    params.insert("chat_id".into(), json!(target.chat));
    if let Some(reply) = reply(reply_to)? {
        params.insert("reply_parameters".into(), json!(reply));
    }
    let method = match files {
        [] => return Err(Error::Rejected("no file to send".into())),
        [file] => {
            let kind = sendable(kind, file)?;
            let (method, field) = method(kind);
            params.insert(field.into(), source(file, &mut along)?);
            if kind != PartKind::Sticker {
                describe(&mut params, caption);
            }
            method
        }
        [_, .., _] if files.len() > MAX_ALBUM => {
            return Err(Error::Rejected(format!(
                "{} files are more than an album holds",
                files.len()
            )));
        }
        album => {
            let kind = album.iter().try_fold(kind, sendable)?;
            let mut media = Vec::new();
            for (n, file) in album.iter().enumerate() {
                let mut item = Map::new();
                item.insert("type".into(), album_type(kind)?.into());
                item.insert("media".into(), source(file, &mut along)?);
                if n == 0 {
                    describe(&mut item, caption);
                }
                media.push(Value::Object(item));
            }
            params.insert("media".into(), Value::Array(media));
            "sendMediaGroup"
        }
    };
    Ok(target.aim(Request {
        method,
        params: Value::Object(params),
        files: along,
    }))
}

/// As what a file can be sent: a picture that is too large is a document.
fn sendable(kind: PartKind, file: &Attachment) -> Result<PartKind, Error> {
    if file.size_bytes > MAX_FILE_BYTES && !file.sha256.is_empty() {
        return Err(Error::Rejected(format!(
            "a file of {} bytes is larger than Telegram takes from a bot",
            file.size_bytes
        )));
    }
    Ok(match kind {
        PartKind::Image if file.size_bytes > MAX_PHOTO_BYTES => PartKind::Document,
        PartKind::Image
        | PartKind::Video
        | PartKind::Audio
        | PartKind::Voice
        | PartKind::Sticker => kind,
        _ => PartKind::Document,
    })
}

/// Method and parameter for one file.
fn method(kind: PartKind) -> (&'static str, &'static str) {
    match kind {
        PartKind::Image => ("sendPhoto", "photo"),
        PartKind::Video => ("sendVideo", "video"),
        PartKind::Audio => ("sendAudio", "audio"),
        PartKind::Voice => ("sendVoice", "voice"),
        PartKind::Sticker => ("sendSticker", "sticker"),
        _ => ("sendDocument", "document"),
    }
}

/// Type of an album's item.
fn album_type(kind: PartKind) -> Result<&'static str, Error> {
    match kind {
        PartKind::Image => Ok("photo"),
        PartKind::Video => Ok("video"),
        PartKind::Audio => Ok("audio"),
        PartKind::Document => Ok("document"),
        _ => Err(Error::Rejected(
            "voice notes and stickers make no album on Telegram".into(),
        )),
    }
}

/// How a request names a file: stored and sent along, on the web, or known to Telegram.
fn source(file: &Attachment, along: &mut Vec<(String, Attachment)>) -> Result<Value, Error> {
    if !file.sha256.is_empty() {
        let name = format!("file{}", along.len());
        along.push((name.clone(), file.clone()));
        return Ok(json!(format!("attach://{name}")));
    }
    let known = [&file.url, &file.platform_id]
        .into_iter()
        .find(|name| !name.is_empty());
    known
        .map(|name| json!(name))
        .ok_or_else(|| Error::Rejected("the file is neither stored nor on the web".into()))
}

fn describe(params: &mut Map<String, Value>, caption: &Rich) {
    if !caption.is_empty() {
        params.insert("caption".into(), json!(caption.text));
        if let Some(entities) = entities::of(caption) {
            params.insert("caption_entities".into(), json!(entities));
        }
    }
}
