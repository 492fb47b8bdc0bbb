//! A node comes and goes: its record says where it is connected, and what it asks for is told to operators.

use chassis::clock::now_ms;
use proto::v1::{
    Node, NodeConnection, NodeNotice, NodePermission, NodeProgram, NodeSurface, node_mail::What,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Change,
    pairing::{Introduction, introduce, seen},
    row,
};
use crate::{
    client::Client, clients::Audience, gateway::Gateway, handshake::Claims, outbox::Worth,
    refusal::Refusal, scope::Scope,
};

/// Longest search path that is kept, in bytes.
const MAX_PATH_BYTES: usize = 8 * 1024;

/// Who hears of requests of nodes.
pub(crate) const PAIRERS: Audience = Audience {
    scope: Some(Scope::Pairing),
    ..Audience::ALL
};

impl Gateway {
    /// Notes that the node `client` is connected here, and asks operators about it where that is new.
    ///
    /// # Errors
    /// When the bus is away, or there are too many nodes: the node cannot be let in now.
    pub(crate) async fn node_arrives(
        &self,
        client: &Client,
        claims: &Claims,
    ) -> Result<(), Refusal> {
        let id = client.grant.device.clone().unwrap_or_default();
        if self.nodes.find(&id).await?.is_none() {
            self.nodes.room().await??;
        }
        let new = self.introduction(&id, client, claims);
        let mut news = false;
        let (_, node) = self
            .nodes
            .change(&id, |before| {
                let (node, asks) = introduce(before, &new);
                news = asks;
                Change::To(Box::new(node))
            })
            .await?;
        if let Some(node) = node.filter(|_| news) {
            tracing::info!(node.id = %id, "node `{id}` waits to be approved");
            self.ask_about(&node).await;
        }
        Ok(())
    }

    /// Tells operators what a node asks for.
    pub(crate) async fn ask_about(&self, node: &Node) {
        if let Some(payload) = row::request(node) {
            self.announce("node.pair.requested", &payload, PAIRERS, Worth::Needed)
                .await;
        }
    }

    /// Notes that `client` is gone: its calls end, and an older connection of the same node takes over where this
    /// replica has one.
    pub(crate) async fn node_leaves(&self, client: &Client) {
        let id = client.grant.device.as_deref().unwrap_or_default();
        self.nodes.listeners.forget(&client.id);
        self.fail_calls_of(client).await;
        let other = self.clients.node(id);
        let other = other.as_ref().and_then(|other| {
            let claims = other.claims.as_ref()?;
            Some(self.introduction(id, other, claims).connection)
        });
        let now_ms = now_ms();
        let left = self.nodes.change(id, |before| match before {
            Some(mut node)
                if node
                    .connection
                    .as_ref()
                    .is_some_and(|at| at.client == client.id) =>
            {
                node.connection.clone_from(&other);
                node.last_disconnected_at_ms = now_ms;
                let why = node.last_seen_reason.clone();
                seen(&mut node, now_ms, &why);
                Change::To(Box::new(node))
            }
            _ => Change::Nothing,
        });
        if let Err(error) = left.await {
            // It stays noted as connected here; calls find that it is not.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                node.id = id,
                "leaving not noted"
            );
        }
    }

    /// Tells the connection of `node`, wherever it is, an event.
    pub(crate) async fn tell_node(&self, node: &Node, name: &str, payload: &Value) {
        let Some(at) = node
            .connection
            .as_ref()
            .filter(|_| self.nodes.is_connected(node))
        else {
            return;
        };
        let notice = NodeNotice {
            node: node.id.clone(),
            client: at.client.clone(),
            name: name.to_owned(),
            payload_json: payload.to_string(),
        };
        if let Err(error) = self.send_mail(&at.replica, What::Notice(notice)).await {
            tracing::debug!(error = &error as &dyn std::error::Error, node.id = %node.id, "node not told");
        }
    }

    fn introduction(&self, id: &str, client: &Client, claims: &Claims) -> Introduction {
        let program = &client.program;
        let text =
            |text: &Option<crate::schema::Text>| text.as_deref().unwrap_or_default().to_owned();
        let program = NodeProgram {
            client_id: program.id.clone(),
            client_mode: program.mode.clone(),
            display_name: text(&program.display_name),
            platform: program.platform.0.clone(),
            version: program.version.0.clone(),
            device_family: text(&program.device_family),
            model_identifier: text(&program.model_identifier),
            remote_ip: claims.address.to_string(),
        };
        let permissions = claims
            .permissions
            .iter()
            .map(|(name, granted)| NodePermission {
                name: name.clone(),
                granted: *granted,
            });
        let declared = NodeSurface {
            caps: claims.caps.clone(),
            commands: claims.commands.clone(),
            permissions: permissions.collect(),
        };
        let path = &claims.path_env;
        let connection = NodeConnection {
            replica: self.nodes.replicas.own().to_owned(),
            client: client.id.clone(),
            protocol: client.grant.protocol.into(),
            connected_at_ms: client.since_ms,
            declared: Some(self.nodes.policy.declarable(&program, declared)),
            path_env: if path.len() > MAX_PATH_BYTES {
                String::new()
            } else {
                path.clone()
            },
            ..NodeConnection::default()
        };
        Introduction {
            id: id.to_owned(),
            program,
            connection,
            silent: claims.silent,
            request_id: Uuid::new_v4().to_string(),
            all_wait: self.config.old_nodes_wait,
        }
    }
}
