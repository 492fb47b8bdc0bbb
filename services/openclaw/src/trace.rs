//! `openclaw trace`: the way of a message through the gateway, step by step, with how long each took.

use clap::Args;
use proto::v1::journey_client::JourneyClient;
use proto::v1::{Step, TraceRequest, Walk, WalkEnd};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::remote::Remote;
use crate::table::{printable, visible};

/// Largest answer taken.
const MAX_REPLY_BYTES: usize = 16 << 20;

#[derive(Args)]
pub(crate) struct Question {
    /// Id of a message or of what was sent for it, the platform's id of either, a conversation, or a session key.
    #[arg(value_name = "MESSAGE")]
    about: String,
    /// Shows the newest so many messages, where there are several.
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    limit: u32,
}

pub(crate) async fn run(remote: &Remote, question: &Question) -> anyhow::Result<()> {
    let request = TraceRequest {
        about: question.about.clone(),
        limit: question.limit,
    };
    let client = JourneyClient::new(remote.door.clone());
    let mut client = client.max_decoding_message_size(MAX_REPLY_BYTES);
    let reply = client.trace(request).await;
    let walks = reply
        .map_err(|status| remote.refused(&status))?
        .into_inner()
        .walks;
    let all = || match walks.as_slice() {
        [] => format!(
            "Nothing is known of {}. It may be a moment too early, or it never came in: `openclaw connections list` \
             says whether its platform is heard.",
            printable(&question.about)
        ),
        walks => walks.iter().map(text).collect::<Vec<_>>().join("\n"),
    };
    remote.print(|| walks.iter().map(to_json).collect(), all)
}

/// A message as people read it.
fn text(walk: &Walk) -> String {
    let from = walk.from.as_ref().map_or_else(String::new, |from| {
        let kind = format!("{} {} {}", from.platform, from.account, from.conversation);
        format!("  from {}", printable(&kind))
    });
    let mut text = format!(
        "{}{from}: {}\n",
        printable(&walk.turn_id),
        describe(walk.end())
    );
    let names = walk.steps.iter().map(|step| step.name.chars().count());
    let width = names.max().unwrap_or_default();
    let mut before_ms = None;
    for step in &walk.steps {
        let since = before_ms.map_or_else(String::new, |before| passed(step.at_ms - before));
        let (at, detail) = (clock(step.at_ms), detail(step));
        let line = format!("  {at}  {since:>10}  {:width$}  {detail}", step.name);
        text.push_str(line.trim_end());
        text.push('\n');
        before_ms = Some(step.at_ms);
    }
    if let [first, .., last] = walk.steps.as_slice() {
        let whole = passed(last.at_ms - first.at_ms);
        text.push_str(&format!("  {whole:>35}  in all\n"));
    }
    text
}

fn describe(end: WalkEnd) -> &'static str {
    match end {
        WalkEnd::None => "on its way",
        WalkEnd::Reply => "answered",
        WalkEnd::Silence => "not answered, for a stated reason",
        WalkEnd::Dead => "given up",
        WalkEnd::Unsure => "sent, but nobody knows whether it arrived",
    }
}

fn detail(step: &Step) -> String {
    let mut parts = Vec::new();
    if step.going_on {
        parts.push("now".to_owned());
    }
    if !step.detail.is_empty() {
        parts.push(visible(&step.detail).replace('\n', " "));
    }
    if !step.platform_message_id.is_empty() {
        parts.push(format!("as {}", printable(&step.platform_message_id)));
    }
    parts.join(", ")
}

/// A duration as people say it, with a sign: clocks of platforms may be ahead.
fn passed(ms: i64) -> String {
    let (sign, ms) = (if ms < 0 { '-' } else { '+' }, ms.unsigned_abs());
    match ms {
        0..1000 => format!("{sign}{ms} ms"),
        1000..120_000 => format!("{sign}{}.{} s", ms / 1000, ms % 1000 / 100),
        120_000..7_200_000 => format!("{sign}{} min", ms / 60_000),
        _ => format!("{sign}{} h", ms / 3_600_000),
    }
}

/// Date and time in UTC, to the millisecond.
fn clock(at_ms: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000) else {
        return at_ms.to_string();
    };
    let (hour, minute, second) = at.to_hms();
    format!(
        "{} {hour:02}:{minute:02}:{second:02}.{:03}",
        at.date(),
        at.millisecond()
    )
}

fn to_json(walk: &Walk) -> Value {
    let from = walk.from.as_ref().map(|from| {
        json!({
            "platform": from.platform, "account": from.account, "conversation": from.conversation,
            "thread": from.thread,
        })
    });
    let steps: Vec<_> = walk
        .steps
        .iter()
        .map(|step| {
            json!({
                "name": step.name, "atMs": step.at_ms, "detail": step.detail, "outboundId": step.outbound_id,
                "chunk": step.chunk, "platformMessageId": step.platform_message_id, "goingOn": step.going_on,
            })
        })
        .collect();
    let end = match walk.end() {
        WalkEnd::None => "none",
        WalkEnd::Reply => "reply",
        WalkEnd::Silence => "silence",
        WalkEnd::Dead => "dead",
        WalkEnd::Unsure => "unsure",
    };
    json!({
        "id": walk.turn_id, "agent": walk.agent, "sessionKey": walk.session_key, "from": from, "end": end,
        "steps": steps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, at_ms: i64, detail: &str) -> Step {
        Step {
            name: name.into(),
            at_ms,
            detail: detail.into(),
            ..Step::default()
        }
    }

    #[test]
    fn a_way_stands_in_columns_with_what_each_step_took() {
        let mut walk = Walk {
            turn_id: "ab".into(),
            steps: vec![
                step("written", 1_763_640_000_000, ""),
                step("received", 1_763_640_000_120, ""),
                step("sent", 1_763_640_001_620, "1 of 2"),
            ],
            ..Walk::default()
        };
        walk.set_end(WalkEnd::Reply);
        let expected = "\
ab: answered
  2025-11-20 12:00:00.000              written
  2025-11-20 12:00:00.120     +120 ms  received
  2025-11-20 12:00:01.620      +1.5 s  sent      1 of 2
                               +1.6 s  in all
";
        assert_eq!(text(&walk), expected);
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said = [-5, 999, 1000, 119_999, 120_000, 7_200_000].map(passed);
        assert_eq!(
            said,
            ["-5 ms", "+999 ms", "+1.0 s", "+119.9 s", "+2 min", "+2 h"]
        );
    }

    #[test]
    fn a_detail_cannot_steer_the_terminal() {
        let detail = detail(&Step {
            going_on: true,
            ..step("sending", 1, "\u{1b}[2Jwhy\n")
        });
        assert_eq!(detail, "now, [2Jwhy ");
    }
}
