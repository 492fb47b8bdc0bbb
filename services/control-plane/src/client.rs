//! One client that was let in.

use std::sync::OnceLock;

use proto::ws;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    cursor::Cursor,
    handshake::{Claims, Grant, Program, Role},
    outbox::Outbox,
    resume::Resume,
    watch::Hears,
};

/// One client that was let in.
#[derive(Debug)]
pub(crate) struct Client {
    /// Id of its connection.
    pub(crate) id: String,
    pub(crate) grant: Grant,
    pub(crate) program: Program,
    /// What it says of itself, if it is a node.
    pub(crate) claims: Option<Claims>,
    pub(crate) since_ms: i64,
    /// Name under which it reached the gateway, without a port; empty is unknown.
    pub(crate) host: String,
    pub(crate) outbox: Outbox,
    /// What of sessions it subscribed to.
    pub(crate) hears: Hears,
    /// What happened after this is told to it as it happens.
    pub(crate) joined_at: OnceLock<Cursor>,
    /// Where it wants to go on, where it understands cursors.
    pub(crate) resume: Option<Resume>,
    /// Held while a message of this client is stored: the next one is stored after it.
    pub(crate) sending: tokio::sync::Mutex<()>,
    /// SHA-256 of the token of its device, where it has one: when that is void, it leaves.
    pub(crate) token: Option<Vec<u8>>,
    leaving: CancellationToken,
    why: OnceLock<(u16, &'static str)>,
}

impl Client {
    /// A client that was let in just now.
    pub(crate) fn new(grant: Grant, program: Program, max_bytes: usize, now_ms: i64) -> Self {
        let id = Uuid::new_v4().to_string();
        Self {
            id,
            grant,
            program,
            claims: None,
            since_ms: now_ms,
            host: String::new(),
            outbox: Outbox::new(max_bytes),
            hears: Hears::default(),
            joined_at: OnceLock::new(),
            resume: None,
            sending: tokio::sync::Mutex::default(),
            token: None,
            leaving: CancellationToken::new(),
            why: OnceLock::new(),
        }
    }

    /// Ends its connection with this close code and reason, unless it is ending already.
    pub(crate) fn leave(&self, code: u16, reason: &'static str) {
        let _ = self.why.set((code, reason));
        self.leaving.cancel();
    }

    /// Done when its connection is to be ended: with which close code and reason.
    pub(crate) async fn told_to_leave(&self) -> (u16, &'static str) {
        self.leaving.cancelled().await;
        self.why.get().copied().unwrap_or((1008, ""))
    }

    /// Whether it knows already what happened at `at`.
    pub(crate) fn knows(&self, at: Cursor) -> bool {
        self.resume.is_some_and(|resume| resume.knows(at))
    }

    /// Whether others see it among those present: command lines and probes come and go unseen.
    pub(crate) fn is_seen(&self) -> bool {
        !matches!(self.program.mode.as_str(), "cli" | "probe" | "backend")
    }

    /// Answers a request of it.
    pub(crate) fn answer(
        &self,
        id: &str,
        outcome: Result<&serde_json::value::RawValue, &ws::Error>,
    ) {
        self.outbox.answer(ws::Response::new(id, outcome).text());
    }

    /// Its line in the list of those present, as clients of this protocol know it.
    pub(crate) fn presence(&self, protocol: u8) -> Value {
        let (program, grant) = (&self.program, &self.grant);
        let name = program.display_name.as_deref().unwrap_or(&program.id);
        let mut entry = json!({
            "host": name, "version": &*program.version, "platform": &*program.platform,
            "mode": program.mode, "roles": [grant.role.name()], "scopes": grant.scopes.names(), "reason": "connect",
            "ts": self.since_ms,
            "text": format!("{}: {name} · mode {}", if grant.role == Role::Node { "Node" } else { "Operator" }, program.mode),
        });
        let rest = [
            ("deviceFamily", program.device_family.as_deref()),
            ("modelIdentifier", program.model_identifier.as_deref()),
            ("instanceId", program.instance_id.as_deref()),
            ("deviceId", grant.device.as_deref()),
        ];
        for (key, value) in rest {
            if let Some(value) = value {
                entry[key] = value.into();
            }
        }
        if protocol >= 4 {
            entry["clientId"] = program.id.as_str().into();
            entry["onlineSince"] = self.since_ms.into();
            if let Some(zone) = program.time_zone.as_deref() {
                entry["timeZone"] = zone.into();
            }
        }
        entry
    }
}
