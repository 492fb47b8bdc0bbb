//! `openclaw pairing`: a thin client of the admin API, for letting people in.

use clap::Subcommand;
use proto::v1::pairing_client::PairingClient;
use proto::v1::{PairingDecision, PairingEntry, PairingListRequest};
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::table::{printable, table};

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

pub(crate) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    let mut client = PairingClient::new(remote.door.clone());
    let (verb, decided) = match command {
        Command::List { platform } => {
            let platform = platform.clone();
            let listed = client.list(PairingListRequest { platform }).await;
            let reply = listed
                .map_err(|status| remote.refused(&status))?
                .into_inner();
            let value = || {
                json!({
                    "pending": reply.pending.iter().map(entry).collect::<Vec<_>>(),
                    "approved": reply.approved.iter().map(entry).collect::<Vec<_>>(),
                })
            };
            let now_ms = chassis::clock::now_ms();
            return remote.print(value, || lists(&reply.pending, &reply.approved, now_ms));
        }
        Command::Approve { code } => {
            let decision = PairingDecision { code: clean(code) };
            ("Let in", client.approve(decision).await)
        }
        Command::Reject { code } => {
            let decision = PairingDecision { code: clean(code) };
            ("Refused", client.reject(decision).await)
        }
    };
    let who = decided
        .map_err(|status| remote.refused(&status))?
        .into_inner();
    let text = || {
        format!(
            "{verb}: {} ({}, {})",
            person(&who),
            who.platform,
            who.account
        )
    };
    remote.print(|| entry(&who), text)
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
            let rows = pending.iter().map(|one| {
                let minutes = (one.expires_at_ms - now_ms).max(0) / 60_000;
                [
                    printable(&one.code),
                    printable(&one.platform),
                    printable(&one.account),
                    person(one),
                    format!("in {minutes} min"),
                ]
            });
            let table = table(["CODE", "PLATFORM", "ACCOUNT", "PERSON", "EXPIRES"], rows);
            format!("{table}\nLet somebody in with: openclaw pairing approve <CODE>\n")
        }
    };
    if !approved.is_empty() {
        let rows = approved.iter().map(|one| {
            let (platform, account) = (printable(&one.platform), printable(&one.account));
            [person(one), platform, account]
        });
        text.push('\n');
        text.push_str(&table(["LET IN", "PLATFORM", "ACCOUNT"], rows));
    }
    text.trim_end().to_owned()
}

fn person(entry: &PairingEntry) -> String {
    let id = printable(&entry.sender_id);
    match printable(&entry.sender_name) {
        name if name.is_empty() => id,
        name => format!("{name} ({id})"),
    }
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
        let text = lists(&[asker("A", "\u{1b}[2JAnn\u{202e}")], &[], 0);
        assert!(text.contains(" [2JAnn (42) "), "{text}");
    }

    #[test]
    fn a_code_may_be_typed_as_people_type() {
        assert_eq!(clean(" abcd-efgh "), "ABCDEFGH");
    }
}
