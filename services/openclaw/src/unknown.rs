//! `openclaw unknown`: decides about sends of which nobody can say whether they arrived.

use anyhow::bail;
use chassis::clock::now_ms;
use clap::Subcommand;
use proto::v1::intents_client::IntentsClient;
use proto::v1::{IntentChoice, IntentSettlement, IntentState, UnknownListRequest, UnknownSend};
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::table::{age, printable, table};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists them, the newest first.
    List {
        /// Only those to this platform.
        #[arg(long, default_value = "")]
        platform: String,
    },
    /// Sends them once more, which may repeat them.
    Resend {
        /// Their keys in the list.
        #[arg(required = true)]
        keys: Vec<String>,
    },
    /// Writes down what you have seen on the platform; nothing is sent.
    Settle {
        /// Their keys in the list.
        #[arg(required = true)]
        keys: Vec<String>,
        /// They are there.
        #[arg(long, required_unless_present = "failed", conflicts_with = "failed")]
        sent: bool,
        /// They are not there, and shall not be.
        #[arg(long)]
        failed: bool,
    },
}

pub(crate) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    let mut intents = IntentsClient::new(remote.door.clone());
    match command {
        Command::List { platform } => {
            let request = UnknownListRequest {
                platform: platform.clone(),
                ..UnknownListRequest::default()
            };
            let listed = intents.list_unknown(request).await;
            let sends = listed
                .map_err(|status| remote.refused(&status))?
                .into_inner()
                .sends;
            let value = || sends.iter().map(entry).collect();
            remote.print(value, || list(&sends, now_ms()))
        }
        Command::Resend { keys } => {
            let mut outcomes = Vec::new();
            for key in keys {
                let choice = IntentChoice { key: key.clone() };
                let outcome = intents.resend(choice).await;
                outcomes.push((key, outcome.map(|done| done.into_inner())));
            }
            conclude(remote, "Sent again", outcomes)
        }
        Command::Settle { keys, sent, .. } => {
            let mut outcomes = Vec::new();
            for key in keys {
                let (key_, sent) = (key.clone(), *sent);
                let outcome = intents.settle(IntentSettlement { key: key_, sent }).await;
                outcomes.push((key, outcome.map(|done| done.into_inner())));
            }
            conclude(remote, "Settled", outcomes)
        }
    }
}

/// Says what was done; fails if any could not be.
fn conclude(
    remote: &Remote,
    verb: &str,
    outcomes: Vec<(&String, Result<UnknownSend, tonic::Status>)>,
) -> anyhow::Result<()> {
    let value = || {
        let lines = outcomes.iter().map(|(key, outcome)| match outcome {
            Ok(send) => entry(send),
            Err(status) => json!({"key": key, "error": status.message()}),
        });
        lines.collect()
    };
    let text = || {
        let lines = outcomes.iter().map(|(key, outcome)| match outcome {
            Ok(_) => format!("{verb}: {key}\n"),
            Err(status) => format!("{key}: {}\n", remote.refused(status)),
        });
        lines.collect()
    };
    remote.print(value, text)?;
    match outcomes
        .iter()
        .filter(|(_, outcome)| outcome.is_err())
        .count()
    {
        0 => Ok(()),
        failed => bail!("{failed} of them are as they were"),
    }
}

fn list(sends: &[UnknownSend], now_ms: i64) -> String {
    if sends.is_empty() {
        return "There is nothing to decide.".into();
    }
    let rows = sends.iter().map(|send| {
        let to = send.to.clone().unwrap_or_default();
        let state = match send.state() {
            IntentState::Queued => "will be sent again",
            _ => send.why.as_str(),
        };
        [
            send.key.clone(),
            age(send.at_ms, now_ms),
            printable(&format!(
                "{}:{}:{}",
                to.platform, to.account, to.conversation
            )),
            format!("{}/{}", send.chunk + 1, send.chunks.max(1)),
            printable(state),
            printable(&send.text),
        ]
    });
    let table = table(["KEY", "AGE", "TO", "PART", "WHY", "TEXT"], rows);
    format!(
        "{table}\nLook on the platform, then one of:\n  openclaw unknown settle --sent <KEY>\n  \
         openclaw unknown settle --failed <KEY>\n  openclaw unknown resend <KEY>\n"
    )
}

fn entry(send: &UnknownSend) -> Value {
    let to = send.to.clone().unwrap_or_default();
    let state = send
        .state()
        .as_str_name()
        .trim_start_matches("INTENT_STATE_")
        .to_lowercase();
    json!({
        "key": send.key,
        "platform": to.platform,
        "account": to.account,
        "conversation": to.conversation,
        "thread": to.thread,
        "state": state,
        "atMs": send.at_ms,
        "why": send.why,
        "code": send.code,
        "attempts": send.attempts,
        "chunk": send.chunk,
        "chunks": send.chunks,
        "text": send.text,
        "turnId": send.turn_id,
    })
}

#[cfg(test)]
mod tests {
    use proto::v1::Address;

    use super::*;

    #[test]
    fn what_is_to_decide_stands_in_columns_with_what_to_do() {
        let send = UnknownSend {
            key: "t-0.1".into(),
            to: Some(Address {
                platform: "telegram".into(),
                account: "main".into(),
                conversation: "7".into(),
                ..Address::default()
            }),
            state: IntentState::Unknown.into(),
            at_ms: 1000,
            why: "delivery unknown".into(),
            chunk: 1,
            chunks: 2,
            text: "hi".into(),
            ..UnknownSend::default()
        };
        let text = list(std::slice::from_ref(&send), 6000);
        let row = "t-0.1  5 s  telegram:main:7  2/2   delivery unknown  hi\n";
        assert!(text.contains(row), "{text}");
        assert_eq!(entry(&send)["state"], "unknown");
        assert_eq!(list(&[], 0), "There is nothing to decide.");
    }
}
