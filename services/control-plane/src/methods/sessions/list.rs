//! The list of sessions, with the filters of both protocols.

use chassis::clock::now_ms;
use proto::v1::{RowsRequest, SessionName, SessionSettings};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Call;
use crate::{refusal::Refusal, schema::Text, sessions::row::Extras};

/// Most sessions of one answer.
const MOST: u32 = 1000;
/// Most sessions that are left out, or found by what was set for them.
const MOST_NAMED: usize = 10_000;

/// What of a list is wanted. Open: clients of later versions ask for more, and what is not known leaves nothing out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct List {
    limit: Option<u32>,
    offset: Option<u32>,
    active_minutes: Option<u32>,
    active_only: Option<bool>,
    require_last_interaction: Option<bool>,
    sort_by: Option<SortBy>,
    exclude_cron: Option<bool>,
    configured_agents_only: Option<bool>,
    include_derived_titles: Option<bool>,
    include_last_message: Option<bool>,
    label: Option<Text>,
    search: Option<String>,
    agent_id: Option<Text>,
    archived: Option<Archived>,
    pinned: Option<bool>,
    /// Group that operators sorted it into.
    group: Option<String>,
    /// Sessions that an agent began for another one; there are none.
    spawned_by: Option<Text>,
    /// Sessions of projects, folders and boards; there are none.
    project_id: Option<Text>,
    workspace_dir: Option<Text>,
    has_board: Option<bool>,
}

/// What comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
enum SortBy {
    UpdatedAt,
    LastInteractionAt,
    Activity,
}

/// Archived ones or not; "all" is both.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Archived {
    Are(bool),
    Text(String),
}

impl List {
    /// Whether anything of a list is asked for at all.
    pub(super) fn is_asked(&self) -> bool {
        self.limit.is_some() || self.search.is_some() || self.agent_id.is_some()
    }

    fn extras(&self) -> Extras {
        Extras {
            titles: self.include_derived_titles == Some(true),
            last: self.include_last_message == Some(true),
        }
    }

    /// What of it only the settings of a session can tell: `None` where that says nothing.
    fn wants(&self, set: &SessionSettings) -> Option<bool> {
        let conditions = [
            self.label.as_deref().map(|label| set.label == label.trim()),
            self.group.as_ref().map(|group| set.category == *group),
            self.pinned
                .filter(|pinned| *pinned)
                .map(|_| set.pinned_at_ms > 0),
            matches!(self.archived, Some(Archived::Are(true))).then_some(set.archived_at_ms > 0),
        ];
        conditions
            .into_iter()
            .flatten()
            .reduce(|all, one| all && one)
    }

    /// Whether a session with these settings is left out.
    fn leaves_out(&self, set: &SessionSettings) -> bool {
        let archived = matches!(self.archived, None | Some(Archived::Are(false)));
        archived && set.archived_at_ms > 0 || self.pinned == Some(false) && set.pinned_at_ms > 0
    }

    /// Whether it asks for a kind of session that there is not.
    fn is_of_nothing(&self) -> bool {
        self.spawned_by.is_some()
            || self.project_id.is_some()
            || self.workspace_dir.is_some()
            || self.has_board == Some(true)
    }
}

/// The sessions, newest first.
pub(super) async fn list(call: &Call, params: List) -> Result<Value, Refusal> {
    let gateway = &call.gateway;
    let now_ms = now_ms();
    let limit = params.limit.unwrap_or(MOST).clamp(1, MOST);
    let offset = params.offset.unwrap_or_default();
    if let Some(Archived::Text(text)) = &params.archived
        && text != "all"
    {
        let why = "invalid sessions.list params: at /archived: must be boolean or \"all\"";
        return Err(Refusal::Invalid(why.into()));
    }
    if let Some(agent) = &params.agent_id {
        gateway.agents.must_know(call.name(), agent)?;
    }
    let reply = match question(call, &params, limit, offset, now_ms).await {
        Some(question) => gateway.rows(&question).await?,
        None => Default::default(),
    };
    let rows: Vec<_> = reply
        .rows
        .iter()
        .map(|row| gateway.show(row, params.extras(), now_ms))
        .collect();
    let next = u64::from(offset) + rows.len() as u64;
    let more = reply.total > next;
    let mut answer = json!({
        "ts": now_ms, "path": "ledger", "count": rows.len(),
        "defaults": gateway.usual.defaults(), "sessions": rows,
    });
    if call.client.grant.protocol >= 4 {
        answer["totalCount"] = reply.total.into();
        answer["limitApplied"] = limit.into();
        answer["hasMore"] = more.into();
        answer["owners"] = json!([]);
        answer["nextOffset"] = more.then_some(next).into();
    }
    Ok(answer)
}

/// What the ledger is asked; `None` where nothing can be meant.
async fn question(
    call: &Call,
    params: &List,
    limit: u32,
    offset: u32,
    now_ms: i64,
) -> Option<RowsRequest> {
    let gateway = &call.gateway;
    if params.is_of_nothing() {
        return None;
    }
    gateway.settings.catch_up().await;
    let search = params.search.as_deref().unwrap_or_default().trim();
    let wanted = search.to_lowercase();
    let mut question = RowsRequest {
        search: search.to_owned(),
        limit,
        offset,
        without_cron: params.exclude_cron == Some(true),
        interacted: params.require_last_interaction == Some(true),
        by_interaction: params.sort_by == Some(SortBy::LastInteractionAt),
        ..RowsRequest::default()
    };
    let mut chosen = None;
    for (_, set) in gateway.settings.all() {
        if params.leaves_out(&set) {
            question.without.push(name(&set));
        }
        match params.wants(&set) {
            Some(true) => chosen.get_or_insert_with(Vec::new).push(name(&set)),
            _ if !wanted.is_empty() && set.label.to_lowercase().contains(&wanted) => {
                question.found.push(name(&set));
            }
            _ => {}
        }
    }
    if params.wants(&SessionSettings::default()).is_some() {
        // It is asked for what only settings tell, so what has none is not meant.
        question.only = chosen.filter(|chosen| !chosen.is_empty())?;
        let labelled = |only: &&SessionName| {
            let set = gateway.set_of(&only.agent, &only.session_key);
            set.is_some_and(|set| set.label.to_lowercase().contains(&wanted))
        };
        question.found = question.only.iter().filter(labelled).cloned().collect();
    }
    if params.active_only == Some(true) {
        let running = gateway.runs().sessions();
        let both = |one: &SessionName| question.only.is_empty() || question.only.contains(one);
        question.only = running.into_iter().filter(both).collect();
        if question.only.is_empty() {
            return None;
        }
    }
    for names in [
        &mut question.only,
        &mut question.found,
        &mut question.without,
    ] {
        names.truncate(MOST_NAMED);
    }
    question.agents = match &params.agent_id {
        Some(agent) => vec![agent.0.clone()],
        None if params.configured_agents_only == Some(true) => gateway.agents.ids(),
        None => Vec::new(),
    };
    if let Some(minutes) = params.active_minutes {
        question.since_ms = now_ms.saturating_sub(i64::from(minutes).saturating_mul(60_000));
    }
    Some(question)
}

fn name(set: &SessionSettings) -> SessionName {
    SessionName {
        agent: set.agent.clone(),
        session_key: set.session_key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(params: Value) -> List {
        serde_json::from_value(params).unwrap()
    }

    #[test]
    fn what_only_settings_tell_chooses_by_them() {
        let set = SessionSettings {
            label: "Plans".into(),
            pinned_at_ms: 1,
            ..SessionSettings::default()
        };
        assert_eq!(list(json!({"limit": 5})).wants(&set), None);
        assert_eq!(list(json!({"label": "Plans "})).wants(&set), Some(true));
        assert_eq!(list(json!({"label": "Plan"})).wants(&set), Some(false));
        let both = list(json!({"label": "Plans", "pinned": true, "archived": true}));
        assert_eq!(both.wants(&set), Some(false));
        assert!(list(json!({"pinned": false})).leaves_out(&set));
    }

    #[test]
    fn archived_ones_are_left_out_unless_they_are_asked_for() {
        let set = SessionSettings {
            archived_at_ms: 1,
            ..SessionSettings::default()
        };
        assert!(list(json!({})).leaves_out(&set));
        assert!(!list(json!({"archived": true})).leaves_out(&set));
        assert!(!list(json!({"archived": "all"})).leaves_out(&set));
    }
}
