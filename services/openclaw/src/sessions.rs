//! `openclaw sessions`: which sessions there are, the one used last first.

use chassis::clock::now_ms;
use clap::Args;
use proto::v1::sessions_client::SessionsClient;
use proto::v1::{SessionLine, SessionsReply, SessionsRequest};
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::table::{age, printable, table};

#[derive(Args)]
pub(crate) struct Page {
    /// How many at most.
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

pub(crate) async fn run(remote: &Remote, page: &Page) -> anyhow::Result<()> {
    let request = SessionsRequest { limit: page.limit };
    let listed = SessionsClient::new(remote.door.clone()).list(request).await;
    let reply = listed
        .map_err(|status| remote.refused(&status))?
        .into_inner();
    let value = || {
        json!({
            "total": reply.total,
            "sessions": reply.sessions.iter().map(entry).collect::<Vec<_>>(),
        })
    };
    remote.print(value, || list(&reply, now_ms()))
}

fn list(reply: &SessionsReply, now_ms: i64) -> String {
    if reply.sessions.is_empty() {
        return "There are no sessions yet.".into();
    }
    let rows = reply.sessions.iter().map(|line| {
        [
            printable(&line.session_key),
            line.agent.clone(),
            age(line.updated_at_ms, now_ms),
            line.lines.to_string(),
            line.input_tokens.to_string(),
            line.output_tokens.to_string(),
            printable(&line.model),
            printable(&line.label),
        ]
    });
    let heads = [
        "SESSION",
        "AGENT",
        "LAST USED",
        "LINES",
        "TOKENS IN",
        "OUT",
        "MODEL",
        "LABEL",
    ];
    let mut text = table(heads, rows);
    let more = reply.total.saturating_sub(reply.sessions.len() as u64);
    if more > 0 {
        text.push_str(&format!("\nand {more} more; see them with --limit\n"));
    }
    text
}

fn entry(line: &SessionLine) -> Value {
    json!({
        "agent": line.agent,
        "sessionKey": line.session_key,
        "sessionId": line.session_id,
        "updatedAtMs": line.updated_at_ms,
        "lines": line.lines,
        "inputTokens": line.input_tokens,
        "outputTokens": line.output_tokens,
        "model": line.model,
        "label": line.label,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_stand_in_columns() {
        let line = SessionLine {
            session_key: "telegram:dm:1".into(),
            agent: "main".into(),
            lines: 4,
            updated_at_ms: 1000,
            ..SessionLine::default()
        };
        let reply = SessionsReply {
            sessions: vec![line],
            total: 2,
        };
        let text = list(&reply, 2000);
        assert!(
            text.contains("telegram:dm:1  main   1 s        4      0          0\n"),
            "{text}"
        );
        assert!(text.ends_with("and 1 more; see them with --limit\n"));
    }
}
