//! Who may import whom of our crates, and which crate alone may name a dependency.

use std::process::Command;

use serde::Deserialize;

use crate::assert_tidy;

/// What a crate may import of ours; `services/*` stands for each service and adapter.
///
/// A new entry is a change of the architecture: it comes with an ADR.
const FLOORS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("bus", &[]),
    ("chassis", &["bus"]),
    ("adapter", &["proto", "bus", "chassis"]),
    ("services/*", &["proto", "bus", "chassis", "adapter"]),
];

/// Crates on top, which may import all of ours.
const ROOF: &[&str] = &["openclaw", "tests", "benches"];

/// Dependencies that only these crates name, so that there is one place to change when they do.
const OWNED: &[(&str, &[&str])] = &[
    ("async-nats", &["bus", "benches"]),
    ("clap", &["openclaw"]),
    ("opentelemetry-otlp", &["chassis"]),
    ("opentelemetry_sdk", &["chassis"]),
    (
        "redis",
        &[
            "router",
            "adapter",
            "control-plane",
            "openclaw",
            "tests",
            "benches",
        ],
    ),
    ("sqlx", &["ledger"]),
    ("teloxide-core", &["adapter-telegram"]),
    ("tempfile", &["tests", "benches"]),
    (
        "tonic",
        &["proto", "control-plane", "openclaw", "tests", "benches"],
    ),
    ("tracing-subscriber", &["chassis"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Clone, Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Clone, Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal one, else `dev` or `build`.
    kind: Option<String>,
}

/// Our crates, as cargo sees them.
fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(tests::gateway::root());
    let output = command.output().expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice::<Metadata>(&output.stdout)
        .expect("cargo metadata is JSON")
        .packages
}

/// Imports that go up or sideways.
fn imports_across(packages: &[Package]) -> Vec<String> {
    let ours = |name: &str| packages.iter().any(|package| package.name == name);
    let mut wrong = Vec::new();
    for package in packages
        .iter()
        .filter(|package| !ROOF.contains(&package.name.as_str()))
    {
        let service = package.manifest_path.contains("/services/")
            && !package.manifest_path.contains("/services/lib/");
        let floor = if service { "services/*" } else { &package.name };
        let Some((_, allowed)) = FLOORS.iter().find(|(name, _)| *name == floor) else {
            wrong.push(format!("{} stands on no floor", package.name));
            continue;
        };
        let across = package
            .dependencies
            .iter()
            .filter(|dependency| ours(&dependency.name));
        let across = across.filter(|dependency| !allowed.contains(&dependency.name.as_str()));
        wrong.extend(
            across.map(|dependency| format!("{} imports {}", package.name, dependency.name)),
        );
    }
    wrong
}

/// Dependencies named by a crate that does not own them. What only its tests use is its own affair.
fn names_not_owned(packages: &[Package]) -> Vec<String> {
    let mut wrong = Vec::new();
    for package in packages {
        for dependency in package
            .dependencies
            .iter()
            .filter(|found| found.kind.as_deref() != Some("dev"))
        {
            let owners = OWNED
                .iter()
                .find(|(name, _)| *name == dependency.name)
                .map(|(_, owners)| *owners);
            if owners.is_some_and(|owners| !owners.contains(&package.name.as_str())) {
                wrong.push(format!("{} names {}", package.name, dependency.name));
            }
        }
    }
    wrong
}

#[test]
fn a_crate_imports_only_from_the_floors_below() {
    assert_tidy(
        "services meet on the bus, not in the compiler",
        &imports_across(&packages()),
    );
}

#[test]
fn a_dependency_is_named_by_its_owner_alone() {
    assert_tidy(
        "use the owner's interface instead",
        &names_not_owned(&packages()),
    );
}

/// The crate of that name with one more dependency.
fn planted(name: &str, dependency: &str, kind: Option<&str>) -> Vec<Package> {
    let mut packages = packages();
    let package = packages
        .iter_mut()
        .find(|package| package.name == name)
        .expect("a crate of ours");
    package.dependencies.push(Dependency {
        name: dependency.into(),
        kind: kind.map(Into::into),
    });
    packages
}

#[test]
fn an_import_of_a_service_is_found() {
    assert_eq!(
        imports_across(&planted("ledger", "router", None)),
        ["ledger imports router"]
    );
    assert_eq!(
        imports_across(&planted("bus", "proto", Some("dev"))),
        ["bus imports proto"]
    );
    let mut stranger = packages();
    stranger.push(Package {
        name: "core".into(),
        manifest_path: "/lib/core/Cargo.toml".into(),
        dependencies: vec![],
    });
    assert_eq!(imports_across(&stranger), ["core stands on no floor"]);
}

#[test]
fn a_dependency_of_another_owner_is_found() {
    assert_eq!(
        names_not_owned(&planted("router", "async-nats", None)),
        ["router names async-nats"]
    );
    assert!(names_not_owned(&planted("router", "tempfile", Some("dev"))).is_empty());
}
