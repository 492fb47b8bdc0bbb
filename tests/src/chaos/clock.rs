//! A wall clock that jumps, for the services alone: libfaketime between them and the C library.

use std::{fs, path::Path};

use tempfile::TempDir;

/// Where Debian and Fedora put the library; `OPENCLAW_FAKETIME` names another place.
const PLACES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

/// A clock that all processes started with its environment go by. Their monotonic clock goes on as it is.
pub struct Clock {
    library: String,
    folder: TempDir,
}

impl Clock {
    /// A clock that shows the right time; `None` without libfaketime on this machine.
    ///
    /// # Panics
    /// When there is no temporary folder.
    pub fn find() -> Option<Self> {
        let named = std::env::var("OPENCLAW_FAKETIME").ok();
        let library = named
            .into_iter()
            .chain(PLACES.map(Into::into))
            .find(|place| Path::new(place).exists())?;
        let folder = tempfile::Builder::new()
            .prefix("clock-")
            .tempdir()
            .expect("temporary folder");
        let clock = Self { library, folder };
        clock.set_off(0);
        Some(clock)
    }

    /// Jumps to this many seconds after the right time, before it if negative.
    ///
    /// # Panics
    /// When the temporary folder is gone.
    pub fn set_off(&self, seconds: i64) {
        let file = self.file();
        let new = file.with_extension("new");
        fs::write(&new, format!("{seconds:+}\n")).expect("temporary file");
        fs::rename(new, file).expect("temporary file");
    }

    /// What makes a process go by this clock.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.clone()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            // Read anew each time: all processes jump at once, as those of one machine do.
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("offset")
    }
}
