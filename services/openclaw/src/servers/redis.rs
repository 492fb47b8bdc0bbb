//! The private redis-server: settings and start.

use super::Access;
use super::binary::REDIS;
use super::child::{Plan, Server};
use super::nats::free_port;
use crate::home::{Home, random, write_private};

/// Starts the private redis-server on a free port, with a password of its own for this start.
///
/// # Errors
/// When it is missing or does not come up.
pub(super) async fn start(home: &Home) -> anyhow::Result<(Server, Access)> {
    let program = REDIS.find()?;
    let folder = home.make("redis")?;
    let password = random();
    let password = password.expose();
    let port = free_port()?;
    let settings = folder.join("redis-server.conf");
    // Paths are relative to the folder, in which the server is started: its settings know no
    // quoting for all that a path may hold.
    write_private(
        &settings,
        &format!(
            "# Written at each start of the gateway; changes are lost.\n\
             bind 127.0.0.1\n\
             port {port}\n\
             requirepass {password}\n\
             dir .\n\
             appendonly yes\n\
             appendfsync everysec\n\
             save \"\"\n\
             maxmemory-policy noeviction\n\
             logfile redis-server.log\n\
             loglevel warning\n\
             daemonize no\n"
        ),
    )?;
    let plan = Plan {
        name: REDIS.name,
        program,
        arguments: vec![settings.into()],
        folder,
        port,
        greeting: format!("AUTH {password}\r\nPING\r\n").into(),
        answer: "+PONG",
    };
    let access = Access {
        redis_url: format!("redis://:{password}@127.0.0.1:{port}").into(),
        ..Access::default()
    };
    Ok((Server::start(plan).await?, access))
}
