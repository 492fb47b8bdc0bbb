//! Files under the hash of their bytes: written once, whole or not at all.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use proto::v1::Attachment;
use sha2::{Digest, Sha256};
use tokio::{
    fs::{self, File},
    io::AsyncWriteExt,
};

use crate::BoxError;

/// How many of the first bytes are looked at to find the type.
const SNIFFED_BYTES: usize = 8 * 1024;
/// Tells apart the temporary files of one process.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// A folder of files, each at `<2 hex>/<2 hex>/<64 hex>` of its sha256.
///
/// Several processes may share one folder: a file appears whole, by renaming, and its name says what is in it.
#[derive(Clone, Debug)]
pub struct MediaStore {
    dir: PathBuf,
    max_bytes: u64,
}

/// A stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Length.
    pub size_bytes: u64,
    /// Type found by looking at the bytes; "application/octet-stream" where they say nothing.
    pub mime: String,
}

/// Why a file was not stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More bytes than allowed; nothing was kept.
    #[error("too large: more than {0} bytes")]
    TooLarge(u64),
    /// Where it came from broke off; ask there again.
    #[error("the source broke off")]
    Source(#[source] BoxError),
    /// The disk refused.
    #[error("the media folder cannot be used")]
    Disk(#[from] io::Error),
}

impl MediaStore {
    /// A store in `dir`, which is made when the first file comes. No file may have more than `max_bytes`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, max_bytes: u64) -> Self {
        Self { dir: dir.into(), max_bytes }
    }

    /// Most bytes of one file.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Keeps what `source` brings, up to `max_bytes` or the store's own limit, whichever is less.
    ///
    /// The bytes are on the disk when it returns. The same bytes are stored once.
    ///
    /// # Errors
    /// Nothing was kept; [`Error::Source`] and [`Error::Disk`] may be tried again.
    pub async fn put<S, E>(&self, source: S, max_bytes: u64) -> Result<Stored, Error>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<BoxError>,
    {
        let max_bytes = max_bytes.min(self.max_bytes);
        let temporary = self.temporary();
        let dir = temporary.parent().unwrap_or(&self.dir);
        fs::create_dir_all(dir).await?;
        let written = write(&temporary, source, max_bytes).await;
        let kept = match written {
            Ok(stored) => self.keep(&temporary, &stored.sha256).await.map(|()| stored).map_err(Error::Disk),
            Err(error) => Err(error),
        };
        if kept.is_err() {
            // It may not be there; what is left is swept by no one, so it is at least tried.
            let _ = fs::remove_file(&temporary).await;
        }
        kept
    }

    /// Opens a stored file for reading.
    ///
    /// # Errors
    /// `NotFound` where there is none, or where `sha256` is no hash.
    pub async fn open(&self, sha256: &str) -> io::Result<File> {
        let path = self.path(sha256).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        File::open(path).await
    }

    /// Where a file of this hash lies, if it is stored; `None` where `sha256` is no hash.
    #[must_use]
    pub fn path(&self, sha256: &str) -> Option<PathBuf> {
        let hash = sha256.len() == 64 && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        hash.then(|| self.dir.join(&sha256[..2]).join(&sha256[2..4]).join(sha256))
    }

    async fn keep(&self, temporary: &Path, sha256: &str) -> io::Result<()> {
        let path = self.path(sha256).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let parent = path.parent().unwrap_or(&self.dir).to_owned();
        fs::create_dir_all(&parent).await?;
        fs::rename(temporary, path).await?;
        // The name is on the disk only once its folder is.
        File::open(parent).await?.sync_all().await
    }

    fn temporary(&self) -> PathBuf {
        let n = WRITES.fetch_add(1, Ordering::Relaxed);
        self.dir.join("tmp").join(format!("{}-{n}", std::process::id()))
    }
}

impl Stored {
    /// The attachment that names this file; what the platform claims about it is the adapter's to add.
    #[must_use]
    pub fn attachment(self) -> Attachment {
        Attachment { sha256: self.sha256, size_bytes: self.size_bytes, mime: self.mime, ..Attachment::default() }
    }
}

async fn write<S, E>(path: &Path, source: S, max_bytes: u64) -> Result<Stored, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    let mut file = File::create(path).await?;
    let mut hash = Sha256::new();
    let mut head = Vec::new();
    let mut size_bytes = 0_u64;
    let mut source = std::pin::pin!(source);
    while let Some(bytes) = source.next().await {
        let bytes = bytes.map_err(|error| Error::Source(error.into()))?;
        size_bytes = size_bytes.saturating_add(bytes.len() as u64);
        if size_bytes > max_bytes {
            return Err(Error::TooLarge(max_bytes));
        }
        let wanted = SNIFFED_BYTES.saturating_sub(head.len()).min(bytes.len());
        head.extend_from_slice(&bytes[..wanted]);
        hash.update(&bytes);
        file.write_all(&bytes).await?;
    }
    file.flush().await?;
    file.sync_all().await?;
    Ok(Stored { sha256: hex(&hash.finalize()), size_bytes, mime: mime(&head).to_owned() })
}

fn mime(head: &[u8]) -> &'static str {
    match infer::get(head) {
        Some(kind) => kind.mime_type(),
        // The head may end in the middle of a character.
        None if !head.is_empty() && !head.contains(&0) => match std::str::from_utf8(head) {
            Ok(_) => "text/plain",
            Err(error) if error.error_len().is_none() => "text/plain",
            Err(_) => "application/octet-stream",
        },
        None => "application/octet-stream",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String can always be written to");
        text
    })
}
