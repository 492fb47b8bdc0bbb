//! `openclaw send` and `openclaw schedules`: messages of an operator, now or later.

use chassis::clock::now_ms;
use clap::{Args, Subcommand};
use proto::v1::messages_client::MessagesClient;
use proto::v1::schedules_client::SchedulesClient;
use proto::v1::{
    Address, ScheduleChoice, Scheduled, SchedulesReply, SchedulesRequest, SendRequest,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::remote::Remote;
use crate::table::{age, printable, table, time};

#[derive(Args)]
pub(crate) struct Message {
    /// Where to: platform:account:conversation, such as telegram:main:123456789.
    #[arg(long, value_name = "ADDRESS")]
    to: To,
    /// Thread or topic in there.
    #[arg(long, default_value = "", hide_default_value = true)]
    thread: String,
    /// What, in Markdown.
    #[arg(long)]
    text: String,
    /// Not before: a time as 2026-11-20T18:00:00Z, or from now as +10m, +2h30m, +1d.
    #[arg(long, value_name = "TIME")]
    at: Option<At>,
    /// Sends nothing if a message with the same key was sent before; else one is made up.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Without a sound for the reader.
    #[arg(long)]
    silent: bool,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists what is to be sent later, the next one first.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Takes one back that has not been sent.
    Cancel {
        /// Its id in the list.
        id: String,
    },
}

/// Where to, as people write it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct To {
    platform: String,
    account: String,
    conversation: String,
}

impl std::str::FromStr for To {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Ids of conversations are the platform's own and may hold colons.
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        let (platform, account, conversation) = (parts.next(), parts.next(), parts.next());
        match (platform, account, conversation) {
            (Some(platform), Some(account), Some(conversation))
                if !platform.is_empty() && !account.is_empty() && !conversation.is_empty() =>
            {
                Ok(Self {
                    platform: platform.to_lowercase(),
                    account,
                    conversation,
                })
            }
            _ => Err("write platform:account:conversation, such as telegram:main:123456789"),
        }
    }
}

/// A time, or a wait from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Time(i64),
    In(i64),
}

impl std::str::FromStr for At {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "write a time as 2026-11-20T18:00:00Z, or a wait as +90s, +10m, +2h30m, +1d";
        let Some(wait) = text.strip_prefix('+') else {
            let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| wrong)?;
            let at_ms = at.unix_timestamp_nanos().div_euclid(1_000_000);
            return i64::try_from(at_ms).map(Self::Time).map_err(|_| wrong);
        };
        let (mut total, mut number) = (0_i64, String::new());
        for letter in wait.chars() {
            let unit_ms = match letter {
                '0'..='9' => {
                    number.push(letter);
                    continue;
                }
                's' => 1000,
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return Err(wrong),
            };
            let count: i64 = number.parse().map_err(|_| wrong)?;
            let part = count.checked_mul(unit_ms).ok_or(wrong)?;
            total = total.checked_add(part).ok_or(wrong)?;
            number.clear();
        }
        match number.is_empty() && total > 0 {
            true => Ok(Self::In(total)),
            false => Err(wrong),
        }
    }
}

impl At {
    fn ms(self, now_ms: i64) -> i64 {
        match self {
            Self::Time(at_ms) => at_ms,
            Self::In(wait_ms) => now_ms.saturating_add(wait_ms),
        }
    }
}

/// Sends a message.
pub(crate) async fn run(remote: &Remote, message: &Message) -> anyhow::Result<()> {
    let To {
        platform,
        account,
        conversation,
    } = message.to.clone();
    let now_ms = now_ms();
    let at_ms = message.at.map_or(0, |at| at.ms(now_ms));
    let request = SendRequest {
        to: Some(Address {
            platform,
            account,
            conversation,
            thread: message.thread.clone(),
            ..Address::default()
        }),
        text: message.text.clone(),
        idempotency_key: message
            .key
            .clone()
            .unwrap_or_else(|| Uuid::new_v4().to_string()),
        at_ms,
        silent: message.silent,
    };
    let sent = MessagesClient::new(remote.door.clone()).send(request).await;
    let reply = sent.map_err(|status| remote.refused(&status))?.into_inner();
    let value = || json!({"id": reply.id, "duplicate": reply.duplicate, "atMs": at_ms});
    remote.print(value, || match (reply.duplicate, at_ms > now_ms) {
        (true, _) => format!("Not again: {} is on its way already.", reply.id),
        (false, true) => format!(
            "At {}: {}. Take it back with: openclaw schedules cancel {}",
            time(at_ms),
            reply.id,
            reply.id
        ),
        (false, false) => format!("On its way: {}", reply.id),
    })
}

/// Lists or cancels what is to be sent later.
pub(crate) async fn schedules(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    let mut schedules = SchedulesClient::new(remote.door.clone());
    match command {
        Command::List { limit } => {
            let listed = schedules.list(SchedulesRequest { limit: *limit }).await;
            let reply = listed
                .map_err(|status| remote.refused(&status))?
                .into_inner();
            let value = || {
                json!({
                    "total": reply.total,
                    "schedules": reply.schedules.iter().map(entry).collect::<Vec<_>>(),
                })
            };
            remote.print(value, || list(&reply, now_ms()))
        }
        Command::Cancel { id } => {
            let cancelled = schedules.cancel(ScheduleChoice { id: id.clone() }).await;
            cancelled.map_err(|status| remote.refused(&status))?;
            remote.print(|| json!({"id": id}), || format!("Taken back: {id}"))
        }
    }
}

fn list(reply: &SchedulesReply, now_ms: i64) -> String {
    if reply.schedules.is_empty() {
        return "Nothing is to be sent later.".into();
    }
    let rows = reply.schedules.iter().map(|one| {
        [
            one.id.clone(),
            time(one.at_ms),
            age(one.at_ms, now_ms),
            printable(&place(one)),
            printable(&one.text),
        ]
    });
    let mut text = table(["ID", "AT", "IN", "TO", "TEXT"], rows);
    let more = reply.total.saturating_sub(reply.schedules.len() as u64);
    if more > 0 {
        text.push_str(&format!("\nand {more} more; see them with --limit\n"));
    }
    text
}

fn place(one: &Scheduled) -> String {
    one.to.as_ref().map_or_else(
        || one.subject.clone(),
        |to| format!("{}:{}:{}", to.platform, to.account, to.conversation),
    )
}

fn entry(one: &Scheduled) -> Value {
    let to = one.to.clone().unwrap_or_default();
    json!({
        "id": one.id,
        "atMs": one.at_ms,
        "subject": one.subject,
        "platform": to.platform,
        "account": to.account,
        "conversation": to.conversation,
        "thread": to.thread,
        "text": one.text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_a_wait() {
        let at = |text: &str| text.parse::<At>().ok();
        assert_eq!(
            at("2026-11-20T12:00:00Z"),
            Some(At::Time(1_795_176_000_000))
        );
        assert_eq!(at("2026-11-20T13:00:00+01:00"), at("2026-11-20T12:00:00Z"));
        assert_eq!(at("+10m"), Some(At::In(600_000)));
        assert_eq!(at("+1d2h30m5s"), Some(At::In(95_405_000)));
        for wrong in [
            "",
            "+",
            "+5",
            "+m",
            "10m",
            "tomorrow",
            "+9999999999999999d",
            "+0s",
        ] {
            assert_eq!(at(wrong), None, "{wrong}");
        }
        assert_eq!(At::In(5).ms(1), 6);
    }

    #[test]
    fn an_address_keeps_the_colons_of_its_conversation() {
        let to: To = "Telegram:main:-100:7".parse().unwrap();
        assert_eq!(
            (to.platform.as_str(), to.conversation.as_str()),
            ("telegram", "-100:7")
        );
        for wrong in [
            "",
            "telegram",
            "telegram:main",
            "telegram::7",
            "telegram:main:",
        ] {
            assert!(wrong.parse::<To>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_to_come_stands_in_columns() {
        let one = Scheduled {
            id: "send-a".into(),
            at_ms: 61_000,
            subject: "out.x".into(),
            ..Scheduled::default()
        };
        let reply = SchedulesReply {
            schedules: vec![one],
            total: 3,
        };
        let text = list(&reply, 1000);
        let row = "send-a  1970-01-01T00:01:01Z  1 min  out.x\n";
        assert!(
            text.contains(row) && text.ends_with("and 2 more; see them with --limit\n"),
            "{text}"
        );
    }
}
