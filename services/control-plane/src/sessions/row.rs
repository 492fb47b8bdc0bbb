//! A session as lists of them show it: pure.

use proto::{
    session,
    v1::{SessionRow, SessionSettings},
};
use serde_json::{Map, Value, json};

/// Longest title made out of what was said, in characters.
const TITLE_CHARS: usize = 60;
/// Longest piece of the last message, in characters.
const PREVIEW_CHARS: usize = 160;

/// What of a row is wanted besides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Extras {
    /// A title made out of what was said.
    pub(crate) titles: bool,
    /// The last message.
    pub(crate) last: bool,
}

/// Where a session is on its platform, as its key says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place<'a> {
    pub(crate) channel: &'a str,
    pub(crate) account: &'a str,
    pub(crate) to: &'a str,
    kind: &'a str,
}

impl<'a> Place<'a> {
    /// The place that `session_key` names.
    pub(crate) fn of(session_key: &'a str) -> Self {
        let mut parts = session_key.splitn(3, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (channel, kind, identifier) = (next(), next(), next());
        let (account, to) = match channel {
            "webchat" | "cron" => ("", identifier),
            _ => identifier.split_once('/').unwrap_or(("main", identifier)),
        };
        Self {
            channel,
            account,
            to,
            kind,
        }
    }

    /// One person writes.
    pub(crate) fn is_direct(&self) -> bool {
        matches!(self.kind, "dm" | "main" | "job")
    }

    fn chat_type(&self) -> &'static str {
        match self.kind {
            "channel" => "channel",
            "group" | "thread" => "group",
            _ => "direct",
        }
    }
}

/// A session with what was set for it and what runs in it.
pub(crate) fn row(
    session: &SessionRow,
    set: Option<&SessionSettings>,
    running: &[String],
    extras: Extras,
    now_ms: i64,
) -> Value {
    let place = Place::of(&session.session_key);
    let nothing = SessionSettings::default();
    let set = set.unwrap_or(&nothing);
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| row.insert(key.into(), value);
    put(
        "key",
        session::to_client(&session.agent, &session.session_key).into(),
    );
    put("agentId", session.agent.as_str().into());
    put(
        "kind",
        if place.is_direct() { "direct" } else { "group" }.into(),
    );
    put("chatType", place.chat_type().into());
    put("channel", place.channel.into());
    put("isMain", (session.session_key == "webchat:main").into());
    put("sessionId", session.session_id.as_str().into());
    put("updatedAt", session.updated_at_ms.into());
    let age_ms = now_ms.saturating_sub(session.updated_at_ms).max(0);
    put("age", age_ms.into());
    put("snapshotAt", now_ms.into());
    put("lastActivityAt", session.updated_at_ms.into());
    put("systemSent", (session.lines > 0).into());
    put("abortedLastRun", (session.last_end == "aborted").into());
    put("inputTokens", session.input_tokens.into());
    put("outputTokens", session.output_tokens.into());
    let total = session.input_tokens.saturating_add(session.output_tokens);
    put("totalTokens", total.into());
    let cost_usd = session.cost_micro_usd as f64 / 1e6;
    put("estimatedCostUsd", cost_usd.into());
    put("hasActiveRun", (!running.is_empty()).into());
    put("activeRunIds", running.into());
    put("visibility", "shared".into());
    put("flags", json!([]));
    put("lastChannel", place.channel.into());
    put("deliveryContext", delivery(&place));
    put("archived", (set.archived_at_ms > 0).into());
    put("pinned", (set.pinned_at_ms > 0).into());
    let seen = set.marked_unread_at_ms == 0 && session.updated_at_ms <= set.read_at_ms;
    put("unread", (!seen).into());
    let texts = [
        ("lastTo", place.to),
        ("lastAccountId", place.account),
        ("label", &set.label),
        ("displayName", &session.title),
        ("sendPolicy", &set.send_policy),
        ("groupActivation", &set.group_activation),
        ("category", &set.category),
        ("status", status(session, running)),
    ];
    for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
        put(key, text.into());
    }
    let times = [
        ("createdAt", session.created_at_ms),
        ("lastInteractionAt", session.interacted_at_ms),
        ("archivedAt", set.archived_at_ms),
        ("pinnedAt", set.pinned_at_ms),
        ("lastReadAt", set.read_at_ms),
        ("markedUnreadAt", set.marked_unread_at_ms),
    ];
    for (key, at_ms) in times.into_iter().filter(|(_, at_ms)| *at_ms > 0) {
        put(key, at_ms.into());
    }
    for (key, value) in &set.shown {
        put(key, serde_json::from_str(value).unwrap_or(Value::Null));
    }
    let (provider, model) = match set.model.as_str() {
        "" => (session.provider.as_str(), session.model.as_str()),
        chosen => split_model(chosen, &session.provider),
    };
    put("modelProvider", text_or_null(provider));
    put("model", text_or_null(model));
    if !set.model.is_empty() {
        put("modelOverrideSource", "user".into());
    }
    if extras.titles
        && let Some(title) = title(session)
    {
        put("derivedTitle", title.into());
    }
    if extras.last && !session.last_text.is_empty() {
        let preview = one_line(&session.last_text, PREVIEW_CHARS);
        put("lastMessagePreview", preview.into());
    }
    row.into()
}

/// `provider/model` apart; a model alone is `provider`'s.
pub(crate) fn split_model<'a>(chosen: &'a str, provider: &'a str) -> (&'a str, &'a str) {
    chosen.split_once('/').unwrap_or((provider, chosen))
}

fn text_or_null(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => text.into(),
    }
}

fn delivery(place: &Place<'_>) -> Value {
    let mut context = json!({"channel": place.channel});
    for (key, text) in [("to", place.to), ("accountId", place.account)] {
        if !text.is_empty() {
            context[key] = text.into();
        }
    }
    context
}

fn status(session: &SessionRow, running: &[String]) -> &'static str {
    match session.last_end.as_str() {
        _ if !running.is_empty() => "running",
        "" => "",
        "aborted" => "killed",
        "timeout" if session.failed => "timeout",
        _ if session.failed => "failed",
        _ => "done",
    }
}

/// What people call it, or else how it began.
fn title(session: &SessionRow) -> Option<String> {
    let source = [&session.title, &session.first_text];
    let source = source.into_iter().find(|text| !text.trim().is_empty())?;
    Some(one_line(source, TITLE_CHARS))
}

/// The words of `text` on one line, at most `most` characters, cut between words where that is possible.
fn one_line(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = words.char_indices().nth(most) else {
        return words;
    };
    let cut = &words[..end];
    let cut = cut
        .rsplit_once(' ')
        .map_or(cut, |(whole, _)| whole)
        .trim_end();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> SessionRow {
        SessionRow {
            agent: "main".into(),
            session_key: "telegram:group:shop/-7".into(),
            session_id: "s".into(),
            updated_at_ms: 40,
            title: "The team".into(),
            first_text: "what is  the plan\nfor today".into(),
            last_text: "a plan".into(),
            provider: "openai".into(),
            model: "m".into(),
            lines: 2,
            ..SessionRow::default()
        }
    }

    #[test]
    fn a_row_says_where_it_is_and_how_it_stands() {
        let row = row(&session(), None, &[], Extras::default(), 100);
        assert_eq!(row["key"], "agent:main:telegram:group:shop/-7");
        assert_eq!((&row["kind"], &row["age"]), (&json!("group"), &json!(60)));
        assert_eq!(
            row["deliveryContext"],
            json!({"channel": "telegram", "to": "-7", "accountId": "shop"})
        );
        assert_eq!(row["displayName"], "The team");
        assert_eq!(
            (&row["modelProvider"], &row["model"]),
            (&json!("openai"), &json!("m"))
        );
        assert_eq!((&row["unread"], row.get("status")), (&json!(true), None));
        assert_eq!((row.get("derivedTitle"), row.get("label")), (None, None));
    }

    #[test]
    fn what_was_set_is_shown_and_a_chosen_model_wins() {
        let set = SessionSettings {
            label: "Plans".into(),
            model: "local/tiny".into(),
            read_at_ms: 40,
            shown: [("thinkingLevel".to_owned(), "\"low\"".to_owned())].into(),
            ..SessionSettings::default()
        };
        let extras = Extras {
            titles: true,
            last: true,
        };
        let row = row(&session(), Some(&set), &["r".into()], extras, 100);
        assert_eq!(
            (&row["label"], &row["thinkingLevel"]),
            (&json!("Plans"), &json!("low"))
        );
        assert_eq!(
            (&row["modelProvider"], &row["model"]),
            (&json!("local"), &json!("tiny"))
        );
        assert_eq!(
            (&row["unread"], &row["status"]),
            (&json!(false), &json!("running"))
        );
        assert_eq!(row["derivedTitle"], "The team");
        assert_eq!(row["lastMessagePreview"], "a plan");
    }

    #[test]
    fn a_title_is_cut_between_words() {
        assert_eq!(
            one_line("what is  the plan\nfor today", 60),
            "what is the plan for today"
        );
        assert_eq!(one_line("what is the plan for today", 14), "what is the…");
        assert_eq!(one_line(&"x".repeat(80), 5), "xxxxx…");
    }

    #[test]
    fn the_gateways_own_sessions_have_no_account() {
        let place = Place::of("webchat:main");
        assert_eq!((place.account, place.to, place.is_direct()), ("", "", true));
        assert_eq!(Place::of("telegram:dm:5").account, "main");
    }
}
