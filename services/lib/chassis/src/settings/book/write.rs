//! Writing a file whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
};

/// Puts `text` into `file`: into a new file beside it, which then takes its place, with its rights. What a link points
/// at is changed, not the link.
pub(super) fn whole(file: &Path, text: &str) -> io::Result<()> {
    let file = match fs::canonicalize(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => file.to_owned(),
        Err(error) => return Err(error),
    };
    let rights = fs::metadata(&file).ok().map(|there| there.permissions());
    if rights.as_ref().is_some_and(fs::Permissions::readonly) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let fresh = file.with_added_extension(format!("new-{}", std::process::id()));
    let written = write_new(&fresh, text, rights).and_then(|()| fs::rename(&fresh, &file));
    if let Err(error) = written {
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    #[cfg(unix)]
    if let Some(folder) = file.parent() {
        // The new name itself must outlive a loss of power.
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn write_new(fresh: &Path, text: &str, rights: Option<fs::Permissions>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true);
    // It may hold secrets.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file: File = options.open(fresh)?;
    if let Some(rights) = rights {
        file.set_permissions(rights)?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
