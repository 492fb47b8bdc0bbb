//! Reads multipart forms: texts into parameters, files beside them.

use axum::body::Bytes;
use serde_json::{Map, Value};

use super::File;

/// Parameters and files of a form whose parts are parted by `boundary`; what is no JSON is a string.
pub(super) fn read(boundary: &str, body: &Bytes) -> (Value, Vec<File>) {
    let (mut params, mut files) = (Map::new(), Vec::new());
    let border = format!("--{boundary}");
    let mut at = find(body, border.as_bytes(), 0).map(|start| start + border.len());
    while let Some(start) = at {
        let Some(end) = find(body, border.as_bytes(), start) else {
            break;
        };
        at = Some(end + border.len());
        let part = body.slice(start..end);
        let Some(head_end) = find(&part, b"\r\n\r\n", 0) else {
            continue;
        };
        let head = String::from_utf8_lossy(&part[..head_end]).into_owned();
        let content = part.slice(head_end + 4..part.len().saturating_sub(2).max(head_end + 4));
        let Some(field) = quoted(&head, " name=\"") else {
            continue;
        };
        match quoted(&head, "filename=\"") {
            Some(name) => files.push(File {
                field,
                name,
                bytes: content,
            }),
            None => {
                let text = String::from_utf8_lossy(&content).into_owned();
                params.insert(
                    field,
                    serde_json::from_str(&text).unwrap_or(Value::String(text)),
                );
            }
        }
    }
    (Value::Object(params), files)
}

fn quoted(head: &str, before: &str) -> Option<String> {
    let (_, rest) = head.split_once(before)?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

fn find(body: &[u8], what: &[u8], from: usize) -> Option<usize> {
    body.get(from..)?
        .windows(what.len())
        .position(|window| window == what)
        .map(|at| at + from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_files_are_told_apart() {
        let body = "--x\r\nContent-Disposition: form-data; name=\"chat_id\"\r\n\r\n7\r\n\
                    --x\r\nContent-Disposition: form-data; name=\"file0\"; filename=\"a.txt\"\r\n\r\nhi\r\nyou\r\n--x--\r\n";
        let (params, files) = read("x", &Bytes::from_static(body.as_bytes()));
        assert_eq!(params["chat_id"], 7);
        assert_eq!(
            (files[0].name.as_str(), &files[0].bytes[..]),
            ("a.txt", &b"hi\r\nyou"[..])
        );
    }
}
