//! Files under the hash of their bytes: written once, whole or not at all.

use std::{
    hash::{BuildHasher, RandomState},
    io,
    path::{Path, PathBuf},
    time::Duration,
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

/// Where files grow before they get their name.
const TEMPORARY: &str = "tmp";
/// How many of the first bytes are looked at to find the type.
const SNIFFED_BYTES: usize = 8 * 1024;
/// A temporary file that was not touched for so long was left by a crash.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

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
        Self {
            dir: dir.into(),
            max_bytes,
        }
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
        let folder = self.dir.join(TEMPORARY);
        fs::create_dir_all(&folder).await?;
        let temporary = folder.join(format!(
            "{:016x}",
            RandomState::new().hash_one(std::process::id())
        ));
        let kept = match write(&temporary, source, max_bytes).await {
            Ok(stored) => self
                .keep(&temporary, &stored.sha256)
                .await
                .map(|()| stored)
                .map_err(Error::Disk),
            Err(error) => Err(error),
        };
        if kept.is_err() {
            // It may not even be there; what is left is swept later.
            let _ = fs::remove_file(&temporary).await;
        }
        kept
    }

    /// Removes what crashes have left half written; how many files that were.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn sweep(&self) -> io::Result<usize> {
        let mut files = match fs::read_dir(self.dir.join(TEMPORARY)).await {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            files => files?,
        };
        let mut swept = 0;
        while let Some(file) = files.next_entry().await? {
            let touched = file.metadata().await.and_then(|about| about.modified());
            let old = touched.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED));
            swept += usize::from(old && fs::remove_file(file.path()).await.is_ok());
        }
        Ok(swept)
    }

    /// Opens a stored file for reading.
    ///
    /// # Errors
    /// `NotFound` where there is none, or where `sha256` is no hash.
    pub async fn open(&self, sha256: &str) -> io::Result<File> {
        let path = self
            .path(sha256)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        File::open(path).await
    }

    /// Where a file of this hash lies, if it is stored; `None` where `sha256` is no hash.
    #[must_use]
    pub fn path(&self, sha256: &str) -> Option<PathBuf> {
        let hash = sha256.len() == 64
            && sha256
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        hash.then(|| self.dir.join(&sha256[..2]).join(&sha256[2..4]).join(sha256))
    }

    async fn keep(&self, temporary: &Path, sha256: &str) -> io::Result<()> {
        let path = self
            .path(sha256)
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let parent = path.parent().unwrap_or(&self.dir).to_owned();
        fs::create_dir_all(&parent).await?;
        fs::rename(temporary, path).await?;
        // The name is on the disk only once its folder is.
        File::open(parent).await?.sync_all().await
    }
}

impl Stored {
    /// The attachment that names this file; what the platform claims about it is the adapter's to add.
    #[must_use]
    pub fn attachment(self) -> Attachment {
        Attachment {
            sha256: self.sha256,
            size_bytes: self.size_bytes,
            mime: self.mime,
            ..Attachment::default()
        }
    }
}

async fn write<S, E>(path: &Path, source: S, max_bytes: u64) -> Result<Stored, Error>
where
    S: Stream<Item = Result<Bytes, E>>,
    E: Into<BoxError>,
{
    let mut file = File::create_new(path).await?;
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
    Ok(Stored {
        sha256: hex(&hash.finalize()),
        size_bytes,
        mime: mime(&head).to_owned(),
    })
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
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String can always be written to");
            text
        })
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use tokio::io::AsyncReadExt;

    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

    fn source(parts: &[&[u8]]) -> impl Stream<Item = Result<Bytes, io::Error>> + use<> {
        stream::iter(
            parts
                .iter()
                .map(|part| Ok(Bytes::copy_from_slice(part)))
                .collect::<Vec<_>>(),
        )
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => found.extend(files(&path)),
                path => found.push(path),
            }
        }
        found
    }

    #[tokio::test]
    async fn a_file_is_kept_once_under_its_hash_with_the_type_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let store = MediaStore::new(dir.path(), 1000);
        let first = store
            .put(source(&[&PNG[..4], &PNG[4..]]), 1000)
            .await
            .unwrap();
        let again = store.put(source(&[PNG]), 1000).await.unwrap();
        assert_eq!(first, again);
        assert_eq!(
            (first.mime.as_str(), first.size_bytes),
            ("image/png", PNG.len() as u64)
        );
        assert_eq!(files(dir.path()), [store.path(&first.sha256).unwrap()]);
        let mut bytes = Vec::new();
        store
            .open(&first.sha256)
            .await
            .unwrap()
            .read_to_end(&mut bytes)
            .await
            .unwrap();
        assert_eq!(bytes, PNG);
    }

    #[tokio::test]
    async fn what_is_too_large_or_broken_off_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let store = MediaStore::new(dir.path(), 10);
        assert!(matches!(
            store.put(source(&[&[0; 6], &[0; 6]]), u64::MAX).await,
            Err(Error::TooLarge(10))
        ));
        let broken = stream::iter([
            Ok(Bytes::from_static(b"half")),
            Err(io::Error::other("gone")),
        ]);
        assert!(matches!(store.put(broken, 10).await, Err(Error::Source(_))));
        assert_eq!(files(dir.path()), Vec::<PathBuf>::new());
    }

    #[tokio::test]
    async fn a_name_that_is_no_hash_opens_nothing() {
        let store = MediaStore::new("/", 10);
        assert_eq!(store.path("../../etc/passwd"), None);
        assert_eq!(
            store.open(&"A".repeat(64)).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[tokio::test]
    async fn only_what_is_old_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let store = MediaStore::new(dir.path(), 10);
        assert_eq!(store.sweep().await.unwrap(), 0);
        let tmp = dir.path().join(TEMPORARY);
        std::fs::create_dir(&tmp).unwrap();
        std::fs::write(tmp.join("young"), "").unwrap();
        let old = std::fs::File::create(tmp.join("old")).unwrap();
        old.set_modified(std::time::SystemTime::now() - ABANDONED * 2)
            .unwrap();
        assert_eq!(store.sweep().await.unwrap(), 1);
        assert_eq!(files(dir.path()), [tmp.join("young")]);
    }

    #[test]
    fn a_text_is_a_text_even_if_its_head_ends_within_a_character() {
        assert_eq!(mime("grüß".as_bytes()), "text/plain");
        assert_eq!(mime(&"ü".as_bytes()[..1]), "text/plain");
        assert_eq!(mime(b"\xff\xfe\xfa"), "application/octet-stream");
        assert_eq!(mime(b""), "application/octet-stream");
    }
}
