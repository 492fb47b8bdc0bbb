//! Calls of nodes: asked on any replica, made on the one that has the node's connection, ended once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use proto::{
    v1::{Node, NodeCall, NodeCancel, NodeOutcome, node_mail::What},
    ws::Event,
};
use serde_json::json;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Nodes;
use crate::{client::Client, gateway::Gateway};

/// Calls that one replica waits for, and that its nodes work on.
const MOST: usize = 4096;

/// Calls that are on their way.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Asked here.
    waiting: Mutex<HashMap<String, Waiting>>,
    /// Made here.
    doing: Mutex<HashMap<String, Doing>>,
}

#[derive(Debug)]
struct Waiting {
    /// Replica that has the node.
    replica: String,
    tell: oneshot::Sender<NodeOutcome>,
}

/// A call that a node of this replica works on.
#[derive(Clone, Debug)]
struct Doing {
    node: String,
    /// The node's connection: nobody else may say how it went.
    client: String,
    /// Replica that waits.
    replica: String,
    /// Number of the piece of progress that comes next.
    next: u64,
}

/// What a node is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) command: String,
    /// JSON; `None` is none.
    pub(crate) params_json: Option<String>,
    pub(crate) patience: Duration,
    pub(crate) idempotency_key: String,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tried {
    /// The node, or the replica that has it, said how it went.
    Ended(NodeOutcome),
    /// It did not say in time; it is told that nobody waits any more.
    TimedOut,
    /// Too many calls are on their way.
    Full,
}

impl Calls {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn doing(&self) -> MutexGuard<'_, HashMap<String, Doing>> {
        self.doing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever waits here how the call went; nobody may.
    pub(super) fn end(&self, outcome: NodeOutcome) {
        let waiting = self.waiting().remove(&outcome.id);
        if let Some(waiting) = waiting {
            // Whoever has given up meanwhile does not hear it.
            let _ = waiting.tell.send(outcome);
        }
    }

    /// Takes the call out, if `client` is the one that was asked.
    fn take(&self, id: &str, client: &Client) -> Option<Doing> {
        let mut doing = self.doing();
        doing.get(id).filter(|call| call.client == client.id)?;
        doing.remove(id)
    }
}

impl Nodes {
    /// Ends the calls that wait for replicas that are gone.
    pub(super) fn fail_lost_calls(&self) {
        let now = Instant::now();
        let lost: Vec<_> = {
            let waiting = self.calls.waiting();
            let gone = waiting
                .iter()
                .filter(|(_, call)| !self.replicas.lives(&call.replica, now));
            gone.map(|(id, _)| id.clone()).collect()
        };
        for id in lost {
            self.calls.end(gone(id, true));
        }
    }

    /// Takes note of a piece of progress; `false` where the client works on no such call, or told it before.
    pub(crate) fn progress(&self, id: &str, client: &Client, seq: u64) -> bool {
        let mut doing = self.calls.doing();
        let call = doing.get_mut(id).filter(|call| call.client == client.id);
        let Some(call) = call.filter(|call| seq >= call.next) else {
            return false;
        };
        call.next = seq + 1;
        true
    }
}

/// Takes a call off the list when nobody waits for it any more, and says so where the node may still work on it.
struct Wait {
    gateway: Arc<Gateway>,
    id: String,
    replica: String,
    ended: bool,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.gateway.nodes.calls.waiting().remove(&self.id);
        if self.ended {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (gateway, replica) = (self.gateway.clone(), self.replica.clone());
        let cancel = What::Cancel(NodeCancel {
            id: self.id.clone(),
        });
        runtime.spawn(async move {
            // Lost with the bus, the node works on in vain: its result will be ignored.
            let _ = gateway.send_mail(&replica, cancel).await;
        });
    }
}

impl Gateway {
    /// Asks `node`, wherever it is connected, and waits for the outcome.
    ///
    /// # Errors
    /// When the bus is away: the node was not asked.
    pub(crate) async fn ask_node(
        self: &Arc<Self>,
        node: &Node,
        asked: Asked,
    ) -> Result<Tried, bus::Error> {
        let (id, calls) = (Uuid::new_v4().to_string(), &self.nodes.calls);
        let Some(connection) = node
            .connection
            .as_ref()
            .filter(|_| self.nodes.is_connected(node))
        else {
            return Ok(Tried::Ended(gone(id, false)));
        };
        let (tell, heard) = oneshot::channel();
        {
            let mut waiting = calls.waiting();
            if waiting.len() >= MOST {
                return Ok(Tried::Full);
            }
            let replica = connection.replica.clone();
            waiting.insert(id.clone(), Waiting { replica, tell });
        }
        let mut wait = Wait {
            gateway: self.clone(),
            id: id.clone(),
            replica: connection.replica.clone(),
            ended: false,
        };
        let call = NodeCall {
            id: id.clone(),
            replica: self.nodes.replicas.own().to_owned(),
            node: node.id.clone(),
            client: connection.client.clone(),
            command: asked.command,
            params_json: asked.params_json.unwrap_or_default(),
            timeout_ms: u64::try_from(asked.patience.as_millis()).unwrap_or(u64::MAX),
            idempotency_key: asked.idempotency_key,
        };
        let outcome = tokio::time::timeout(asked.patience, async {
            self.send_mail(&connection.replica, What::Call(call))
                .await?;
            Ok(heard.await.unwrap_or_else(|_| gone(id, true)))
        });
        match outcome.await {
            Ok(Ok(outcome)) => {
                wait.ended = true;
                Ok(Tried::Ended(outcome))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Ok(Tried::TimedOut),
        }
    }

    /// Tells the node of this replica that it is asked; an outcome where that cannot be.
    pub(super) fn begin_call(&self, call: NodeCall) -> Option<NodeOutcome> {
        let calls = &self.nodes.calls;
        {
            let mut doing = calls.doing();
            if doing.len() >= MOST {
                return Some(failed(
                    call.id,
                    "BUSY",
                    "too many calls of nodes; try again in a moment",
                ));
            }
            let entry = Doing {
                node: call.node.clone(),
                client: call.client.clone(),
                replica: call.replica,
                next: 0,
            };
            doing.insert(call.id.clone(), entry);
        }
        // Looked for only now: who leaves from here on finds the call and ends it.
        let client = self.clients.find(&call.client);
        let client = client.filter(|client| client.grant.device.as_deref() == Some(&call.node));
        let Some(client) = client else {
            calls.doing().remove(&call.id);
            return Some(gone(call.id, false));
        };
        let mut payload = json!({
            "id": call.id, "nodeId": call.node, "command": call.command, "timeoutMs": call.timeout_ms,
            "idempotencyKey": call.idempotency_key,
        });
        if !call.params_json.is_empty() {
            payload["paramsJSON"] = call.params_json.into();
        }
        let event = Event::new("node.invoke.request", &payload, None);
        client.outbox.answer(event.text(None));
        None
    }

    /// The node that `client` is says how the call went; `false` where it is not the one that was asked, or too late.
    ///
    /// # Errors
    /// When the bus is away, and another replica waits.
    pub(crate) async fn call_ended(
        &self,
        client: &Client,
        outcome: NodeOutcome,
    ) -> Result<bool, bus::Error> {
        let Some(call) = self.nodes.calls.take(&outcome.id, client) else {
            return Ok(false);
        };
        self.send_mail(&call.replica, What::Outcome(outcome))
            .await?;
        Ok(true)
    }

    /// Nobody waits for the call any more: the node is told.
    pub(super) fn cancel_call(&self, id: &str) {
        let Some(call) = self.nodes.calls.doing().remove(id) else {
            return;
        };
        // Protocol 3 has no such event.
        let client = self.clients.find(&call.client);
        if let Some(client) = client.filter(|client| client.grant.protocol >= 4) {
            let payload = json!({"invokeId": id, "nodeId": call.node});
            let event = Event::new("node.invoke.cancel", &payload, None);
            client.outbox.answer(event.text(None));
        }
    }

    /// Ends the calls that `client`, which has gone, worked on.
    pub(super) async fn fail_calls_of(&self, client: &Client) {
        let lost: Vec<_> = {
            let mut doing = self.nodes.calls.doing();
            let theirs = doing.extract_if(|_, call| call.client == client.id);
            theirs.collect()
        };
        for (id, call) in lost {
            // A replica that does not hear it waits until its deadline.
            let _ = self
                .send_mail(&call.replica, What::Outcome(gone(id, true)))
                .await;
        }
    }
}

fn failed(id: String, code: &str, message: &str) -> NodeOutcome {
    NodeOutcome {
        id,
        error_code: code.into(),
        error_message: message.into(),
        ..NodeOutcome::default()
    }
}

/// The node is not there, or left before it said how the call went.
fn gone(id: String, dispatched: bool) -> NodeOutcome {
    let message = match dispatched {
        true => "node disconnected before it answered; the command may have run",
        false => "node not connected",
    };
    NodeOutcome {
        dispatched,
        ..failed(id, "NOT_CONNECTED", message)
    }
}
