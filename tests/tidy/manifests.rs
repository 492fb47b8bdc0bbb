//! What a crate's Cargo.toml holds: versions stand in the root only, and lints are those of the workspace.

use std::fs;

use toml::{Table, Value};

use crate::assert_tidy;

/// Crates of tests, which are written by other rules.
const OTHER_LINTS: &[&str] = &["tests", "benches"];

/// Paths, from the root, of the crates' folders.
fn members() -> Vec<(String, Table)> {
    let root = tests::gateway::root();
    let mut folders = vec!["proto".to_owned(), "tests".into(), "benches".into()];
    for parent in ["services", "services/lib", "services/adapters"] {
        for entry in fs::read_dir(root.join(parent)).expect("readable folder") {
            let name = entry.expect("readable folder").file_name();
            folders.push(format!("{parent}/{}", name.to_string_lossy()));
        }
    }
    let manifest = |folder: String| {
        let text = fs::read_to_string(root.join(&folder).join("Cargo.toml")).ok()?;
        Some((folder, text.parse().expect("Cargo.toml is TOML")))
    };
    folders.into_iter().filter_map(manifest).collect()
}

/// Dependencies whose version is not that of the workspace.
fn versions_of_their_own(folder: &str, manifest: &Table) -> Vec<String> {
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let tables = kinds
        .iter()
        .filter_map(|kind| manifest.get(*kind)?.as_table());
    let own = tables
        .flatten()
        .filter(|(_, value)| value.get("workspace").and_then(Value::as_bool) != Some(true));
    own.map(|(name, _)| format!("{folder}: {name}")).collect()
}

fn inherits_lints(manifest: &Table) -> bool {
    manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[test]
fn versions_stand_in_the_root_only() {
    let wrong: Vec<_> = members()
        .iter()
        .flat_map(|(folder, manifest)| versions_of_their_own(folder, manifest))
        .collect();
    assert_tidy(
        "name the version in [workspace.dependencies] and write `.workspace = true`",
        &wrong,
    );
}

#[test]
fn each_crate_has_the_lints_of_the_workspace() {
    let held = members()
        .into_iter()
        .filter(|(folder, _)| !OTHER_LINTS.contains(&folder.as_str()));
    let wrong: Vec<_> = held
        .filter(|(_, manifest)| !inherits_lints(manifest))
        .map(|(folder, _)| folder)
        .collect();
    assert_tidy("write `[lints] workspace = true`", &wrong);
}

#[test]
fn a_version_of_its_own_is_found() {
    let manifest: Table =
        "[dependencies]\na.workspace = true\nb = '1'\n[dev-dependencies]\nc = { version = '1' }"
            .parse()
            .unwrap();
    assert_eq!(versions_of_their_own("x", &manifest), ["x: b", "x: c"]);
}

#[test]
fn missing_lints_are_found() {
    assert!(!inherits_lints(&"[package]\nname = 'a'".parse().unwrap()));
    assert!(inherits_lints(
        &"[lints]\nworkspace = true".parse().unwrap()
    ));
}
