//! What a source file looks like, and where files may lie.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::assert_tidy;

/// Folders of the root. A new one is a change of the architecture.
const TOP: &[&str] = &[
    "proto", "services", "tests", "benches", "deploy", "docs", ".ci", ".config",
];
/// Folders that are there but not part of the source.
const NOT_OURS: &[&str] = &[".git", ".gateway", "target"];
/// Most lines of a file. Long before that, look for the second job in it.
const MAX_LINES: usize = 400;
/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] = &[
    "common", "core", "helper", "helpers", "misc", "prelude", "shared", "traits", "types", "util",
    "utils",
];
/// The only places of `tests` that may let time pass: the waiting itself, and what is slow on purpose.
const MAY_SLEEP: &[&str] = &[
    "tests/src/eventually.rs",
    "tests/src/process.rs",
    "tests/src/proxy.rs",
    "tests/src/model",
    "tests/src/platforms",
];

/// A file of the source tree.
struct File {
    /// From the root, with `/`.
    path: String,
    text: String,
}

/// All `.rs` files.
fn sources() -> Vec<File> {
    files(|path| path.extension().is_some_and(|extension| extension == "rs"))
}

/// All files under the source folders that `wanted` asks for.
fn files(wanted: fn(&Path) -> bool) -> Vec<File> {
    let root = tests::gateway::root();
    let mut folders: Vec<PathBuf> = TOP
        .iter()
        .map(|name| root.join(name))
        .filter(|folder| folder.is_dir())
        .collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("readable folder") {
            let path = entry.expect("readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&path) {
                let text = fs::read_to_string(&path).expect("readable file");
                let path = path
                    .strip_prefix(root)
                    .expect("below the root")
                    .to_string_lossy()
                    .replace('\\', "/");
                found.push(File { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "there are files to look at");
    found
}

/// Files that do not begin with one sentence that says what is inside.
fn without_first_sentence(files: &[File]) -> Vec<String> {
    let bad = files.iter().filter(|file| {
        let begin: Vec<_> = file
            .text
            .lines()
            .map_while(|line| line.strip_prefix("//! "))
            .collect();
        let begin = begin.join(" ");
        let inner = begin.trim_end_matches('.').replace("e.g. ", "");
        let second = inner
            .match_indices(". ")
            .any(|(at, _)| inner[at + 2..].starts_with(char::is_uppercase));
        begin.is_empty() || !begin.ends_with('.') || second
    });
    bad.map(|file| file.path.clone()).collect()
}

fn too_long(files: &[File]) -> Vec<String> {
    let lines = files
        .iter()
        .map(|file| (&file.path, file.text.lines().count()));
    lines
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect()
}

fn with_empty_names<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    let empty = |part: &str| {
        EMPTY_NAMES.contains(&part.strip_suffix(".rs").unwrap_or(part)) || part == "mod.rs"
    };
    paths
        .filter(|path| path.split('/').any(empty))
        .map(Into::into)
        .collect()
}

/// Files with `text` in them, but for those whose path begins like one of `allowed`.
fn with_text(files: &[File], text: &str, allowed: &[&str]) -> Vec<String> {
    let found = files.iter().filter(|file| file.text.contains(text));
    found
        .filter(|file| !allowed.iter().any(|begin| file.path.starts_with(begin)))
        .map(|file| file.path.clone())
        .collect()
}

/// Names of folders that are not of the closed list.
fn strange_folders(names: impl Iterator<Item = String>) -> Vec<String> {
    names
        .filter(|name| !TOP.contains(&name.as_str()) && !NOT_OURS.contains(&name.as_str()))
        .collect()
}

#[test]
fn a_file_begins_with_a_sentence_that_says_what_is_inside() {
    assert_tidy(
        "begin with `//! ` and one sentence; two sentences are two files",
        &without_first_sentence(&sources()),
    );
}

#[test]
fn a_file_is_short() {
    assert_tidy(
        "look for the second job in it and give that a room",
        &too_long(&sources()),
    );
}

#[test]
fn a_name_says_what_is_inside() {
    let sources = sources();
    let wrong = with_empty_names(sources.iter().map(|file| file.path.as_str()));
    assert_tidy(
        "name it after what it does; `foo.rs` instead of `foo/mod.rs`",
        &wrong,
    );
}

#[test]
fn no_test_is_left_out() {
    assert_tidy(
        "mend the test or remove it",
        &with_text(&sources(), concat!("#[", "ignore"), &[]),
    );
}

#[test]
fn no_test_waits_for_time() {
    let tests: Vec<_> = sources()
        .into_iter()
        .filter(|file| file.path.starts_with("tests/"))
        .collect();
    assert_tidy(
        "wait for a state with `eventually`",
        &with_text(&tests, concat!("sleep", "("), MAY_SLEEP),
    );
}

#[test]
fn the_top_level_is_closed() {
    let entries = fs::read_dir(tests::gateway::root())
        .expect("readable root")
        .map(|entry| entry.expect("readable root"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    let names = folders.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert_tidy(
        "a new folder of the root needs an ADR",
        &strange_folders(names),
    );
}

fn planted(path: &str, text: &str) -> [File; 1] {
    [File {
        path: path.into(),
        text: text.into(),
    }]
}

#[test]
fn a_bad_first_line_is_found() {
    for bad in [
        "use std::fs;",
        "//! No full stop",
        "//! One. Two.",
        "//! One\n//! and. Two.",
        "// A comment.",
    ] {
        assert_eq!(
            without_first_sentence(&planted("a.rs", bad)),
            ["a.rs"],
            "{bad}"
        );
    }
    for good in [
        "//! One.",
        "//! One that\n//! goes on.\n//!\n//! More. And more.",
    ] {
        assert!(
            without_first_sentence(&planted("a.rs", good)).is_empty(),
            "{good}"
        );
    }
}

#[test]
fn a_long_file_is_found() {
    assert_eq!(
        too_long(&planted("a.rs", &"\n".repeat(401))),
        ["a.rs: 401 lines"]
    );
    assert!(too_long(&planted("a.rs", &"\n".repeat(400))).is_empty());
}

#[test]
fn an_empty_name_is_found() {
    let bad = ["a/utils.rs", "a/mod.rs", "common/a.rs"];
    assert_eq!(
        with_empty_names(bad.into_iter().chain(["a/commons.rs"])),
        bad
    );
}

#[test]
fn a_forbidden_text_is_found_outside_its_places() {
    let files = [
        planted("tests/a.rs", "x(1)"),
        planted("tests/src/b.rs", "x(1)"),
    ]
    .into_iter()
    .flatten();
    assert_eq!(
        with_text(&files.collect::<Vec<_>>(), "x(", &["tests/src/"]),
        ["tests/a.rs"]
    );
}

#[test]
fn a_strange_folder_is_found() {
    assert_eq!(
        strange_folders(["docs".into(), "scripts".into(), "target".into()].into_iter()),
        ["scripts"]
    );
}
