//! Compiles the .proto files without an installed protoc.

use std::{env, fs, path::Path};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "wish",
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
        "replicas",
        "once",
        "holds",
        "models",
        "voice",
        "nodes",
        "identity",
        "rows",
        "session_settings",
        "agents",
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
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    // For reflection: what any gRPC tool needs to call us.
    fs::write(out.join("descriptors.bin"), set.encode_to_vec())?;
    fs::write(
        out.join("messages.rs"),
        format!("every_message! {{ {} }}\n", messages.join(" ")),
    )?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds(set)?;
    Ok(())
}
