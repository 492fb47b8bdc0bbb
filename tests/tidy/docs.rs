//! Documents that are in step with the code: every crate and subject is named, every link leads somewhere.

use std::{fs, path::Path};

use crate::assert_tidy;

/// Folders with one crate in each folder below.
const CRATES: &[&str] = &["services", "services/lib", "services/adapters"];

fn architecture() -> String {
    fs::read_to_string(tests::gateway::root().join("docs/ARCHITECTURE.md"))
        .expect("docs/ARCHITECTURE.md")
}

/// Folders of crates, from the root.
fn crates() -> Vec<String> {
    let root = tests::gateway::root();
    let mut found = Vec::new();
    for parent in CRATES {
        for entry in fs::read_dir(root.join(parent)).expect("readable folder") {
            let path = entry.expect("readable folder").path();
            if path.join("Cargo.toml").exists() {
                found.push(format!(
                    "{parent}/{}",
                    path.file_name().unwrap_or_default().to_string_lossy()
                ));
            }
        }
    }
    found
}

/// Subjects as the table in `proto::subject` spells them, between backquotes in its first column.
fn subjects() -> Vec<String> {
    let source = fs::read_to_string(tests::gateway::root().join("proto/src/subject.rs"))
        .expect("proto/src/subject.rs");
    let rows = source
        .lines()
        .filter_map(|line| line.strip_prefix("//! | `"));
    let found: Vec<_> = rows
        .filter_map(|row| Some(row.split_once('`')?.0.to_owned()))
        .collect();
    assert!(!found.is_empty(), "proto::subject begins with a table");
    found
}

/// Those of `names` that `text` does not hold between backquotes.
fn not_named(text: &str, names: &[String]) -> Vec<String> {
    names
        .iter()
        .filter(|name| !text.contains(&format!("`{name}`")))
        .cloned()
        .collect()
}

/// Links in the Markdown `text`, which lies in `folder`, to files that are not there.
fn dead_links(folder: &Path, text: &str) -> Vec<String> {
    let targets = text
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0));
    let files = targets.filter(|target| !target.contains("://") && !target.starts_with(['#', '<']));
    let files = files.map(|target| target.split('#').next().unwrap_or_default());
    files
        .filter(|file| !folder.join(file).exists())
        .map(Into::into)
        .collect()
}

/// Markdown files of the root, `docs` and `docs/adr`, with their folders.
fn documents() -> Vec<std::path::PathBuf> {
    let root = tests::gateway::root();
    let folders = [root.to_path_buf(), root.join("docs"), root.join("docs/adr")];
    let entries = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    let paths = entries.map(|entry| entry.expect("readable folder").path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

#[test]
fn every_crate_is_in_the_architecture() {
    assert_tidy(
        "docs/ARCHITECTURE.md says a line of each crate",
        &not_named(&architecture(), &crates()),
    );
}

#[test]
fn every_subject_is_in_the_architecture() {
    assert_tidy(
        "docs/ARCHITECTURE.md has each row of proto::subject",
        &not_named(&architecture(), &subjects()),
    );
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).expect("readable document");
        let folder = path.parent().expect("a file lies in a folder");
        wrong.extend(
            dead_links(folder, &text)
                .iter()
                .map(|link| format!("{}: {link}", path.display())),
        );
    }
    assert_tidy("the file is not there", &wrong);
}

#[test]
fn every_decision_says_when_and_where_it_stands() {
    let decisions = documents()
        .into_iter()
        .filter(|path| path.parent().is_some_and(|folder| folder.ends_with("adr")));
    let mut wrong = Vec::new();
    for path in decisions {
        let text = fs::read_to_string(&path).expect("readable document");
        let parts = [
            "Date: ",
            "Status: ",
            "## Context",
            "## Decision",
            "## Consequences",
        ];
        let missing = parts.iter().filter(|part| !text.contains(*part));
        wrong.extend(missing.map(|part| format!("{}: {part}", path.display())));
    }
    assert_tidy("a decision record has all its parts", &wrong);
}

#[test]
fn what_is_not_named_is_found() {
    assert_eq!(
        not_named(
            "a `services/a` b",
            &["services/a".into(), "services/b".into()]
        ),
        ["services/b"]
    );
}

#[test]
fn a_dead_link_is_found() {
    let folder = tests::gateway::root();
    let text =
        "[a](Cargo.toml) [b](Cargo.toml#x) [c](gone.md) [d](https://example.org/gone) [e](#here)";
    assert_eq!(dead_links(folder, text), ["gone.md"]);
}
