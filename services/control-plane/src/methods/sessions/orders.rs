//! Changes of a session itself: made, begun anew, removed, compacted, each in order with its messages.

use std::time::{Duration, Instant};

use chassis::clock::now_ms;
use proto::{
    id, session, subject,
    v1::{
        Address, Change, ConversationKind, Event, Inbound, Managed, Priority, SessionRow, Trust,
        event::What, inbound::Body,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    super::{
        Call,
        chat::{abort, meant},
    },
    patch, talk,
};
use crate::{refusal::Refusal, schema::Text, turns};

/// How long the router may take to do it.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long runs may take to stop.
const SILENCE: Duration = Duration::from_secs(5);
/// Lines that stay where a client does not say how many.
const KEPT: u32 = 20;

/// A session to begin.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Create {
    key: Option<Text>,
    agent_id: Option<Text>,
    idempotency_key: Option<Text>,
    /// The first message, if there is one already; `task` is the same.
    message: Option<String>,
    task: Option<String>,
    /// What is set for it from the start, by its name.
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// A session to begin anew.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Reset {
    key: Text,
    agent_id: Option<Text>,
    expected_session_id: Option<Text>,
    #[serde(rename = "reason")]
    _reason: Option<Reason>,
}

/// Why it begins anew; it does so in the same way.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Reason {
    New,
    Reset,
}

/// A session to be removed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Delete {
    key: Text,
    agent_id: Option<Text>,
    /// Takes the words too; so it is unless this is false.
    delete_transcript: Option<bool>,
    expected_session_id: Option<Text>,
    expected_session_updated_at: Option<f64>,
    archived_only: Option<bool>,
    #[serde(rename = "expectedLifecycleRevision")]
    _expected_lifecycle_revision: Option<Text>,
    #[serde(rename = "emitLifecycleHooks")]
    _emit_lifecycle_hooks: Option<bool>,
}

/// A session of which only the newest lines are to count.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Compact {
    key: Text,
    agent_id: Option<Text>,
    max_lines: Option<u32>,
}

/// What changes nothing where agents begin no sessions, and is left out of a session's settings.
const ABOUT_PARENTS: [&str; 6] = [
    "parentSessionKey",
    "succeedsParent",
    "spawnDepth",
    "emitCommandHooks",
    "timeoutMs",
    "titleSource",
];

/// Begins a session, sets what is set from the start, and sends the first message if there is one.
///
/// Under the same idempotency key it is the same session.
pub(super) async fn create(call: &Call, params: Create) -> Result<Value, Refusal> {
    let spelled = match (&params.key, &params.idempotency_key) {
        (Some(key), _) => key.0.clone(),
        (None, Some(key)) => id::of_event(&format!("webchat:session:{}", key.0)),
        (None, None) => Uuid::new_v4().to_string(),
    };
    let (agent, key) = meant(call, &spelled, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let mut fields = params.fields;
    fields.retain(|name, _| !ABOUT_PARENTS.contains(&name.as_str()));
    if fields.get("visibility").is_some_and(|it| it == "shared") {
        fields.remove("visibility");
    }
    // A name that only clients show is the label.
    if let Some(name) = fields.remove("displayName") {
        fields.entry("label").or_insert(name);
    }
    let set = patch::read(call, &session_key, &fields)?;
    let found = match call.gateway.session(&agent, &session_key).await? {
        Some(found) => found,
        None => begin(call, &agent, &session_key).await?,
    };
    let set = patch::change(call, &agent, &session_key, |settings| {
        for field in &set {
            field.set(settings, now_ms());
        }
        Ok(())
    })
    .await?;
    let key = session::to_client(&agent, &session_key);
    let mut answer = json!({
        "ok": true, "key": key, "agentId": agent, "sessionId": found.session_id,
        "entry": patch::entry(&found, &set), "runStarted": false,
    });
    let message = params.message.or(params.task);
    if let Some(message) = message.filter(|message| !message.trim().is_empty()) {
        let run_id = params.idempotency_key.map(|key| key.0);
        let sent = talk::say(call, &key, &message, run_id).await?;
        answer["runStarted"] = true.into();
        answer["runId"] = sent["runId"].clone();
    }
    Ok(answer)
}

/// Begins a session anew: what was said before counts no more.
pub(super) async fn reset(call: &Call, params: Reset) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let found = call.gateway.session(&agent, &session_key).await?;
    must_be(
        &agent,
        &session_key,
        found.as_ref(),
        params.expected_session_id.as_deref(),
    )?;
    let found = begin(call, &agent, &session_key).await?;
    let set = call.gateway.set_of(&agent, &session_key);
    let entry = patch::entry(&found, set.as_deref().unwrap_or(&Default::default()));
    Ok(json!({"ok": true, "key": session::to_client(&agent, &session_key), "entry": entry}))
}

/// Removes a session with what was set for it, and what was said in it unless that is to be kept.
pub(super) async fn delete(call: &Call, params: Delete) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let spelled = session::to_client(&agent, &session_key);
    if key == session::Key::main() {
        return Err(Refusal::Invalid(format!(
            "Cannot delete the main session ({spelled})."
        )));
    }
    let gateway = &call.gateway;
    let found = gateway.session(&agent, &session_key).await?;
    must_be(
        &agent,
        &session_key,
        found.as_ref(),
        params.expected_session_id.as_deref(),
    )?;
    let set = gateway.set_of(&agent, &session_key);
    let archived = set.as_ref().is_some_and(|set| set.archived_at_ms > 0);
    if params.archived_only == Some(true) && !archived {
        return Err(Refusal::Invalid(format!(
            "session {spelled} is not archived; archive it, or leave archivedOnly out"
        )));
    }
    if let (Some(found), Some(expected)) = (&found, params.expected_session_updated_at)
        && expected != found.updated_at_ms as f64
    {
        return Err(changed(&spelled));
    }
    if found.is_some() {
        quieten(call, &agent, &session_key).await?;
        let mut managed = Managed {
            erase: params.delete_transcript != Some(false),
            ..Managed::default()
        };
        managed.set_change(Change::Remove);
        order(call, &agent, &session_key, managed).await?;
    }
    let key = id::of_settings(&agent, &session_key);
    let removed = gateway.settings.change(&key, |_| Ok::<_, Refusal>(None));
    removed.await?;
    let deleted = found.is_some() || set.is_some();
    Ok(json!({"ok": true, "key": spelled, "deleted": deleted, "archived": []}))
}

/// Lets only the newest lines of a session count: for its agent, and for who reads it.
pub(super) async fn compact(call: &Call, params: Compact) -> Result<Value, Refusal> {
    let (agent, key) = meant(call, &params.key, params.agent_id.as_deref())?;
    let session_key = key.to_string();
    let spelled = session::to_client(&agent, &session_key);
    let keep = params.max_lines.unwrap_or(KEPT);
    if keep == 0 {
        let why = "invalid sessions.compact params: at /maxLines: must be >= 1";
        return Err(Refusal::Invalid(why.into()));
    }
    let Some(found) = call.gateway.session(&agent, &session_key).await? else {
        return Ok(json!({"ok": true, "key": spelled, "compacted": false, "reason": "no session"}));
    };
    if found.lines <= u64::from(keep) {
        return Ok(json!({"ok": true, "key": spelled, "compacted": false, "kept": found.lines}));
    }
    let mut managed = Managed {
        keep,
        ..Managed::default()
    };
    managed.set_change(Change::Compact);
    order(call, &agent, &session_key, managed).await?;
    Ok(json!({"ok": true, "key": spelled, "compacted": true, "kept": keep}))
}

/// Begins a session, or begins it anew, and returns it.
pub(super) async fn begin(
    call: &Call,
    agent: &str,
    session_key: &str,
) -> Result<SessionRow, Refusal> {
    quieten(call, agent, session_key).await?;
    let mut managed = Managed::default();
    managed.set_change(Change::Reset);
    order(call, agent, session_key, managed).await?;
    let found = call.gateway.session(agent, session_key).await?;
    found.ok_or_else(|| Refusal::Busy("the ledger has not heard of the session yet".into()))
}

/// Stops what runs in a session and waits a while for its end: what an answer leaves behind then still belongs to what
/// was.
async fn quieten(call: &Call, agent: &str, session_key: &str) -> Result<(), Refusal> {
    let running = call.gateway.runs().of(agent, session_key);
    let awaited = &call.gateway.awaited;
    let ends: Vec<_> = running
        .iter()
        .map(|run| awaited.wait(&run.turn_id))
        .collect();
    abort::stop_all(call, agent, session_key).await?;
    let deadline = Instant::now() + SILENCE;
    for end in ends {
        end.done(deadline).await;
    }
    Ok(())
}

/// Has the router change a session, behind what was written to it before, and waits until that is done.
async fn order(
    call: &Call,
    agent: &str,
    session_key: &str,
    managed: Managed,
) -> Result<(), Refusal> {
    let gateway = &call.gateway;
    let inbound = inbound(call, agent, session_key, managed);
    let awaited = gateway.awaited.wait(&inbound.id);
    let partitions = gateway.bus.partitions();
    let to = subject::inbound(partitions, Priority::Normal, "webchat", session_key);
    gateway.bus.publish(&to, &inbound.id, &inbound).await?;
    match awaited.done(Instant::now() + PATIENCE).await {
        Some(event) => outcome(event),
        None => Err(Refusal::Busy(
            "it is stored and will be done when the router is there; look at `openclaw queues`"
                .into(),
        )),
    }
}

fn outcome(event: Event) -> Result<(), Refusal> {
    match event.what {
        Some(What::Refused(refused)) => Err(Refusal::Invalid(refused.reason)),
        Some(What::Dead(dead)) => Err(Refusal::Busy(dead.reason)),
        _ => Ok(()),
    }
}

fn inbound(call: &Call, agent: &str, session_key: &str, managed: Managed) -> Inbound {
    let dedupe_key = format!("webchat:managed:{}", Uuid::new_v4());
    let mut sender = turns::asker(&call.client);
    sender.set_trust(Trust::Owner);
    let now_ms = now_ms();
    Inbound {
        id: id::of_event(&dedupe_key),
        dedupe_key,
        address: Some(Address {
            platform: "webchat".into(),
            account: "main".into(),
            kind: ConversationKind::Direct.into(),
            ..Address::default()
        }),
        sender: Some(sender),
        occurred_at_ms: now_ms,
        received_at_ms: now_ms,
        body: Some(Body::Managed(managed)),
        agent: agent.to_owned(),
        session_key: session_key.to_owned(),
        ..Inbound::default()
    }
}

fn must_be(
    agent: &str,
    session_key: &str,
    found: Option<&SessionRow>,
    expected: Option<&str>,
) -> Result<(), Refusal> {
    match expected {
        Some(expected) if found.is_none_or(|found| found.session_id != expected) => {
            Err(changed(&session::to_client(agent, session_key)))
        }
        _ => Ok(()),
    }
}

fn changed(spelled: &str) -> Refusal {
    Refusal::Invalid(format!(
        "session {spelled} has changed meanwhile; list it and try again"
    ))
}
