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
        "jobs",
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
    let mut builder = tonic_prost_build::configure()
        .build_client(true)
        .build_server(true);
    for name in SHOWN {
        let of_wire = "#[derive(serde::Serialize)] #[serde(rename_all = \"camelCase\")]";
        builder = builder.type_attribute(format!("{PACKAGE}.{name}"), of_wire);
    }
    for (field, kind) in NAMED {
        let by_name = format!("#[serde(serialize_with = \"crate::named::{kind}\")]");
        builder = builder.field_attribute(format!("{PACKAGE}.{field}"), by_name);
    }
    builder.compile_fds(set)?;
    Ok(())
}

const PACKAGE: &str = "openclaw.gateway.v1";

/// Answers of the admin API that the WebSocket gives too, as JSON.
const SHOWN: [&str; 21] = [
    "Address",
    "Connection",
    "ConnectionLine",
    "ConnectionsReply",
    "DeadDone",
    "DeadFailure",
    "DeadLetter",
    "DeadListReply",
    "PairingEntry",
    "PairingListReply",
    "Queue",
    "QueueDepth",
    "QueuesReply",
    "Scheduled",
    "SchedulesReply",
    "SendReply",
    "Step",
    "TraceReply",
    "UnknownListReply",
    "UnknownSend",
    "Walk",
];

/// Their fields of an enum, written by name.
const NAMED: [(&str, &str); 4] = [
    ("Address.kind", "conversation_kind"),
    ("Connection.state", "connection_state"),
    ("UnknownSend.state", "intent_state"),
    ("Walk.end", "walk_end"),
];
