//! Compiles the .proto files without an installed protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files =
        ["message", "event", "admin"].map(|name| format!("openclaw/gateway/v1/{name}.proto"));
    for file in &files {
        println!("cargo::rerun-if-changed={file}");
    }
    let set = protox::compile(files, ["."])?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .compile_fds(set)?;
    Ok(())
}
