//! File systems of a test's own, which only root can have.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A mounted file system; dropping it takes it away.
pub(crate) struct Mount {
    folder: TempDir,
}

impl Mount {
    /// A file system of so many bytes in memory; `None` where that is not allowed.
    pub(crate) fn in_memory(bytes: u64) -> Option<Self> {
        Self::with(&["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
    }

    /// The file system in the file `image`.
    pub(crate) fn of_image(image: &Path) -> Option<Self> {
        Self::with(&["-o", "loop", &image.display().to_string()])
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn with(arguments: &[&str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("mount-")
            .tempdir()
            .expect("temporary folder");
        let mount = Self { folder };
        run(Command::new("mount").args(arguments).arg(mount.path())).then_some(mount)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may still hold a file.
        run(Command::new("umount").arg("--lazy").arg(self.path()));
    }
}

/// An empty ext4 file system of so many MiB in `folder`; `None` where it cannot be made.
pub(crate) fn ext4(folder: &Path, mib: u64) -> Option<PathBuf> {
    let image = folder.join("image");
    std::fs::File::create(&image)
        .and_then(|file| file.set_len(mib << 20))
        .expect("an image file");
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image)).then_some(image)
}

/// Whether the command could be run and says that all is well.
fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
