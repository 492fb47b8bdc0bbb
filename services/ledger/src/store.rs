//! The ledger's SQLite file: how it is opened and brought up to date.

use std::{fs::OpenOptions, path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub(crate) use keep::Keeper;
pub(crate) use keep::Open;
pub use read::Reader;
pub use write::{Position, Writer};

use crate::Error;

mod journeys;
mod keep;
mod managed;
mod outcome;
mod read;
mod rows;
mod trace;
mod usage;
mod write;

/// What brings a file from version n to n + 1; each sets `user_version` itself.
const MIGRATIONS: [&str; 3] = [
    include_str!("../migrations/0001.sql"),
    include_str!("../migrations/0002.sql"),
    include_str!("../migrations/0003.sql"),
];

/// How long a lock of another program is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// How many questions are answered at once; more wait.
const READERS: u32 = 4;

/// Opens the file at `path`, made now if there is none, for one writer and some readers.
///
/// # Errors
/// [`Error::Unusable`] with what to do, if the file or its folder cannot be used.
pub async fn open(path: &Path) -> Result<(Writer, Reader), Error> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if !folder.is_dir() {
        let folder = folder.display();
        return Err(Error::Unusable(format!(
            "the ledger's folder `{folder}` does not exist: create it, or point the setting ledger.path elsewhere"
        )));
    }
    make_private(path).map_err(|error| Error::opening(path, error.into()))?;
    let options = options(path);
    let mut connection = options
        .connect()
        .await
        .map_err(|error| Error::opening(path, error))?;
    migrate(path, &mut connection).await?;
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_lazy_with(options.read_only(true));
    Ok((Writer::new(connection), Reader::new(pool)))
}

/// A further connection to a file that [`open`] has opened.
pub(crate) async fn keeper(path: &Path) -> Result<Keeper, Error> {
    let connection = options(path)
        .connect()
        .await
        .map_err(|error| Error::opening(path, error))?;
    Ok(Keeper::new(connection))
}

fn options(path: &Path) -> SqliteConnectOptions {
    // A synced stream can tell again whatever a power cut takes from a write-ahead log that is not synced.
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(PATIENCE)
}

/// Makes the file, if there is none, so that nobody but its owner can read what people said.
fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.append(true).create(true).open(path).map(drop)
}

/// Brings the schema up to date; a process that is killed meanwhile leaves the old or the new one, nothing between.
async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), Error> {
    let opening = |error| Error::opening(path, error);
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(opening)?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await
        .map_err(opening)?;
    let Some(missing) = usize::try_from(version)
        .ok()
        .and_then(|version| MIGRATIONS.get(version..))
    else {
        return Err(Error::Unusable(format!(
            "the ledger's file `{}` has the schema {version}, and this program knows {}: install the newer version \
             again, or point the setting ledger.path elsewhere",
            path.display(),
            MIGRATIONS.len()
        )));
    };
    for migration in missing {
        sqlx::raw_sql(*migration)
            .execute(&mut *transaction)
            .await
            .map_err(opening)?;
    }
    transaction.commit().await.map_err(opening)
}

#[cfg(test)]
mod tests;
