//! The folder with what agents write: nothing outside of it is read, and nothing hidden in it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use anyhow::Context;
use cap_std::{ambient_authority, fs::Dir};

/// Largest file that is served.
const MAX_BYTES: u64 = 25 * 1024 * 1024;
/// Files and folders that are looked at for changes.
const MAX_ENTRIES: usize = 10_000;
/// Longest path, in bytes.
const MAX_PATH_BYTES: usize = 1024;

/// The folder, opened once: what is outside is not reachable through it, whatever a path or a link says.
#[derive(Clone)]
pub(super) struct Folder(Arc<Dir>);

/// What a path leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A file, and the name it has.
    File(Vec<u8>, String),
    /// A folder whose address lacks the slash at its end: links in its page would lead elsewhere.
    Folder,
    /// Nothing that may be shown.
    Nothing,
    /// More than is served.
    TooLarge,
}

impl Folder {
    /// Opens the folder, and makes it first where there is none.
    ///
    /// # Errors
    /// When it cannot be made or opened.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let why = || format!("the canvas folder {}", path.display());
        std::fs::create_dir_all(path).with_context(why)?;
        let folder = Dir::open_ambient_dir(path, ambient_authority()).with_context(why)?;
        Ok(Self(Arc::new(folder)))
    }

    /// What the path of an address leads to; of a folder its `index.html`.
    pub(super) async fn find(&self, path: &str) -> Found {
        let Some(path) = plain(path) else {
            return Found::Nothing;
        };
        let folder = self.clone();
        let found = tokio::task::spawn_blocking(move || folder.read(&path));
        found.await.unwrap_or(Found::Nothing)
    }

    fn read(&self, path: &str) -> Found {
        let wanted = match path {
            "" => "index.html".to_owned(),
            path if path.ends_with('/') => format!("{path}index.html"),
            path => path.to_owned(),
        };
        match self.bytes(&wanted) {
            Ok(Some(bytes)) => Found::File(bytes, wanted),
            Ok(None) => Found::TooLarge,
            Err(_) if self.0.metadata(&wanted).is_ok_and(|it| it.is_dir()) => Found::Folder,
            Err(_) => Found::Nothing,
        }
    }

    /// The bytes of a file; `None` where there are too many.
    fn bytes(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        // Opening a pipe would wait for somebody to write into it.
        if !self.0.metadata(path)?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = self.0.open(path)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        let fits = bytes.len() as u64 <= MAX_BYTES;
        Ok(fits.then_some(bytes))
    }

    /// A number that changes when a file does, comes or goes.
    pub(super) fn state(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        let mut folders = vec![(String::new(), self.0.try_clone())];
        let mut left = MAX_ENTRIES;
        while let Some((name, folder)) = folders.pop() {
            let Ok(folder) = folder else { continue };
            let Ok(entries) = folder.entries() else {
                continue;
            };
            for entry in entries.flatten() {
                if left == 0 {
                    return hash.finish();
                }
                left -= 1;
                let path = format!("{name}/{}", entry.file_name().to_string_lossy());
                let Ok(about) = entry.metadata() else {
                    continue;
                };
                if about.is_dir() {
                    folders.push((path, entry.open_dir()));
                    continue;
                }
                let changed = about
                    .modified()
                    .ok()
                    .map(cap_std::time::SystemTime::into_std);
                (path, about.len(), changed).hash(&mut hash);
            }
        }
        hash.finish()
    }
}

/// The path as the folder has it: decoded, and without anything that could lead elsewhere or to something hidden.
fn plain(path: &str) -> Option<String> {
    let path = decoded(path)?;
    if path.len() > MAX_PATH_BYTES {
        return None;
    }
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let empty = part.is_empty() && !last;
        // Backslashes, drives and streams mean something on Windows; nobody needs them elsewhere.
        let strange = part.contains(['\\', ':']) || part.contains(char::is_control);
        if empty || strange || part.starts_with('.') {
            return None;
        }
    }
    Some(path)
}

/// Decodes `%xx`; `None` where that is no text.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let byte = digit(high)? * 16 + digit(low)?;
                bytes.push(u8::try_from(byte).ok()?);
                after
            }
            (b'%', _) => return None,
            (byte, after) => {
                bytes.push(*byte);
                after
            }
        };
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_down_and_to_nothing_hidden() {
        for good in [
            "",
            "a.html",
            "a/b.css",
            "a/",
            "with%20blank.html",
            "%C3%A4.txt",
        ] {
            assert!(plain(good).is_some(), "{good}");
        }
        for bad in [
            "../x",
            "a/../../x",
            "%2e%2e/x",
            "a/%2e%2e/x",
            "..%2fx",
            "a/..",
            ".",
            ".env",
            "a/.git/config",
            "%2eenv",
            "/etc/passwd",
            "//x",
            "a//b",
            "a\\..\\x",
            "..%5cx",
            "C:/x",
            "c%3A/x",
            "a.txt:stream",
            "a%00.html",
            "%",
            "%2",
            "%zz",
            "%ff",
            "\u{202e}/../x",
        ] {
            assert_eq!(plain(bad), None, "{bad}");
        }
        assert_eq!(plain(&"x".repeat(MAX_PATH_BYTES + 1)), None);
    }

    proptest::proptest! {
        #[test]
        fn no_path_gets_out(path in "[a-zA-Z./\\\\%0-9:~ ]{0,40}") {
            if let Some(plain) = plain(&path) {
                let steps = std::path::Path::new(&plain).components();
                for step in steps {
                    proptest::prop_assert!(matches!(step, std::path::Component::Normal(_)), "{plain}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_read_lies_in_the_folder_links_included() {
        let place = std::env::temp_dir().join(format!("canvas-{}", uuid::Uuid::new_v4()));
        let folder = Folder::open(&place.join("in")).unwrap();
        let inside = |name: &str| place.join("in").join(name);
        std::fs::write(inside("a.html"), "a").unwrap();
        std::fs::write(inside(".secret"), "s").unwrap();
        std::fs::write(place.join("out"), "o").unwrap();
        std::fs::create_dir(inside("sub")).unwrap();
        std::fs::write(inside("sub/index.html"), "i").unwrap();
        assert_eq!(
            folder.find("a.html").await,
            Found::File(b"a".into(), "a.html".into())
        );
        assert_eq!(folder.find("sub").await, Found::Folder);
        assert_eq!(
            folder.find("sub/").await,
            Found::File(b"i".into(), "sub/index.html".into())
        );
        for hidden in [".secret", "../out", "none.html", "sub/../a.html", ""] {
            assert_eq!(folder.find(hidden).await, Found::Nothing, "{hidden}");
        }
        let before = folder.state();
        #[cfg(unix)]
        for (link, target) in [
            ("relative", "../out"),
            ("absolute", "/etc/hostname"),
            ("folder", ".."),
        ] {
            std::os::unix::fs::symlink(target, inside(link)).unwrap();
            assert_eq!(folder.find(link).await, Found::Nothing, "{link}");
            assert_eq!(
                folder.find(&format!("{link}/out")).await,
                Found::Nothing,
                "{link}"
            );
        }
        std::fs::write(inside("b.css"), "b").unwrap();
        assert_ne!(folder.state(), before);
        std::fs::remove_dir_all(&place).unwrap();
    }
}
