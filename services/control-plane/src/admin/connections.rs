//! Accounts on platforms: how they do, and what an operator has them do.

use std::time::Duration;

use bus::{Bucket, Bus};
use proto::{
    subject,
    v1::{
        AccountChoice, Connection, ConnectionLine, ConnectionState, ConnectionsReply,
        ConnectionsRequest, Control, Hold, connections_server,
    },
};
use tonic::{Code as Grpc, Request, Response, Status};

use super::code::{Code, failed};

/// How long the process that has an account may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bucket `connections`, and the processes behind it.
pub(crate) struct Connections {
    bus: Bus,
}

impl Connections {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Tells the process that has an account, or was drained of it, to `verb`.
    async fn tell(&self, choice: AccountChoice, verb: &str) -> Result<ConnectionLine, Status> {
        let account = match choice.account.as_str() {
            "" => "main",
            account => account,
        };
        let platform = choice.platform.as_str();
        known(&self.bus, platform, account).await?;
        if verb == "resume"
            && let Some(connection) = self.release(platform, account).await?
        {
            return Ok(shown(connection));
        }
        let subject = subject::control(platform, account, verb);
        match self.bus.ask(&subject, &Control {}, PATIENCE).await {
            Ok(connection) => {
                tracing::info!(
                    platform,
                    account,
                    "an operator has {verb} {platform}:{account}"
                );
                Ok(shown(connection))
            }
            Err(bus::Error::Unavailable(_)) if self.bus.connected() => {
                let why = match verb {
                    "resume" => "no process is drained of it",
                    _ => "no process has it now; is its adapter running, or drained?",
                };
                Err(Code::Transport.refuse(
                    Grpc::FailedPrecondition,
                    format!("{platform}:{account} does not answer: {why} See `openclaw connections list`."),
                ))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Begins an account that was stopped for all processes; `None` where it was not.
    async fn release(&self, platform: &str, account: &str) -> Result<Option<Connection>, Status> {
        let connections = self.bus.bucket(Bucket::Connections);
        let all = connections.all::<Connection>().await.map_err(failed)?;
        let is_it = |one: &Connection| one.platform == platform && one.account == account;
        let Some((key, connection, _)) = all.into_iter().find(|(_, one, _)| is_it(one)) else {
            return Ok(None);
        };
        let (config, key) = (self.bus.bucket(Bucket::Config), format!("held.{key}"));
        if config.get::<Hold>(&key).await.map_err(failed)?.is_none() {
            return Ok(None);
        }
        config.delete(&key).await.map_err(failed)?;
        tracing::info!(
            platform,
            account,
            "an operator has started {platform}:{account}"
        );
        Ok(Some(connection))
    }
}

/// Makes sure that there is such an account.
///
/// # Errors
/// A sentence with those that there are.
pub(crate) async fn known(bus: &Bus, platform: &str, account: &str) -> Result<(), Status> {
    let all = all(bus).await?;
    let is_it = |one: &Connection| one.platform == platform && one.account == account;
    if all.iter().any(is_it) {
        return Ok(());
    }
    let names = all
        .iter()
        .map(|one| format!("{}:{}", one.platform, one.account));
    let names: Vec<_> = names.collect();
    let there_are = match names.as_slice() {
        [] => "none has ever run here; set one up in the settings".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Err(Code::Transport.refuse(
        Grpc::NotFound,
        format!("there is no account {platform}:{account}; {there_are}"),
    ))
}

async fn all(bus: &Bus) -> Result<Vec<Connection>, Status> {
    let all = bus.bucket(Bucket::Connections).all::<Connection>().await;
    let mut all: Vec<_> = all
        .map_err(failed)?
        .into_iter()
        .map(|(_, one, _)| one)
        .collect();
    all.sort_by(|a, b| (&a.platform, &a.account).cmp(&(&b.platform, &b.account)));
    Ok(all)
}

#[tonic::async_trait]
impl connections_server::Connections for Connections {
    async fn list(
        &self,
        request: Request<ConnectionsRequest>,
    ) -> Result<Response<ConnectionsReply>, Status> {
        let platform = request.into_inner().platform;
        let all = all(&self.bus).await?.into_iter();
        let wanted = all.filter(|one| platform.is_empty() || one.platform == platform);
        let connections = wanted.map(shown).collect();
        Ok(Response::new(ConnectionsReply { connections }))
    }

    async fn reconnect(
        &self,
        request: Request<AccountChoice>,
    ) -> Result<Response<ConnectionLine>, Status> {
        let line = self.tell(request.into_inner(), "reconnect").await?;
        Ok(Response::new(line))
    }

    async fn drain(
        &self,
        request: Request<AccountChoice>,
    ) -> Result<Response<ConnectionLine>, Status> {
        let line = self.tell(request.into_inner(), "drain").await?;
        Ok(Response::new(line))
    }

    async fn resume(
        &self,
        request: Request<AccountChoice>,
    ) -> Result<Response<ConnectionLine>, Status> {
        let line = self.tell(request.into_inner(), "resume").await?;
        Ok(Response::new(line))
    }
}

fn shown(connection: Connection) -> ConnectionLine {
    let aside = ["drained", "stopped by an operator"];
    let drained = aside.iter().any(|why| connection.error.starts_with(why));
    let code = match connection.state() {
        ConnectionState::Connected | ConnectionState::Connecting => None,
        ConnectionState::PermanentlyFailed => Some(Code::Credential),
        ConnectionState::Disconnected if drained => None,
        _ => Some(Code::of(&connection.error).unwrap_or(Code::Transport)),
    };
    let advice = match code {
        None if drained => "`openclaw connections resume` ends that",
        None => "",
        // While it is tried again and again, the general advice would be to wait for just this.
        Some(Code::Transport) => {
            "it is tried again by itself; if it stays so, look into the log and reconnect"
        }
        Some(code) => code.advice(),
    };
    ConnectionLine {
        code: code.map(Code::name).unwrap_or_default().into(),
        advice: advice.into(),
        connection: Some(connection),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_does_not_stand_says_what_to_do() {
        let line = |state: ConnectionState, error: &str| {
            let line = shown(Connection {
                state: state.into(),
                error: error.into(),
                ..Connection::default()
            });
            (line.code, line.advice)
        };
        assert_eq!(line(ConnectionState::Connected, ""), Default::default());
        let (code, advice) = line(ConnectionState::PermanentlyFailed, "Not Found");
        assert_eq!(code, "CONN_002");
        assert!(advice.contains("token"));
        assert_eq!(line(ConnectionState::Reconnecting, "no route").0, "MSG_002");
        let (code, advice) = line(ConnectionState::Disconnected, "drained by an operator");
        assert_eq!(code, "");
        assert!(advice.contains("resume"));
    }
}
