//! How the gateway does: computed in the background, so that asking costs nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bus::Bucket;
use chassis::clock::now_ms;
use futures_util::StreamExt;
use proto::v1::{Connection, RowsRequest};
use serde_json::{Value, json, value::RawValue};
use tokio::{
    sync::Notify,
    time::{MissedTickBehavior, interval},
};

use crate::{
    gateway::{Gateway, VERSION},
    sessions::row::Extras,
};
use beat::Beat;
pub(crate) use channels::{account, label};
use channels::{channels, looks};

mod beat;
mod channels;

/// How often everybody hears how the gateway does, changed or not.
const EVERY: Duration = Duration::from_secs(60);
/// Changes are told together, at most this often.
const PAUSE: Duration = Duration::from_millis(200);
/// Pause before connections are watched again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Sessions named.
const RECENT: u32 = 10;

/// How the gateway does.
#[derive(Debug)]
pub(crate) struct Health {
    now: Mutex<Arc<Snapshot>>,
    stale: Notify,
}

/// How the gateway did when it was last computed.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Answer to `health`.
    pub(crate) payload: Arc<RawValue>,
    /// Answer to `status`.
    pub(crate) status: Arc<RawValue>,
    /// Counts the changes.
    pub(crate) version: u64,
}

/// What a snapshot is made from.
#[derive(Debug, Default)]
struct Facts {
    connections: BTreeMap<String, Connection>,
    /// How many there are, and the newest as lists show them.
    sessions: u64,
    recent: Vec<Value>,
    agent: String,
    heartbeat: Beat,
    uptime_ms: u64,
    took_ms: u64,
}

impl Health {
    /// Knows of nothing yet.
    pub(crate) fn new(agent: &str) -> Self {
        let facts = Facts {
            agent: agent.to_owned(),
            ..Facts::default()
        };
        Self {
            now: Mutex::new(Arc::new(facts.snapshot(now_ms(), 1))),
            stale: Notify::new(),
        }
    }

    /// The last snapshot.
    pub(crate) fn now(&self) -> Arc<Snapshot> {
        self.now
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Sessions have changed: a new snapshot is due, but nobody needs to hear of it.
    pub(crate) fn age(&self) {
        self.stale.notify_one();
    }

    fn replace(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = snapshot.clone();
        snapshot
    }
}

/// Keeps the snapshot fresh until the gateway stops, and tells everybody when a connection changed and once a minute.
pub(crate) async fn keep(gateway: &Gateway) {
    let mut facts = Facts {
        agent: gateway.config.default_agent.clone(),
        ..Facts::default()
    };
    let mut every = interval(EVERY);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let work = async {
        loop {
            let bucket = gateway.bus.bucket(Bucket::Connections);
            let mut changes = match bucket.watch::<Connection>().await {
                Ok(changes) => changes,
                Err(error) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "connections not watched"
                    );
                    tokio::time::sleep(PATIENCE).await;
                    continue;
                }
            };
            loop {
                let mut tell = false;
                tokio::select! {
                    change = changes.next() => {
                        let Some((key, connection)) = change else { break };
                        tell = note(&mut facts.connections, key, connection);
                        if !tell {
                            continue;
                        }
                    }
                    () = gateway.health.stale.notified() => {}
                    _ = every.tick() => tell = true,
                }
                tokio::time::sleep(PAUSE).await;
                while let Some(Some((key, connection))) =
                    futures_util::FutureExt::now_or_never(changes.next())
                {
                    tell |= note(&mut facts.connections, key, connection);
                }
                refresh(gateway, &mut facts, tell).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = gateway.stop.cancelled() => {}
    }
}

/// Notes a connection's state; true where people would see a difference.
fn note(
    connections: &mut BTreeMap<String, Connection>,
    key: String,
    now: Option<Connection>,
) -> bool {
    let before = connections.get(&key).map(looks);
    let differs = before != now.as_ref().map(looks);
    match now {
        Some(now) => connections.insert(key, now),
        None => connections.remove(&key),
    };
    differs
}

async fn refresh(gateway: &Gateway, facts: &mut Facts, tell: bool) {
    let began = Instant::now();
    let recent = RowsRequest {
        limit: RECENT,
        ..RowsRequest::default()
    };
    match gateway.rows(&recent).await {
        Ok(reply) => {
            let now_ms = now_ms();
            let show = |row| gateway.show(row, Extras::default(), now_ms);
            facts.recent = reply.rows.iter().map(show).collect();
            facts.sessions = reply.total;
        }
        // The last known ones stand; whether the ledger lives is not for this snapshot to say.
        Err(error) => tracing::debug!(
            error = &error as &dyn std::error::Error,
            "sessions not known"
        ),
    }
    facts.heartbeat = Beat::now(gateway).await;
    facts.uptime_ms = gateway.uptime_ms();
    facts.took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let version = gateway.health.now().version + u64::from(tell);
    let snapshot = gateway.health.replace(facts.snapshot(now_ms(), version));
    if tell {
        gateway.tell_health(&snapshot.payload, version);
    }
}

impl Facts {
    fn snapshot(&self, now_ms: i64, version: u64) -> Snapshot {
        let raw = |value: &Value| {
            Arc::from(serde_json::value::to_raw_value(value).expect("a value serialises"))
        };
        let (payload, status) = (raw(&self.payload(now_ms)), raw(&self.status()));
        Snapshot {
            payload,
            status,
            version,
        }
    }

    fn payload(&self, now_ms: i64) -> Value {
        let recent: Vec<_> = self
            .recent
            .iter()
            .map(|row| json!({"key": row["key"], "updatedAt": row["updatedAt"], "age": row["age"]}))
            .collect();
        let sessions = json!({"path": "ledger", "count": self.sessions, "recent": recent});
        let heartbeat = self.heartbeat.full();
        let (channels, order, labels) = channels(self.connections.values());
        json!({
            "ok": true, "ts": now_ms, "durationMs": self.took_ms,
            "plugins": {"loaded": [], "errors": [], "unavailable": []},
            "channels": channels, "channelOrder": order, "channelLabels": labels,
            "heartbeatSeconds": self.heartbeat.seconds(), "defaultAgentId": self.agent,
            "agents": [{"agentId": self.agent, "isDefault": true, "heartbeat": heartbeat, "sessions": sessions}],
            "sessions": sessions,
        })
    }

    fn status(&self) -> Value {
        let recent = &self.recent;
        let mut heartbeat = self.heartbeat.short();
        heartbeat["agentId"] = self.agent.as_str().into();
        let (_, order, labels) = channels(self.connections.values());
        let summary: Vec<_> = order
            .iter()
            .map(|platform| labels[platform].clone())
            .collect();
        json!({
            "version": VERSION, "uptimeMs": self.uptime_ms,
            "heartbeat": {"defaultAgentId": self.agent, "agents": [heartbeat]},
            "channelSummary": summary, "queuedSystemEvents": [],
            "sessions": {
                "paths": ["ledger"], "count": self.sessions, "defaults": {"model": null, "contextTokens": null},
                "recent": recent,
                "byAgent": [{"agentId": self.agent, "path": "ledger", "count": self.sessions, "recent": recent}],
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sessions::row;
    use proto::v1::{ConnectionState, SessionRow};

    #[test]
    fn a_snapshot_has_what_the_command_line_reads() {
        let mut facts = Facts {
            agent: "main".into(),
            ..Facts::default()
        };
        let mut telegram = Connection {
            platform: "telegram".into(),
            account: "main".into(),
            ..Connection::default()
        };
        telegram.set_state(ConnectionState::Connected);
        assert!(note(
            &mut facts.connections,
            "telegram.main".into(),
            Some(telegram.clone())
        ));
        telegram.received = 7;
        assert!(
            !note(
                &mut facts.connections,
                "telegram.main".into(),
                Some(telegram)
            ),
            "counters alone"
        );
        let row = SessionRow {
            agent: "main".into(),
            session_key: "telegram:dm:5".into(),
            updated_at_ms: 40,
            ..SessionRow::default()
        };
        facts.recent = vec![row::row(&row, None, &[], Extras::default(), 100)];
        facts.sessions = 3;
        let health = facts.payload(100);
        for key in [
            "ok",
            "ts",
            "durationMs",
            "channels",
            "channelOrder",
            "channelLabels",
            "heartbeatSeconds",
            "defaultAgentId",
            "agents",
            "sessions",
        ] {
            assert!(!health[key].is_null(), "{key}");
        }
        assert_eq!(
            health["channels"]["telegram"]["accounts"]["main"]["connected"],
            true
        );
        assert_eq!(
            health["sessions"]["recent"][0],
            json!({"key": "agent:main:telegram:dm:5", "updatedAt": 40, "age": 60})
        );
        assert_eq!(health["sessions"]["count"], 3);
        assert_eq!(facts.status()["sessions"]["recent"][0]["kind"], "direct");
    }
}
