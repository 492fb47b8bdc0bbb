//! `openclaw pairing`: a thin client of the admin API, for letting people in.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use proto::v1::pairing_client::PairingClient;
use proto::v1::{PairingDecision, PairingEntry, PairingListRequest};
use serde_json::{Value, json};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::Settings;
use crate::home::Home;

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Args)]
pub(crate) struct Options {
    /// Where the admin API listens, as host:port; else as the settings say.
    #[arg(long, global = true, value_name = "ADDRESS")]
    address: Option<String>,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists who waits, and who was let in.
    List {
        /// Only people of this platform.
        #[arg(long, default_value = "")]
        platform: String,
    },
    /// Lets the person in who was shown this code.
    Approve { code: String },
    /// Refuses the person who was shown this code.
    Reject { code: String },
}

pub(crate) async fn run(
    options: &Options,
    command: &Command,
    home: &Home,
    settings: &Settings,
) -> anyhow::Result<()> {
    let address = match &options.address {
        Some(address) => address.clone(),
        None => settings.admin_address().to_string(),
    };
    let token = Some(settings.gateway.token.clone()).filter(|token| !token.is_empty());
    let token = token.or_else(|| home.token()).with_context(|| {
        format!(
            "no token: set OPENCLAW_GATEWAY_TOKEN, or name the gateway's data folder with --data \
             (looked into {})",
            home.folder().display()
        )
    })?;
    let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", token.expose())
        .parse()
        .context("the gateway's token cannot be sent")?;
    bearer.set_sensitive(true);
    let channel = connect(&address).await?;
    let mut client = PairingClient::with_interceptor(channel, move |mut request: Request<()>| {
        request
            .metadata_mut()
            .insert("authorization", bearer.clone());
        Ok(request)
    });
    let refused = |status: Status| match status.code() {
        tonic::Code::Unauthenticated => anyhow::anyhow!(
            "the gateway at {address} does not take this token; is it the token of another gateway?"
        ),
        _ => anyhow::anyhow!("{}", status.message()),
    };
    match command {
        Command::List { platform } => {
            let platform = platform.clone();
            let request = PairingListRequest { platform };
            let reply = client.list(request).await.map_err(refused)?.into_inner();
            if options.json {
                print_json(&json!({
                    "pending": reply.pending.iter().map(entry).collect::<Vec<_>>(),
                    "approved": reply.approved.iter().map(entry).collect::<Vec<_>>(),
                }))
            } else {
                println!(
                    "{}",
                    lists(&reply.pending, &reply.approved, chassis::clock::now_ms())
                );
                Ok(())
            }
        }
        Command::Approve { code } => {
            let decision = PairingDecision { code: clean(code) };
            let done = client.approve(decision).await.map_err(refused)?;
            decided(options, "Let in", &done.into_inner())
        }
        Command::Reject { code } => {
            let decision = PairingDecision { code: clean(code) };
            let done = client.reject(decision).await.map_err(refused)?;
            decided(options, "Refused", &done.into_inner())
        }
    }
}

async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .with_context(|| format!("{address} is not an address as 127.0.0.1:18790"))?;
    let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE);
    match endpoint.connect().await {
        Ok(channel) => Ok(channel),
        Err(error) => {
            let error = anyhow::Error::new(error);
            bail!("no gateway answers at {address} ({error:#}); start it with `openclaw gateway`")
        }
    }
}

fn decided(options: &Options, verb: &str, who: &PairingEntry) -> anyhow::Result<()> {
    if options.json {
        return print_json(&entry(who));
    }
    println!(
        "{verb}: {} ({}, {})",
        person(who),
        who.platform,
        who.account
    );
    Ok(())
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn entry(entry: &PairingEntry) -> Value {
    json!({
        "code": entry.code,
        "platform": entry.platform,
        "account": entry.account,
        "senderId": entry.sender_id,
        "senderName": entry.sender_name,
        "askedAtMs": entry.asked_at_ms,
        "expiresAtMs": entry.expires_at_ms,
        "decidedAtMs": entry.decided_at_ms,
    })
}

/// Codes are shown in groups and typed by hand.
fn clean(code: &str) -> String {
    let letters = code.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|letter| letter.to_ascii_uppercase()).collect()
}

fn lists(pending: &[PairingEntry], approved: &[PairingEntry], now_ms: i64) -> String {
    let mut text = match pending {
        [] => "Nobody waits.\n".to_owned(),
        _ => {
            let head = ["CODE", "PLATFORM", "ACCOUNT", "PERSON", "EXPIRES"].map(str::to_owned);
            let rows = pending.iter().map(|one| {
                let minutes = (one.expires_at_ms - now_ms).max(0) / 60_000;
                let expires = format!("in {minutes} min");
                [
                    printable(&one.code),
                    printable(&one.platform),
                    printable(&one.account),
                    person(one),
                    expires,
                ]
            });
            let table = columns(std::iter::once(head).chain(rows).collect());
            format!("{table}\nLet somebody in with: openclaw pairing approve <CODE>\n")
        }
    };
    if !approved.is_empty() {
        let head = ["LET IN", "PLATFORM", "ACCOUNT"].map(str::to_owned);
        let rows = approved.iter().map(|one| {
            [
                person(one),
                printable(&one.platform),
                printable(&one.account),
            ]
        });
        text.push('\n');
        text.push_str(&columns(std::iter::once(head).chain(rows).collect()));
    }
    text.trim_end().to_owned()
}

fn columns<const N: usize>(rows: Vec<[String; N]>) -> String {
    let width = |at: usize| {
        rows.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        line.trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn person(entry: &PairingEntry) -> String {
    let id = printable(&entry.sender_id);
    match printable(&entry.sender_name) {
        name if name.is_empty() => id,
        name => format!("{name} ({id})"),
    }
}

/// A stranger chose the text; it must not steer the terminal.
fn printable(text: &str) -> String {
    let visible = |char: &char| {
        let turns = matches!(char, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        !char.is_control() && !turns
    };
    text.chars().filter(visible).take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asker(code: &str, name: &str) -> PairingEntry {
        PairingEntry {
            code: code.into(),
            platform: "telegram".into(),
            account: "main".into(),
            sender_id: "42".into(),
            sender_name: name.into(),
            expires_at_ms: 3_600_000,
            ..PairingEntry::default()
        }
    }

    #[test]
    fn people_stand_in_columns_with_what_to_do() {
        let text = lists(&[asker("ABCDEFGH", "Ann")], &[asker("", "")], 0);
        let expected = "\
CODE      PLATFORM  ACCOUNT  PERSON    EXPIRES
ABCDEFGH  telegram  main     Ann (42)  in 60 min

Let somebody in with: openclaw pairing approve <CODE>

LET IN  PLATFORM  ACCOUNT
42      telegram  main";
        assert_eq!(text, expected);
        assert_eq!(lists(&[], &[], 0), "Nobody waits.");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        let text = lists(&[asker("A", "\u{1b}[2JAnn\u{202e}\n")], &[], 0);
        assert!(text.contains(" [2JAnn (42) "), "{text}");
    }

    #[test]
    fn a_code_may_be_typed_as_people_type() {
        assert_eq!(clean(" abcd-efgh "), "ABCDEFGH");
    }
}
