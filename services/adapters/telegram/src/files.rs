//! Fetches the files of a message into the media store, before the message is accepted.

use std::time::Duration;

use adapter::media::{self, MediaStore};
use proto::v1::{Attachment, Inbound, inbound::Body};
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::{
    api::{Api, Failure},
    outbound::Request,
};

/// How often a file is asked for.
const ATTEMPTS: u32 = 3;
/// First pause between two attempts; doubled each time.
const PAUSE: Duration = Duration::from_millis(300);

/// Within what a file must be fetched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Largest file, in bytes.
    pub(crate) max_bytes: u64,
    /// Longest time for one file, with all attempts.
    pub(crate) patience: Duration,
}

/// Fetches what `inbound` has attached. Where that fails, the attachment says why; the message is never lost for it.
pub(crate) async fn fetch(api: &Api, store: &MediaStore, limits: Limits, inbound: &mut Inbound) {
    let said = match &mut inbound.body {
        Some(Body::Said(said)) => said,
        Some(Body::Edited(edited)) => edited.now.get_or_insert_default(),
        _ => return,
    };
    let attachments = said
        .parts
        .iter_mut()
        .filter_map(|part| part.attachment.as_mut());
    for attachment in attachments.filter(|attachment| attachment.missing.is_empty()) {
        let stored = match timeout(
            limits.patience,
            stored(api, store, limits.max_bytes, attachment),
        )
        .await
        {
            Ok(stored) => stored,
            Err(_) => Err(format!(
                "not fetched within {} s",
                limits.patience.as_secs()
            )),
        };
        match stored {
            Ok(stored) => {
                attachment.sha256 = stored.sha256;
                attachment.size_bytes = stored.size_bytes;
                attachment.mime = stored.mime;
            }
            Err(why) => {
                metrics::counter!("openclaw_telegram_files_missing_total").increment(1);
                debug!(why, "file of update `{}` not fetched", inbound.dedupe_key);
                attachment.missing = why;
            }
        }
    }
}

/// Fetches one file, some attempts long, unless it is known beforehand to be too large.
async fn stored(
    api: &Api,
    store: &MediaStore,
    max_bytes: u64,
    attachment: &Attachment,
) -> Result<media::Stored, String> {
    let max_bytes = max_bytes.min(store.max_bytes());
    if attachment.size_bytes > max_bytes {
        return Err(format!("too large: more than {max_bytes} bytes"));
    }
    let mut pause = PAUSE;
    let mut attempt = 1;
    loop {
        let (why, wait) = match once(api, store, max_bytes, &attachment.platform_id).await {
            Ok(stored) => return Ok(stored),
            Err(failed) => failed,
        };
        let Some(wait) = wait.filter(|_| attempt < ATTEMPTS) else {
            return Err(why);
        };
        sleep(wait.max(pause)).await;
        attempt += 1;
        pause *= 2;
    }
}

/// One attempt. What failed comes with the pause before another attempt, or without one if that would fail too.
async fn once(
    api: &Api,
    store: &MediaStore,
    max_bytes: u64,
    file_id: &str,
) -> Result<media::Stored, (String, Option<Duration>)> {
    let request = Request {
        method: "getFile",
        params: json!({"file_id": file_id}),
        files: Vec::new(),
    };
    let file = api.call(request).await.map_err(refused)?;
    let path = file["file_path"].as_str().unwrap_or_default();
    if !is_relative(path) {
        // A local server may name a file of its own machine, which is not ours to read.
        return Err(("Telegram named no path that can be fetched".into(), None));
    }
    let again = Some(Duration::ZERO);
    let bytes = api.download(path).await.map_err(|why| (why, again))?;
    store
        .put(bytes, max_bytes)
        .await
        .map_err(|error| match error {
            media::Error::TooLarge(_) => (error.to_string(), None),
            media::Error::Source(_) | media::Error::Disk(_) => (error.to_string(), again),
        })
}

fn refused(failure: Failure) -> (String, Option<Duration>) {
    match failure {
        Failure::Refused(refusal) if refusal.description.contains("too big") => {
            ("too large for a bot".into(), None)
        }
        Failure::Refused(refusal) => {
            let wait = refusal.retry_after.unwrap_or_default();
            let passing = refusal.code == 429 || refusal.code >= 500;
            (
                format!("{} {}", refusal.code, refusal.description),
                passing.then_some(wait),
            )
        }
        Failure::Silent(error) => (error.to_string(), Some(Duration::ZERO)),
    }
}

/// Whether a path stays below the server's folder of files.
fn is_relative(path: &str) -> bool {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-' | b'.');
    !path.is_empty()
        && !path.starts_with('/')
        && path.bytes().all(plain)
        && path.split('/').all(|part| part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_below_the_servers_folder_are_fetched() {
        assert!(is_relative("photos/file_12.jpg"));
        for path in [
            "",
            "/etc/passwd",
            "photos/../../x",
            "..",
            "a?b=c",
            "a#b",
            "a b",
            "http://x",
        ] {
            assert!(!is_relative(path), "{path}");
        }
    }
}
