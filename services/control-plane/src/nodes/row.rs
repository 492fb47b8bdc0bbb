//! Nodes as lists show them; pure.

use proto::v1::{Node, NodePermission, NodeRequest, NodeSurface};
use serde_json::{Map, Value, json};

use super::pairing::{effective, scopes};

/// Sets `key` unless there is nothing to say.
fn say(row: &mut Map<String, Value>, key: &str, value: impl Into<Value>) {
    let value = value.into();
    let nothing = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Number(number) => number.as_i64() == Some(0),
        _ => false,
    };
    if !nothing {
        row.insert(key.to_owned(), value);
    }
}

/// What a node that has a request asks for: the payload of `node.pair.requested`, and a line of those that wait.
pub(crate) fn request(node: &Node) -> Option<Value> {
    let NodeRequest {
        id,
        surface,
        asked_at_ms,
        silent,
    } = node.request.as_ref()?;
    let mut row = Map::new();
    row.insert("requestId".into(), id.as_str().into());
    row.insert("nodeId".into(), node.id.as_str().into());
    introduce(&mut row, node);
    let surface = surface.clone().unwrap_or_default();
    let needed: Vec<_> = scopes(&surface.commands)
        .iter()
        .map(|scope| scope.name())
        .collect();
    row.insert("requiredApproveScopes".into(), json!(needed));
    declare(&mut row, &surface);
    row.insert("silent".into(), (*silent).into());
    row.insert("isRepair".into(), node.approved.is_some().into());
    row.insert("ts".into(), (*asked_at_ms).into());
    Some(row.into())
}

/// An approved node, as those are listed who decide about nodes.
pub(crate) fn paired(node: &Node) -> Option<Value> {
    let approved = node.approved.as_ref()?;
    let mut row = Map::new();
    row.insert("nodeId".into(), node.id.as_str().into());
    introduce(&mut row, node);
    declare(&mut row, approved);
    row.insert("createdAtMs".into(), node.first_seen_at_ms.into());
    row.insert("approvedAtMs".into(), node.approved_at_ms.into());
    say(&mut row, "lastConnectedAtMs", node.last_connected_at_ms);
    say(&mut row, "lastSeenAtMs", node.last_seen_at_ms);
    say(&mut row, "lastSeenReason", node.last_seen_reason.as_str());
    Some(row.into())
}

/// A node as everybody sees it who may read; what waits for an approval only for those who `decide`.
pub(crate) fn known(node: &Node, connected: bool, pending: bool, decides: bool) -> Value {
    let mut row = Map::new();
    row.insert("nodeId".into(), node.id.as_str().into());
    introduce(&mut row, node);
    let now = match connected {
        true => effective(node),
        false => node.approved.clone().unwrap_or_default(),
    };
    row.insert("caps".into(), sorted(&now.caps));
    row.insert("commands".into(), sorted(&now.commands));
    row.insert("sessionHost".into(), false.into());
    let live = node.connection.as_ref().filter(|_| connected);
    if let Some(live) = live {
        let tools = parsed(&live.plugin_tools_json).unwrap_or_else(|| json!([]));
        row.insert("nodePluginTools".into(), tools);
        if let Some(skills) = parsed(&live.skills_json) {
            row.insert("nodeSkills".into(), skills);
        }
        say(&mut row, "pathEnv", live.path_env.as_str());
    }
    if let Some(stats) = parsed(&node.host_stats_json) {
        row.insert("hostStats".into(), stats);
    }
    let declared = live.and_then(|live| live.declared.as_ref());
    let permissions = declared
        .or(node.approved.as_ref())
        .map(|surface| &surface.permissions);
    if let Some(permissions) = permissions.filter(|all| !all.is_empty()) {
        row.insert("permissions".into(), granted(permissions));
    }
    let request = node.request.as_ref().filter(|_| pending);
    let state = match (request, &node.approved) {
        (Some(_), Some(_)) => "pending-reapproval",
        (Some(_), None) => "pending-approval",
        (None, Some(_)) => "approved",
        (None, None) => "unapproved",
    };
    row.insert("approvalState".into(), state.into());
    if let Some(request) = request.filter(|_| decides) {
        let surface = request.surface.clone().unwrap_or_default();
        row.insert("pendingRequestId".into(), request.id.as_str().into());
        row.insert("pendingDeclaredCaps".into(), sorted(&surface.caps));
        row.insert("pendingDeclaredCommands".into(), sorted(&surface.commands));
        row.insert(
            "pendingDeclaredPermissions".into(),
            granted(&surface.permissions),
        );
    }
    if let Some(live) = live {
        row.insert("connectedAtMs".into(), live.connected_at_ms.into());
        say(&mut row, "lastActiveAtMs", live.last_active_at_ms);
        say(&mut row, "presenceUpdatedAtMs", live.presence_updated_at_ms);
    } else {
        say(
            &mut row,
            "lastDisconnectedAtMs",
            node.last_disconnected_at_ms,
        );
    }
    say(&mut row, "lastConnectedAtMs", node.last_connected_at_ms);
    say(&mut row, "lastSeenAtMs", node.last_seen_at_ms);
    say(&mut row, "lastSeenReason", node.last_seen_reason.as_str());
    let approved_at_ms = match node.approved_at_ms {
        0 => node.first_seen_at_ms,
        at => at,
    };
    row.insert("approvedAtMs".into(), approved_at_ms.into());
    row.insert("paired".into(), is_paired(node).into());
    row.insert("connected".into(), connected.into());
    row.into()
}

/// Whether somebody let it in: its device, or a person who entered it by hand.
pub(crate) fn is_paired(node: &Node) -> bool {
    node.last_connected_at_ms > 0 || node.approved.is_some()
}

/// Name that people know it by.
pub(crate) fn name(node: &Node) -> &str {
    let introduced = node
        .program
        .as_ref()
        .map(|program| program.display_name.as_str());
    match node.name.as_str() {
        "" => introduced.unwrap_or_default(),
        name => name,
    }
}

fn introduce(row: &mut Map<String, Value>, node: &Node) {
    say(row, "displayName", name(node));
    let Some(program) = &node.program else { return };
    for (key, text) in [
        ("platform", &program.platform),
        ("version", &program.version),
        ("clientId", &program.client_id),
        ("clientMode", &program.client_mode),
        ("deviceFamily", &program.device_family),
        ("modelIdentifier", &program.model_identifier),
        ("remoteIp", &program.remote_ip),
    ] {
        say(row, key, text.as_str());
    }
}

fn declare(row: &mut Map<String, Value>, surface: &NodeSurface) {
    row.insert("caps".into(), json!(surface.caps));
    row.insert("commands".into(), json!(surface.commands));
    if !surface.permissions.is_empty() {
        row.insert("permissions".into(), granted(&surface.permissions));
    }
}

fn granted(permissions: &[NodePermission]) -> Value {
    let all = permissions
        .iter()
        .map(|one| (one.name.clone(), Value::Bool(one.granted)));
    Value::Object(all.collect())
}

fn sorted(names: &[String]) -> Value {
    let mut names = names.to_vec();
    names.sort_unstable();
    names.dedup();
    json!(names)
}

fn parsed(json: &str) -> Option<Value> {
    serde_json::from_str(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{NodeConnection, NodeProgram};

    fn node() -> Node {
        let surface = NodeSurface {
            caps: vec!["system".into()],
            commands: vec!["system.which".into(), "system.run".into()],
            permissions: Vec::new(),
        };
        Node {
            id: "n".into(),
            program: Some(NodeProgram {
                display_name: "Box".into(),
                platform: "linux".into(),
                ..NodeProgram::default()
            }),
            connection: Some(NodeConnection {
                connected_at_ms: 5,
                declared: Some(surface.clone()),
                ..NodeConnection::default()
            }),
            request: Some(NodeRequest {
                id: "r".into(),
                surface: Some(surface),
                asked_at_ms: 5,
                silent: true,
            }),
            last_connected_at_ms: 5,
            first_seen_at_ms: 5,
            ..Node::default()
        }
    }

    #[test]
    fn a_node_that_waits_shows_what_it_asks_for_to_those_who_decide() {
        let row = known(&node(), true, true, true);
        assert_eq!(row["approvalState"], "pending-approval");
        assert_eq!(row["commands"], json!([]));
        assert_eq!(row["pendingRequestId"], "r");
        assert_eq!(
            row["pendingDeclaredCommands"],
            json!(["system.run", "system.which"])
        );
        assert_eq!(
            (&row["paired"], &row["connected"]),
            (&json!(true), &json!(true))
        );
        let row = known(&node(), true, true, false);
        assert_eq!(row["approvalState"], "pending-approval");
        assert_eq!(row.get("pendingRequestId"), None);
        let asked = request(&node()).unwrap();
        assert_eq!(
            asked["requiredApproveScopes"],
            json!(["operator.pairing", "operator.admin"])
        );
        assert_eq!(
            asked["commands"],
            json!(["system.which", "system.run"]),
            "in its own order"
        );
        assert_eq!(paired(&node()), None);
    }

    #[test]
    fn a_node_that_is_away_shows_what_was_approved_and_the_name_it_was_given() {
        let mut away = node();
        away.approved = away.request.take().and_then(|request| request.surface);
        away.name = "Attic".into();
        let row = known(&away, false, false, true);
        assert_eq!(row["displayName"], "Attic");
        assert_eq!(row["commands"], json!(["system.run", "system.which"]));
        assert_eq!(
            (&row["approvalState"], &row["connected"]),
            (&json!("approved"), &json!(false))
        );
        assert_eq!(row.get("connectedAtMs"), None);
        assert_eq!(paired(&away).unwrap()["nodeId"], "n");
    }
}
