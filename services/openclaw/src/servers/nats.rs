//! The private nats-server: settings and start.

use std::net::TcpListener;

use super::Access;
use super::binary::NATS;
use super::child::{Plan, Server};
use crate::home::{Home, random, write_private};

/// Starts the private nats-server on a free port, with a token of its own for this start.
///
/// # Errors
/// When it is missing or does not come up.
pub(super) async fn start(home: &Home) -> anyhow::Result<(Server, Access)> {
    let program = NATS.find()?;
    let folder = home.make("nats")?;
    let token = random();
    let port = free_port()?;
    let settings = folder.join("nats-server.conf");
    let store = folder.join("store");
    let log = folder.join("nats-server.log");
    write_private(
        &settings,
        &format!(
            r#"# Written at each start of the gateway; changes are lost.
listen: "127.0.0.1:{port}"
server_name: "openclaw"
authorization {{ token: "{token}" }}
max_payload: 8MB
log_file: {log}
logfile_size_limit: 10MB
logfile_max_num: 3
jetstream {{
  store_dir: {store}
  sync_interval: always
  limits {{ default_max_consumers: 4096 }}
}}
"#,
            token = token.expose(),
            log = quote(&log),
            store = quote(&store),
        ),
    )?;
    let plan = Plan {
        name: NATS.name,
        program,
        arguments: vec!["--config".into(), settings.into()],
        folder,
        port,
        greeting: "".into(),
        answer: "INFO {",
    };
    let access = Access {
        nats_url: format!("nats://127.0.0.1:{port}"),
        nats_token: token,
        ..Access::default()
    };
    Ok((Server::start(plan).await?, access))
}

/// A port that nobody uses now. Somebody may take it before the server does; then the start fails
/// with a sentence that says so.
pub(super) fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn quote(path: &std::path::Path) -> String {
    let path = path.to_string_lossy();
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
