//! What a request of the HTTP API asks: which agent, in which session, under which name.

use axum::http::HeaderMap;
use proto::{id, session, v1::Sender};
use uuid::Uuid;

use super::{
    access::Caller,
    content::{Conversation, Said},
    problem::Problem,
};
use crate::{gateway::Gateway, turns::Ask};

/// Longest message of a user, in bytes.
const MAX_MESSAGE_BYTES: usize = 512 * 1024;
/// Longest key, user or name of a session, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// What a request says, whichever API it speaks.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) model: String,
    pub(super) conversation: Conversation,
    /// Keeps a session.
    pub(super) user: Option<String>,
    /// The session of an earlier answer, as its id names it.
    pub(super) previous: Option<String>,
    pub(super) effort: Option<String>,
    pub(super) stream: bool,
}

/// What is asked, and what its answer is called.
#[derive(Clone, Debug)]
pub(super) struct Meant {
    pub(super) ask: Ask,
    /// Who asks may come back for the answer: it gave a key.
    pub(super) keyed: bool,
    /// What an answer's id says of its session; empty where `user` names it.
    pub(super) thread: String,
}

/// The names under which agents are offered.
pub(super) fn models(gateway: &Gateway) -> impl Iterator<Item = String> + use<> {
    let agents = gateway.agents.ids().into_iter();
    let named = agents.map(|agent| format!("openclaw/{agent}"));
    std::iter::once("openclaw".to_owned()).chain(named)
}

/// The agent of a model's name: `openclaw`, `openclaw/<agent>`, `openclaw:<agent>` or `agent:<agent>`.
///
/// # Errors
/// When there is none of that name.
pub(super) fn agent(gateway: &Gateway, model: &str) -> Result<String, Problem> {
    let usual = || gateway.agents.default().to_owned();
    let named = ["openclaw/", "openclaw:", "agent:"];
    let named = named.iter().find_map(|prefix| model.strip_prefix(prefix));
    let agent = match (model, named) {
        ("openclaw", _) | (_, Some("default")) => usual(),
        (_, Some(agent)) => agent.to_owned(),
        _ => return Err(Problem::model(model)),
    };
    match agent == gateway.agents.default() || gateway.agents.find(&agent).is_some() {
        true => Ok(agent),
        false => Err(Problem::model(model)),
    }
}

/// What is meant by `asked` and the headers that come with it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn meant(
    gateway: &Gateway,
    caller: &Caller,
    headers: &HeaderMap,
    asked: Asked,
) -> Result<Meant, Problem> {
    let agent = agent(gateway, &asked.model)?;
    let key = header(headers, "idempotency-key")?;
    let chosen = header(headers, "x-openclaw-session-key")?;
    let run_id = match &key {
        Some(key) => format!("openai:{key}"),
        None => Uuid::new_v4().simple().to_string(),
    };
    let user = asked.user.filter(|user| !user.is_empty());
    check("user", user.as_deref())?;
    let (spelled, thread, remembers) = match (chosen, user, asked.previous) {
        (Some(chosen), ..) => (chosen, String::new(), true),
        (None, Some(user), _) => (format!("openai-user:{user}"), String::new(), true),
        (None, None, Some(thread)) => (format!("openai:{thread}"), thread, true),
        // Of its own; the same for the same key.
        (None, None, None) => {
            let thread = id::of_event(&run_id);
            (format!("openai:{thread}"), thread, false)
        }
    };
    let (owner, session_key) = session::from_client(&spelled, &agent);
    if owner != agent {
        let message = format!("The session `{spelled}` is not of the agent `{agent}`.");
        return Err(Problem::param("x-openclaw-session-key", message));
    }
    let conversation = match remembers {
        true => asked.conversation.continued(),
        false => asked.conversation,
    };
    let Conversation {
        system,
        before,
        last,
    } = conversation;
    if last.len() > MAX_MESSAGE_BYTES {
        let message =
            format!("The message is too long; at most {MAX_MESSAGE_BYTES} bytes are taken.");
        return Err(Problem::param("messages", message));
    }
    let before = before
        .into_iter()
        .map(|Said { role, text }| (role, text))
        .collect();
    let effort = asked.effort.into_iter().map(|effort| ("thinking", effort));
    let ask = Ask {
        run_id,
        agent,
        session_key: session_key.to_string(),
        text: last,
        // What a program sends is no command of a person.
        literal: true,
        sender: Sender {
            id: caller.device.clone().unwrap_or_else(|| "operator".into()),
            display_name: "OpenAI API".into(),
            ..Sender::default()
        },
        system,
        before,
        preferences: effort.collect(),
        ..Ask::default()
    };
    Ok(Meant {
        ask,
        keyed: key.is_some(),
        thread,
    })
}

fn header(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = value.to_str().ok().map(str::trim);
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Err(Problem::param(
            name,
            format!("The header {name} is empty or no text."),
        ));
    };
    check(name, Some(text))?;
    Ok(Some(text.to_owned()))
}

fn check(name: &str, text: Option<&str>) -> Result<(), Problem> {
    if text.is_some_and(|text| text.len() > MAX_NAME_BYTES) {
        let message = format!("`{name}` is too long; at most {MAX_NAME_BYTES} bytes are taken.");
        return Err(Problem::param(name, message));
    }
    Ok(())
}
