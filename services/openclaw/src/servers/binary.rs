//! Finds the programs that a gateway starts.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

/// Folder, beside the project, where `./gateway up` installs what the system lacks.
const INSTALLED: &str = ".gateway/bin";

/// A program that a gateway starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The environment variable that names another one.
    pub(crate) variable: &'static str,
    /// How a person gets it.
    pub(crate) install: &'static str,
}

/// The bus.
pub(crate) const NATS: Program = Program {
    name: "nats-server",
    variable: "OPENCLAW_NATS_SERVER",
    install: "./gateway up",
};

/// What may be forgotten.
pub(crate) const REDIS: Program = Program {
    name: "redis-server",
    variable: "OPENCLAW_REDIS_SERVER",
    install: "sudo apt-get install redis-server",
};

impl Program {
    /// Where it is: as the environment says, beside the project, or on the path.
    ///
    /// # Errors
    /// When it is nowhere; the text says how to get it.
    pub(crate) fn find(&self) -> anyhow::Result<PathBuf> {
        let named = std::env::var_os(self.variable).filter(|name| !name.is_empty());
        if let Some(named) = named {
            let named = PathBuf::from(named);
            anyhow::ensure!(
                named.is_file(),
                "{} names {}, which is no file; name the program, or install it with `{}`",
                self.variable,
                named.display(),
                self.install
            );
            return Ok(named);
        }
        let file = format!("{}{}", self.name, std::env::consts::EXE_SUFFIX);
        let executable = std::env::current_exe().unwrap_or_default();
        // The executable is in `target/release`, a few levels below the project.
        let beside = executable.ancestors().skip(1).take(4);
        let beside = beside.map(|folder| folder.join(INSTALLED));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
        let found = beside
            .chain(on_path)
            .map(|folder| folder.join(&file))
            .find(|file| file.is_file());
        found.with_context(|| {
            format!(
                "not found; install it with `{}`, or name one with {}",
                self.install, self.variable
            )
        })
    }

    /// The version that `file` says it has, as numbers: `[2, 15, 1]`.
    ///
    /// # Errors
    /// When it does not run, or says no version.
    pub(crate) fn version(&self, file: &Path) -> anyhow::Result<Vec<u32>> {
        let output = Command::new(file)
            .arg("--version")
            .output()
            .with_context(|| format!("{} does not run", file.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        numbers(&text).with_context(|| format!("{} says no version", file.display()))
    }
}

/// The first dotted numbers in a text.
fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split(|char: char| !char.is_ascii_digit() && char != '.')
        .find(|word| word.contains('.') && word.starts_with(|char: char| char.is_ascii_digit()))
        .map(|word| {
            word.split('.')
                .filter_map(|part| part.parse().ok())
                .collect()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_both_servers_say_them() {
        assert_eq!(numbers("nats-server: v2.15.1"), Some(vec![2, 15, 1]));
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64";
        assert_eq!(numbers(redis), Some(vec![7, 0, 15]));
        assert_eq!(numbers("no version"), None);
    }
}
