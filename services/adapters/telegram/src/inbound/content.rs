//! What a message holds besides its text: files, places, people, and things that have no field of their own.

use proto::v1::{Attachment, Contact, Location, Part, PartKind};
use serde_json::Value;

use super::{
    fields::{cut, flag, id, integer, list, name, narrow, object, size, text},
    rich,
};

/// Longest text that is passed on, in bytes. Telegram's own limits (4096 characters, 32 768 in a rich message) stay
/// below it; a longer one is cut so that the message still fits on the bus.
const MAX_TEXT_BYTES: usize = 256 * 1024;
/// Longest JSON that is passed on in `extra_json`, in bytes; a longer one is left out (it stands in `raw`).
const MAX_EXTRA_BYTES: usize = 32 * 1024;
/// Most parts of one message; an album is several messages, so only paid media and rich messages have many.
const MAX_PARTS: usize = 50;

/// Kinds of content that are one file. `animation` also sets `document`.
const FILES: [(&str, PartKind); 7] = [
    ("animation", PartKind::Video),
    ("video", PartKind::Video),
    ("video_note", PartKind::Video),
    ("audio", PartKind::Audio),
    ("voice", PartKind::Voice),
    ("document", PartKind::Document),
    ("sticker", PartKind::Sticker),
];

/// Kinds of content that a person made but that no field describes: kept as JSON, with a text where they have one.
const OTHERS: [(&str, PartKind); 12] = [
    ("poll", PartKind::Interactive),
    ("checklist", PartKind::Interactive),
    ("game", PartKind::Interactive),
    ("web_app_data", PartKind::Interactive),
    ("dice", PartKind::Embed),
    ("story", PartKind::Embed),
    ("invoice", PartKind::Embed),
    ("giveaway", PartKind::Embed),
    ("giveaway_winners", PartKind::Embed),
    ("external_reply", PartKind::Embed),
    ("reply_to_story", PartKind::Embed),
    ("suggested_post_info", PartKind::Embed),
];

/// The parts of a message in reading order; none for a service message.
pub(super) fn parts(message: &Value) -> Vec<Part> {
    let mut parts = Vec::new();
    let words = cut(text(message, "text"), MAX_TEXT_BYTES);
    if !words.is_empty() {
        parts.push(words_part(words));
    }
    if let Some(rich_message) = object(message, "rich_message") {
        parts.push(Part {
            extra_json: extra(rich_message),
            ..words_part(cut(&rich::flatten(rich_message), MAX_TEXT_BYTES))
        });
        rich::media(rich_message, &mut |block| files(block, &mut parts));
    }
    files(message, &mut parts);
    for paid in list(&message["paid_media"], "paid_media") {
        let known = parts.len();
        files(paid, &mut parts);
        if parts.len() == known {
            parts.push(Part {
                kind: PartKind::Embed.into(),
                extra_json: extra(paid),
                ..Part::default()
            });
        }
    }
    parts.extend(place(message));
    parts.extend(person(message));
    for (key, kind) in OTHERS {
        if let Some(content) = object(message, key) {
            parts.push(Part {
                kind: kind.into(),
                text: summary(key, content),
                extra_json: extra(content),
                ..Part::default()
            });
        }
    }
    parts.truncate(MAX_PARTS);
    let caption = cut(text(message, "caption"), MAX_TEXT_BYTES);
    match parts.first_mut() {
        Some(first) if first.text.is_empty() => first.text = caption.to_owned(),
        _ if caption.is_empty() => {}
        _ => parts.push(words_part(caption)),
    }
    parts
}

fn words_part(words: &str) -> Part {
    Part {
        kind: PartKind::Text.into(),
        text: words.to_owned(),
        ..Part::default()
    }
}

/// The JSON of `content`, or nothing if there is too much of it.
fn extra(content: &Value) -> String {
    let json = content.to_string();
    if json.len() <= MAX_EXTRA_BYTES {
        json
    } else {
        String::new()
    }
}

/// Adds the files of `holder`, a message or a block of one.
fn files(holder: &Value, parts: &mut Vec<Part>) {
    if let Some(photo) = largest(list(holder, "photo")) {
        parts.push(file(PartKind::Image, photo));
    }
    if let Some(live) = object(holder, "live_photo") {
        let still = largest(list(live, "photo"));
        let kind = if still.is_some() {
            PartKind::Image
        } else {
            PartKind::Video
        };
        parts.push(Part {
            extra_json: extra(live),
            ..file(kind, still.unwrap_or(live))
        });
    }
    if let Some(voice) = object(holder, "voice_note") {
        parts.push(file(PartKind::Voice, voice));
    }
    for (key, kind) in FILES {
        let repeated = key == "document" && holder.get("animation").is_some();
        if let Some(content) = object(holder, key).filter(|_| !repeated) {
            parts.push(file(kind, content));
        }
    }
}

/// The largest of the sizes in which a photo is offered.
fn largest(sizes: &[Value]) -> Option<&Value> {
    let area = |photo: &&Value| size(photo, "width").saturating_mul(size(photo, "height"));
    sizes
        .iter()
        .filter(|photo| photo.is_object())
        .max_by_key(|photo| (area(photo), size(photo, "file_size")))
}

fn file(kind: PartKind, content: &Value) -> Part {
    let mime = match text(content, "mime_type") {
        "" => implied_mime(kind, content),
        stated => stated,
    };
    let attachment = Attachment {
        platform_id: id(content, "file_id"),
        size_bytes: size(content, "file_size"),
        claimed_mime: mime.to_owned(),
        file_name: name(content, "file_name"),
        width: narrow(content, "width").max(narrow(content, "length")),
        height: narrow(content, "height").max(narrow(content, "length")),
        duration_s: narrow(content, "duration"),
        emoji: name(content, "emoji"),
        missing: if id(content, "file_id").is_empty() {
            "no file id".into()
        } else {
            String::new()
        },
        ..Attachment::default()
    };
    Part {
        kind: kind.into(),
        attachment: Some(attachment),
        ..Part::default()
    }
}

/// The type of files for which Telegram states none.
fn implied_mime(kind: PartKind, content: &Value) -> &'static str {
    match kind {
        PartKind::Image => "image/jpeg",
        PartKind::Sticker if flag(content, "is_animated") => "application/x-tgsticker",
        PartKind::Sticker if flag(content, "is_video") => "video/webm",
        PartKind::Sticker => "image/webp",
        _ => "",
    }
}

/// A venue, or else a location. A venue also sets `location`.
fn place(message: &Value) -> Option<Part> {
    let venue = &message["venue"];
    let spot = object(venue, "location").or_else(|| object(message, "location"))?;
    let location = Location {
        latitude: spot["latitude"].as_f64().unwrap_or_default(),
        longitude: spot["longitude"].as_f64().unwrap_or_default(),
        accuracy_m: spot["horizontal_accuracy"].as_f64().unwrap_or_default(),
        title: name(venue, "title"),
        street: name(venue, "address"),
        live_s: narrow(spot, "live_period"),
    };
    Some(Part {
        kind: PartKind::Location.into(),
        location: Some(location),
        ..Part::default()
    })
}

fn person(message: &Value) -> Option<Part> {
    let shared = object(message, "contact")?;
    let contact = Contact {
        phone: name(shared, "phone_number"),
        first_name: name(shared, "first_name"),
        last_name: name(shared, "last_name"),
        user_id: id(shared, "user_id"),
        vcard: cut(text(shared, "vcard"), MAX_EXTRA_BYTES).to_owned(),
    };
    Some(Part {
        kind: PartKind::Contact.into(),
        contact: Some(contact),
        ..Part::default()
    })
}

/// What can be read of content that has no field of its own.
fn summary(key: &str, content: &Value) -> String {
    let lines = |title: &str, entries: &str| {
        let entries = list(content, entries)
            .iter()
            .map(|entry| format!("- {}", name(entry, "text")));
        [name(content, title)]
            .into_iter()
            .chain(entries)
            .collect::<Vec<_>>()
            .join("\n")
    };
    match key {
        "poll" => lines("question", "options"),
        "checklist" => lines("title", "tasks"),
        "dice" => format!("{} {}", name(content, "emoji"), integer(content, "value")),
        "game" | "invoice" => name(content, "title"),
        "web_app_data" => cut(text(content, "data"), MAX_EXTRA_BYTES).to_owned(),
        _ => String::new(),
    }
}
