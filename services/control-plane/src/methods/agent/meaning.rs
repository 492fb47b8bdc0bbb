//! What a client means by its parameters: which agent, which session, what is asked.

use proto::{priority, session, v1::RowsRequest};

use super::{Agent, allowed, delivery};
use crate::{
    methods::{Call, chat},
    refusal::Refusal,
    scope::Scope,
    turns::{self, Ask},
};

/// Sessions looked through for one that is named by its id.
const SESSIONS: u32 = 1000;

/// What is asked.
pub(super) async fn ask(call: &Call, params: Agent) -> Result<Ask, Refusal> {
    chat::check_key(call, &params.idempotency_key)?;
    chat::check_size(&params.message)?;
    if params
        .attachments
        .as_ref()
        .is_some_and(|all| !all.is_empty())
    {
        return Err(chat::no_attachments());
    }
    may(call, &params)?;
    let (agent, session_key) = session(call, &params).await?;
    let deliver_to = delivery::to(call, &params, &session_key).await?;
    let wished = [("model", params.model), ("thinking", params.thinking)];
    let wished = wished
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.filter(|value| !value.trim().is_empty())?)));
    Ok(Ask {
        run_id: params.idempotency_key.0,
        agent,
        session_key,
        text: params.message.0,
        sender: turns::asker(&call.client),
        deliver_to,
        system: params.extra_system_prompt.unwrap_or_default(),
        preferences: wished.collect(),
        allowed: allowed(params.timeout),
        ..Ask::default()
    })
}

/// What takes more than the method itself: to begin a session anew, and to choose the model.
fn may(call: &Call, params: &Agent) -> Result<(), Refusal> {
    let admin = call.client.grant.scopes.allow(Scope::Admin);
    let anew = matches!(
        priority::command(&params.message),
        Some(("new" | "reset", _))
    );
    if !admin && (anew || params.model.is_some() || params.provider.is_some()) {
        return Err(Refusal::Missing(Scope::Admin));
    }
    match params.provider.as_deref() {
        None | Some("") => Ok(()),
        Some(_) => Err(Refusal::Invalid(
            "invalid agent params: a run cannot choose its provider; leave it out, the settings name one (agent.url)"
                .into(),
        )),
    }
}

/// The agent, and the session in which it is asked.
async fn session(call: &Call, params: &Agent) -> Result<(String, String), Refusal> {
    let named = params.agent_id.as_deref();
    if let Some(agent) = named {
        call.gateway.agents.must_know(call.name(), agent)?;
    }
    let given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    if let Some(spelled) = params.session_key.as_deref().filter(|key| !key.is_empty()) {
        let (agent, key) = chat::meant(call, spelled, named)?;
        if let Some(named) = named.filter(|named| *named != agent) {
            let why = format!(
                "invalid agent params: agent {named:?} does not match session key agent {agent:?}"
            );
            return Err(Refusal::Invalid(why));
        }
        return Ok((agent, key.to_string()));
    }
    if let Some(id) = params.session_id.as_deref().filter(|id| !id.is_empty()) {
        return of_id(call, id, named).await;
    }
    if named.is_none() && !given(&params.to) {
        let why = "invalid agent params: say whom to ask: agentId, sessionKey, sessionId or to";
        return Err(Refusal::Invalid(why.into()));
    }
    let agent = named.unwrap_or(&call.gateway.config.default_agent);
    Ok((agent.to_owned(), session::Key::main().to_string()))
}

/// The session whose id is `id`.
async fn of_id(call: &Call, id: &str, agent: Option<&str>) -> Result<(String, String), Refusal> {
    let asked = RowsRequest {
        agents: agent.map(ToOwned::to_owned).into_iter().collect(),
        limit: SESSIONS,
        ..RowsRequest::default()
    };
    let known = call.gateway.rows(&asked).await?;
    let found = known.rows.into_iter().find(|row| row.session_id == id);
    match found {
        Some(row) => Ok((row.agent, row.session_key)),
        None => Err(Refusal::NotFound(format!(
            "session not found: {id}; name it by its sessionKey, or see sessions.list"
        ))),
    }
}
