//! `openclaw dead`: looks at messages that were given up, puts them back or throws them away.

use anyhow::bail;
use chassis::clock::now_ms;
use clap::{Args, Subcommand};
use proto::v1::dead_letters_client::DeadLettersClient;
use proto::v1::{
    DeadDone, DeadLetter, DeadListReply, DeadListRequest, DeadSelection, DeadShowRequest,
};
use serde_json::{Value, json};

use crate::remote::{Door, Remote};
use crate::table::{age, printable, table, time, visible};

/// Letters named in one call; the gateway takes no more at once.
const NAMED_AT_ONCE: usize = 200;

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists them, the newest first.
    List {
        /// Only those whose reason holds this.
        #[arg(long, default_value = "")]
        reason: String,
        /// Only those from this stream: IN, TURN, OUT or LATER.
        #[arg(long, default_value = "")]
        stream: String,
        /// How many at most.
        #[arg(long, default_value_t = 50)]
        limit: u32,
        /// Only those with a smaller number: the next page.
        #[arg(long, default_value_t = 0, value_name = "NUMBER")]
        before: u64,
    },
    /// Shows one, with what it says.
    Show {
        /// Its number in the list.
        number: u64,
    },
    /// Puts them back where they were, to be handled again.
    Replay(Choice),
    /// Removes them for good.
    Drop(Choice),
}

#[derive(Args)]
pub(crate) struct Choice {
    /// Their numbers in the list.
    #[arg(conflicts_with_all = ["all", "reason", "stream"])]
    numbers: Vec<u64>,
    /// All whose reason holds this.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// All from this stream.
    #[arg(long, default_value = "", hide_default_value = true)]
    stream: String,
    /// All there are.
    #[arg(long)]
    all: bool,
}

impl Choice {
    fn is_empty(&self) -> bool {
        let filtered = self.all || !self.reason.is_empty() || !self.stream.is_empty();
        self.numbers.is_empty() && !filtered
    }
}

/// Which call works on a selection.
#[derive(Clone, Copy)]
enum Deed {
    Replay,
    Drop,
}

pub(crate) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    let mut dead = DeadLettersClient::new(remote.door.clone());
    match command {
        Command::List {
            reason,
            stream,
            limit,
            before,
        } => {
            let request = DeadListRequest {
                stream: stream.clone(),
                reason: reason.clone(),
                before: *before,
                limit: *limit,
            };
            let listed = dead.list(request).await;
            let reply = listed
                .map_err(|status| remote.refused(&status))?
                .into_inner();
            let value = || {
                json!({
                    "total": reply.total,
                    "nextBefore": reply.next_before,
                    "letters": reply.letters.iter().map(entry).collect::<Vec<_>>(),
                })
            };
            remote.print(value, || list(&reply, now_ms()))
        }
        Command::Show { number } => {
            let shown = dead.show(DeadShowRequest { sequence: *number }).await;
            let letter = shown
                .map_err(|status| remote.refused(&status))?
                .into_inner();
            remote.print(|| entry(&letter), || whole(&letter))
        }
        Command::Replay(choice) => work(remote, &mut dead, choice, Deed::Replay).await,
        Command::Drop(choice) => work(remote, &mut dead, choice, Deed::Drop).await,
    }
}

/// Calls until the whole choice is worked on; what dies anew meanwhile is not of it.
async fn work(
    remote: &Remote,
    dead: &mut DeadLettersClient<Door>,
    choice: &Choice,
    deed: Deed,
) -> anyhow::Result<()> {
    if choice.is_empty() {
        bail!("say which: their numbers, or --reason TEXT, --stream NAME or --all");
    }
    let mut total = DeadDone::default();
    if choice.numbers.is_empty() {
        let mut selection = DeadSelection {
            all: choice.all,
            reason: choice.reason.clone(),
            stream: choice.stream.clone(),
            ..DeadSelection::default()
        };
        loop {
            let done = call(remote, dead, selection.clone(), deed).await?;
            (selection.up_to, total.left) = (done.up_to, done.left);
            let stuck = done.done == 0 || !done.failed.is_empty();
            add(&mut total, done);
            if total.left == 0 || stuck {
                break;
            }
        }
    }
    for numbers in choice.numbers.chunks(NAMED_AT_ONCE) {
        let selection = DeadSelection {
            sequences: numbers.to_vec(),
            ..DeadSelection::default()
        };
        add(&mut total, call(remote, dead, selection, deed).await?);
    }
    let value = || {
        let failed = total.failed.iter();
        let failed = failed.map(|one| json!({"number": one.sequence, "error": one.error}));
        json!({"done": total.done, "failed": failed.collect::<Vec<_>>(), "left": total.left})
    };
    remote.print(value, || outcome(&total, deed))?;
    match total.failed.len() {
        0 => Ok(()),
        failed => bail!("{failed} of them are as they were"),
    }
}

async fn call(
    remote: &Remote,
    dead: &mut DeadLettersClient<Door>,
    selection: DeadSelection,
    deed: Deed,
) -> anyhow::Result<DeadDone> {
    let done = match deed {
        Deed::Replay => dead.replay(selection).await,
        Deed::Drop => dead.drop(selection).await,
    };
    Ok(done.map_err(|status| remote.refused(&status))?.into_inner())
}

fn add(total: &mut DeadDone, done: DeadDone) {
    total.done += done.done;
    total.failed.extend(done.failed);
}

fn outcome(total: &DeadDone, deed: Deed) -> String {
    let word = match deed {
        Deed::Replay => "Replayed",
        Deed::Drop => "Dropped",
    };
    let mut text = format!("{word}: {}\n", total.done);
    for one in &total.failed {
        text.push_str(&format!("{}: {}\n", one.sequence, visible(&one.error)));
    }
    if total.left > 0 {
        text.push_str(&format!("Not touched: {}\n", total.left));
    }
    text
}

fn list(reply: &DeadListReply, now_ms: i64) -> String {
    if reply.letters.is_empty() {
        return match reply.total {
            0 => "There are no dead letters.".into(),
            total => format!("None of the {total} dead letters is meant."),
        };
    }
    let rows = reply.letters.iter().map(|letter| {
        [
            letter.sequence.to_string(),
            age(letter.dead_at_ms, now_ms),
            letter.stream.clone(),
            letter.attempts.to_string(),
            letter.code.clone(),
            printable(&letter.reason),
        ]
    });
    let mut text = table(["NUMBER", "AGE", "STREAM", "TRIES", "CODE", "REASON"], rows);
    if reply.next_before > 0 {
        let (before, total) = (reply.next_before, reply.total);
        text.push_str(&format!(
            "\nMore (of {total}): openclaw dead list --before {before}\n"
        ));
    }
    text.push_str(
        "\nLook closer: openclaw dead show <NUMBER>\nPut back:    openclaw dead replay <NUMBER>\n",
    );
    text
}

fn whole(letter: &DeadLetter) -> String {
    let lines = [
        ("number", letter.sequence.to_string()),
        ("given up", time(letter.dead_at_ms)),
        ("reason", letter.reason.clone()),
        ("code", letter.code.clone()),
        ("advice", letter.advice.clone()),
        ("tries", letter.attempts.to_string()),
        ("replayed", format!("{} times", letter.replays)),
        ("stream", letter.stream.clone()),
        ("subject", letter.subject.clone()),
        ("trace", letter.trace_id.clone()),
        ("size", format!("{} bytes", letter.size_bytes)),
    ];
    let lines = lines.iter().filter(|(_, text)| !text.is_empty());
    let mut text: String = lines
        .map(|(name, text)| format!("{name:9} {}\n", visible(text)))
        .collect();
    text.push('\n');
    text.push_str(&visible(&letter.content));
    text
}

fn entry(letter: &DeadLetter) -> Value {
    json!({
        "number": letter.sequence,
        "stream": letter.stream,
        "subject": letter.subject,
        "reason": letter.reason,
        "code": letter.code,
        "advice": letter.advice,
        "attempts": letter.attempts,
        "replays": letter.replays,
        "traceId": letter.trace_id,
        "deadAtMs": letter.dead_at_ms,
        "sizeBytes": letter.size_bytes,
        "content": letter.content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            sequence: 7,
            stream: "OUT".into(),
            reason: "rejected: no\u{1b} chat".into(),
            code: "MSG_002".into(),
            attempts: 1,
            dead_at_ms: 1000,
            content: "text: hi".into(),
            ..DeadLetter::default()
        }
    }

    #[test]
    fn letters_stand_in_columns_with_what_to_do() {
        let reply = DeadListReply {
            letters: vec![letter()],
            total: 9,
            next_before: 7,
        };
        let text = list(&reply, 61_000);
        let expected = "\
NUMBER  AGE    STREAM  TRIES  CODE     REASON
7       1 min  OUT     1      MSG_002  rejected: no chat

More (of 9): openclaw dead list --before 7

Look closer: openclaw dead show <NUMBER>
Put back:    openclaw dead replay <NUMBER>
";
        assert_eq!(text, expected);
        assert_eq!(
            list(&DeadListReply::default(), 0),
            "There are no dead letters."
        );
    }

    #[test]
    fn one_letter_is_shown_whole() {
        let text = whole(&letter());
        assert!(text.contains("given up  1970-01-01T00:00:01Z\n"), "{text}");
        assert!(
            text.ends_with("\ntext: hi") && !text.contains("trace"),
            "{text}"
        );
    }
}
