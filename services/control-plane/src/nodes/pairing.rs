//! What a node may be asked for: what it says that it can do, as far as somebody approved it; pure.

use proto::v1::{Node, NodeConnection, NodePermission, NodeProgram, NodeRequest, NodeSurface};

use super::policy;
use crate::scope::Scope;

/// How long a request of a node that has gone is kept, in milliseconds.
pub(super) const KEPT_MS: i64 = 5 * 60 * 1000;

/// A node that connects.
#[derive(Clone, Debug)]
pub(crate) struct Introduction {
    /// Id of its device.
    pub(crate) id: String,
    pub(crate) program: NodeProgram,
    pub(crate) connection: NodeConnection,
    /// Its device was let in without a person being asked.
    pub(crate) silent: bool,
    /// Id for a request, should one be needed.
    pub(crate) request_id: String,
    /// Nodes of protocol 3 wait for an approval too.
    pub(crate) all_wait: bool,
}

/// The record of a node that connects; `true` where it asks for something that nobody was asked before.
///
/// Protocol 3 has what it declares allowed with its device. Who has once spoken protocol 4 has an approval to lose,
/// and does not get around it by speaking the older one.
pub(crate) fn introduce(before: Option<Node>, new: &Introduction) -> (Node, bool) {
    let now_ms = new.connection.connected_at_ms;
    let mut node = before.unwrap_or_else(|| Node {
        id: new.id.clone(),
        first_seen_at_ms: now_ms,
        ..Node::default()
    });
    node.waits_for_approval |= new.connection.protocol >= 4 || new.all_wait;
    node.program = Some(new.program.clone());
    node.connection = Some(new.connection.clone());
    node.last_connected_at_ms = now_ms;
    seen(&mut node, now_ms, "connect");
    let declared = new.connection.declared.clone().unwrap_or_default();
    if !node.waits_for_approval {
        if node.approved.as_ref() != Some(&declared) {
            node.approved_at_ms = now_ms;
        }
        (node.approved, node.request) = (Some(declared), None);
        return (node, false);
    }
    let exceeds = node
        .approved
        .as_ref()
        .is_none_or(|approved| exceeds(&declared, approved));
    if !exceeds {
        node.request = None;
        return (node, false);
    }
    let asked = node
        .request
        .as_ref()
        .and_then(|known| known.surface.clone());
    if asked.is_some_and(|asked| same(&asked, &declared)) {
        return (node, false);
    }
    node.request = Some(NodeRequest {
        id: new.request_id.clone(),
        surface: Some(declared),
        asked_at_ms: now_ms,
        silent: new.silent,
    });
    (node, true)
}

/// The node was heard of.
pub(crate) fn seen(node: &mut Node, now_ms: i64, why: &str) {
    node.last_seen_at_ms = now_ms;
    why.clone_into(&mut node.last_seen_reason);
}

/// The record once the request `id` was approved; `None` where it does not wait.
pub(crate) fn approve(mut node: Node, id: &str, now_ms: i64) -> Option<Node> {
    let request = node.request.take().filter(|request| request.id == id)?;
    node.approved = Some(request.surface.unwrap_or_default());
    node.approved_at_ms = now_ms;
    Some(node)
}

/// What a node may be asked for now: what it declares, as far as it was approved.
pub(crate) fn effective(node: &Node) -> NodeSurface {
    let (Some(approved), Some(connection)) = (&node.approved, &node.connection) else {
        return NodeSurface::default();
    };
    let declared = connection.declared.clone().unwrap_or_default();
    let both = |declared: Vec<String>, approved: &[String]| {
        let mut both = declared;
        both.retain(|name| approved.contains(name));
        both
    };
    let granted = |name: &str| {
        approved
            .permissions
            .iter()
            .any(|one| one.granted && one.name == name)
    };
    let permissions = declared.permissions.into_iter().map(|one| NodePermission {
        granted: one.granted && granted(&one.name),
        ..one
    });
    NodeSurface {
        permissions: permissions.collect(),
        caps: both(declared.caps, &approved.caps),
        commands: both(declared.commands, &approved.commands),
    }
}

/// What approving these commands takes.
pub(crate) fn scopes(commands: &[String]) -> Vec<Scope> {
    if commands
        .iter()
        .any(|command| policy::runs_programs(command))
    {
        vec![Scope::Pairing, Scope::Admin]
    } else if commands.is_empty() {
        vec![Scope::Pairing]
    } else {
        vec![Scope::Pairing, Scope::Write]
    }
}

/// Whether `declared` has something that `approved` has not.
fn exceeds(declared: &NodeSurface, approved: &NodeSurface) -> bool {
    let more = |declared: &[String], approved: &[String]| {
        declared.iter().any(|name| !approved.contains(name))
    };
    let granted = |name: &str| {
        approved
            .permissions
            .iter()
            .any(|one| one.granted && one.name == name)
    };
    more(&declared.caps, &approved.caps)
        || more(&declared.commands, &approved.commands)
        || declared
            .permissions
            .iter()
            .any(|one| one.granted && !granted(&one.name))
}

/// Whether both hold the same, in whatever order.
fn same(one: &NodeSurface, other: &NodeSurface) -> bool {
    let sorted = |surface: &NodeSurface| {
        let mut surface = surface.clone();
        surface.caps.sort_unstable();
        surface.commands.sort_unstable();
        surface
            .permissions
            .sort_unstable_by(|a, b| a.name.cmp(&b.name));
        surface
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests;
