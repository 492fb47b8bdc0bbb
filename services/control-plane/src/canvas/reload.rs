//! Tells open pages that a file has changed: the folder is looked at while somebody listens, and only then.

use std::{convert::Infallible, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;

use super::folder::Folder;

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How often a page that has nothing to hear hears something, so that nobody between takes it for dead.
const BREATH: Duration = Duration::from_secs(25);
/// Pages that listen at once.
const MOST: usize = 64;

/// Counts the changes of the folder.
#[derive(Debug)]
pub(super) struct Reload(watch::Sender<u64>);

impl Default for Reload {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Reload {
    /// Looks at the folder for ever.
    pub(super) async fn watch(&self, folder: &Folder) {
        let mut before = None;
        loop {
            tokio::time::sleep(LOOK).await;
            if self.0.receiver_count() == 0 {
                before = None;
                continue;
            }
            let folder = folder.clone();
            let Ok(now) = tokio::task::spawn_blocking(move || folder.state()).await else {
                continue;
            };
            if before.is_some_and(|before| before != now) {
                self.0.send_modify(|count| *count += 1);
            }
            before = Some(now);
        }
    }

    /// What a page that listens is sent; `None` where too many listen.
    pub(super) fn listen(&self) -> Option<Body> {
        if self.0.receiver_count() >= MOST {
            return None;
        }
        let changes = self.0.subscribe();
        let hello = Some(Bytes::from_static(b"retry: 2000\n\n"));
        let told = stream::unfold((changes, hello), |(mut changes, hello)| async move {
            if let Some(hello) = hello {
                return Some((Ok::<_, Infallible>(hello), (changes, None)));
            }
            let text: &'static [u8] = match tokio::time::timeout(BREATH, changes.changed()).await {
                Ok(Ok(())) => b"event: reload\ndata: {}\n\n",
                Ok(Err(_)) => return None,
                Err(_) => b": \n\n",
            };
            Some((Ok(Bytes::from_static(text)), (changes, None)))
        });
        Some(Body::from_stream(told))
    }
}
