//! Why the ledger did not do as asked, by what the caller can do about it.

use std::path::Path;

/// Why the ledger did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be used as it is: a person must act, and the text says how.
    #[error("{0}")]
    Unusable(String),
    /// The database failed: nothing was written or read, and the same call may be repeated.
    #[error("ledger database failed")]
    Database(#[from] sqlx::Error),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] bus::Error),
}

impl Error {
    /// Why the file at `path` could not be opened, in words for who runs the gateway.
    pub(crate) fn opening(path: &Path, error: sqlx::Error) -> Self {
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<u32>().ok());
        let (path, denied) = (path.display(), matches!(error, sqlx::Error::Io(_)));
        let unwritable = || {
            format!(
                "the ledger's file `{path}` cannot be opened for writing ({error}): check who owns it and its folder, \
                 or point the setting ledger.path elsewhere"
            )
        };
        // The low byte is SQLite's primary result code: https://sqlite.org/rescode.html (read 2026-11-20).
        Self::Unusable(match code.map(|code| code & 0xff) {
            Some(5 | 6) => format!(
                "the ledger's file `{path}` is locked by another program: end that one (another gateway, a backup, \
                 an open sqlite3 shell), or give this ledger its own file with the setting ledger.path"
            ),
            Some(11 | 26) => format!(
                "the ledger's file `{path}` is damaged or no SQLite database: stop the gateway, move the file and those \
                 beside it (-wal, -shm) away, restore a backup if there is one, and start again; what the EVENT stream \
                 still holds is then written down anew"
            ),
            Some(13) => format!(
                "the disk of the ledger's file `{path}` is full: make room, then start again"
            ),
            Some(8 | 14) => unwritable(),
            None if denied => unwritable(),
            _ => format!("the ledger's file `{path}` cannot be opened: {error}"),
        })
    }
}
