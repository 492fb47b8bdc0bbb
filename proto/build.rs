//! Compiles the .proto files without an installed protoc.

use std::{env, fs, path::Path};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "message",
        "event",
        "admin",
        "journey",
        "dead",
        "intents",
        "queues",
        "connections",
        "send",
        "sessions",
    ]
    .map(|name| format!("openclaw/gateway/v1/{name}.proto"));
    for file in &files {
        println!("cargo::rerun-if-changed={file}");
    }
    let set = protox::compile(files, ["."])?;
    // The golden tests need the type of each message, and a list made by hand would forget one.
    let messages: Vec<&str> = set
        .file
        .iter()
        .flat_map(|file| &file.message_type)
        .map(|it| it.name())
        .collect();
    let list = Path::new(&env::var("OUT_DIR")?).join("messages.rs");
    fs::write(
        list,
        format!("every_message! {{ {} }}\n", messages.join(" ")),
    )?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds(set)?;
    Ok(())
}
