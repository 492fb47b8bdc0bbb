//! `openclaw connections`: how accounts do on their platforms, and what to have them do.

use chassis::clock::now_ms;
use clap::Subcommand;
use proto::v1::connections_client::ConnectionsClient;
use proto::v1::{AccountChoice, ConnectionLine, ConnectionsRequest};
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::table::{age, printable, table};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists them with their states.
    List {
        /// Only accounts on this platform.
        #[arg(long, default_value = "")]
        platform: String,
    },
    /// Drops the connection to the platform and opens it anew.
    Reconnect {
        /// The account, as telegram:main or telegram.
        account: Account,
    },
    /// Has the process that runs it finish what it sends and give it away; to another process, or until resume.
    Drain {
        /// The account, as telegram:main or telegram.
        account: Account,
    },
    /// Lets a process that was drained go on.
    Resume {
        /// The account, as telegram:main or telegram.
        account: Account,
    },
}

/// An account as people write it: `telegram:main`, or `telegram` for its main one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    platform: String,
    account: String,
}

impl std::str::FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (platform, account) = text.split_once(':').unwrap_or((text, "main"));
        if platform.is_empty() || account.is_empty() {
            return Err("write an account as telegram:main, or telegram for its main one".into());
        }
        Ok(Self {
            platform: platform.to_lowercase(),
            account: account.into(),
        })
    }
}

impl Account {
    fn choice(&self) -> AccountChoice {
        AccountChoice {
            platform: self.platform.clone(),
            account: self.account.clone(),
        }
    }
}

pub(crate) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    let mut connections = ConnectionsClient::new(remote.door.clone());
    let (verb, answer) = match command {
        Command::List { platform } => {
            let platform = platform.clone();
            let listed = connections.list(ConnectionsRequest { platform }).await;
            let listed = listed.map_err(|status| remote.refused(&status))?;
            let lines = listed.into_inner().connections;
            let value = || lines.iter().map(entry).collect();
            return remote.print(value, || list(&lines, now_ms()));
        }
        Command::Reconnect { account } => (
            "Connects anew",
            connections.reconnect(account.choice()).await,
        ),
        Command::Drain { account } => ("Drains", connections.drain(account.choice()).await),
        Command::Resume { account } => ("Goes on", connections.resume(account.choice()).await),
    };
    let line = answer
        .map_err(|status| remote.refused(&status))?
        .into_inner();
    let text = || {
        let connection = line.connection.clone().unwrap_or_default();
        format!(
            "{verb}: {}:{}. See how it does with: openclaw connections list",
            connection.platform, connection.account
        )
    };
    remote.print(|| entry(&line), text)
}

fn list(lines: &[ConnectionLine], now_ms: i64) -> String {
    if lines.is_empty() {
        return "No account has run yet; set one up in the settings, such as [telegram.main]."
            .into();
    }
    let rows = lines.iter().map(|line| {
        let connection = line.connection.clone().unwrap_or_default();
        [
            format!("{}:{}", connection.platform, connection.account),
            printable(&connection.display_name),
            state(line),
            age(connection.since_ms, now_ms),
            connection.via,
            age(connection.proved_at_ms, now_ms),
            connection.received.to_string(),
            connection.sent.to_string(),
            connection.failed.to_string(),
        ]
    });
    let heads = [
        "ACCOUNT", "NAME", "STATE", "SINCE", "VIA", "HEARD", "IN", "OUT", "FAILED",
    ];
    let mut text = table(heads, rows);
    for line in lines {
        let connection = line.connection.clone().unwrap_or_default();
        let advice = [line.code.as_str(), &connection.error, &line.advice];
        let advice: Vec<_> = advice.into_iter().filter(|part| !part.is_empty()).collect();
        if !advice.is_empty() {
            let (name, advice) = (connection.account, printable_line(&advice.join(" · ")));
            text.push_str(&format!("\n{}:{name}: {advice}\n", connection.platform));
        }
    }
    text
}

/// One line of any length.
fn printable_line(text: &str) -> String {
    crate::table::visible(text).replace('\n', " ")
}

fn state(line: &ConnectionLine) -> String {
    let state = line.connection.clone().unwrap_or_default().state();
    let name = state.as_str_name().trim_start_matches("CONNECTION_STATE_");
    name.to_lowercase().replace('_', " ")
}

fn entry(line: &ConnectionLine) -> Value {
    let connection = line.connection.clone().unwrap_or_default();
    json!({
        "platform": connection.platform,
        "account": connection.account,
        "name": connection.display_name,
        "state": state(line),
        "via": connection.via,
        "sinceMs": connection.since_ms,
        "provedAtMs": connection.proved_at_ms,
        "error": connection.error,
        "attempts": connection.attempts,
        "received": connection.received,
        "sent": connection.sent,
        "failed": connection.failed,
        "code": line.code,
        "advice": line.advice,
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::{Connection, ConnectionState};

    use super::*;

    #[test]
    fn an_account_may_be_written_short() {
        let parsed = |text: &str| {
            text.parse::<Account>()
                .map(|one| (one.platform, one.account))
        };
        assert_eq!(parsed("telegram"), Ok(("telegram".into(), "main".into())));
        assert_eq!(
            parsed("Telegram:second"),
            Ok(("telegram".into(), "second".into()))
        );
        assert!(parsed(":x").is_err() && parsed("telegram:").is_err());
    }

    #[test]
    fn a_connection_that_does_not_stand_says_why_below_the_table() {
        let connection = Connection {
            platform: "telegram".into(),
            account: "main".into(),
            state: ConnectionState::PermanentlyFailed.into(),
            since_ms: 1000,
            via: "polling".into(),
            error: "unauthorized".into(),
            ..Connection::default()
        };
        let line = ConnectionLine {
            connection: Some(connection),
            code: "CONN_002".into(),
            advice: "renew the token".into(),
        };
        let text = list(&[line], 61_000);
        assert!(
            text.contains("telegram:main        permanently failed  1 min  polling"),
            "{text}"
        );
        let below = "\ntelegram:main: CONN_002 · unauthorized · renew the token\n";
        assert!(text.ends_with(below), "{text}");
    }
}
