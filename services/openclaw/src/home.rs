//! The folder that holds everything a gateway keeps: one folder, one gateway.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use chassis::Secret;
use uuid::Uuid;

/// Folder in the user's home where a gateway keeps its data unless told otherwise.
const DEFAULT: &str = ".openclaw-gateway";

/// The environment variable that names another folder.
pub(crate) const VARIABLE: &str = "OPENCLAW_HOME";

/// A gateway's data folder. Making the value touches no disk.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
}

/// Proof that no other gateway uses the folder, while it lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the system unlocks when it is closed")] File);

impl Home {
    /// The folder `chosen`, or the one that the environment names, or the usual one.
    ///
    /// # Errors
    /// When nobody says where and the user has no home.
    pub fn at(chosen: Option<PathBuf>) -> anyhow::Result<Self> {
        let named = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let folder = match chosen.or(named.map(PathBuf::from)) {
            Some(folder) => std::path::absolute(folder).context("data folder")?,
            None => std::env::home_dir()
                .filter(|home| home.is_absolute())
                .with_context(|| format!("no home folder: name a data folder with {VARIABLE}"))?
                .join(DEFAULT),
        };
        Ok(Self { folder })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `path` in the folder; an absolute path stays as it is.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.folder.join(path)
    }

    /// Makes the folder and the folder `part` in it, readable for the user alone.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn make(&self, part: &str) -> anyhow::Result<PathBuf> {
        let folder = self.join(part);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder
            .create(&folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(folder)
    }

    /// Takes the folder for this process.
    ///
    /// # Errors
    /// When another gateway has it: the text says which, and what to do.
    pub fn lock(&self) -> anyhow::Result<Lock> {
        self.make("")?;
        let path = self.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&path).unwrap_or_default();
                let holder = holder.trim();
                bail!(
                    "another gateway (process {holder}) uses {}; stop it with `kill {holder}`, or give \
                     this one a folder of its own: `openclaw gateway --data <folder>`",
                    self.folder.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
        file.set_len(0)?;
        file.write_all(std::process::id().to_string().as_bytes())?;
        Ok(Lock(file))
    }

    /// True while a gateway runs on this folder.
    pub fn is_locked(&self) -> bool {
        let file = File::open(self.join("lock"));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Where the token is kept that the gateway made for itself.
    pub fn token_file(&self) -> PathBuf {
        self.join("token")
    }

    /// The token that the gateway made for itself at an earlier start.
    pub fn token(&self) -> Option<Secret> {
        let text = std::fs::read_to_string(self.token_file()).ok()?;
        let token = text.trim();
        (!token.is_empty()).then(|| Secret::from(token))
    }

    /// The kept token, or a new one that is kept from now on.
    ///
    /// # Errors
    /// When it cannot be written down.
    pub fn token_or_new(&self) -> anyhow::Result<Secret> {
        if let Some(token) = self.token() {
            return Ok(token);
        }
        let token = random();
        write_private(&self.token_file(), token.expose())?;
        Ok(token)
    }
}

/// A token nobody guesses: 244 random bits.
pub(crate) fn random() -> Secret {
    let [one, other] = [Uuid::new_v4(), Uuid::new_v4()];
    Secret::new(format!("{}{}", one.simple(), other.simple()))
}

/// Writes a file that only the user can read, all of it or nothing.
///
/// # Errors
/// When the system refuses.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let whole = || -> std::io::Result<()> {
        let fresh = path.with_added_extension("new");
        let mut options = OpenOptions::new();
        options.create(true).truncate(true).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    whole().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> Home {
        let folder = std::env::temp_dir().join(format!("openclaw-home-{}", Uuid::new_v4()));
        Home::at(Some(folder)).unwrap()
    }

    #[test]
    fn two_gateways_never_share_a_folder() {
        let home = fresh();
        assert!(!home.is_locked());
        let lock = home.lock().unwrap();
        assert!(home.is_locked());
        let refusal = home.lock().unwrap_err().to_string();
        assert!(
            refusal.contains(&format!("kill {}", std::process::id())),
            "{refusal}"
        );
        drop(lock);
        assert!(!home.is_locked());
        drop(home.lock().unwrap());
        std::fs::remove_dir_all(home.folder()).unwrap();
    }

    #[test]
    fn the_token_is_made_once_and_only_the_user_can_read_it() {
        let home = fresh();
        assert_eq!(home.token(), None);
        home.make("").unwrap();
        let token = home.token_or_new().unwrap();
        assert_eq!(token.expose().len(), 64);
        assert_eq!(home.token_or_new().unwrap(), token);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&home.token_file()), 0o600);
            assert_eq!(mode(home.folder()), 0o700);
        }
        std::fs::remove_dir_all(home.folder()).unwrap();
    }
}
