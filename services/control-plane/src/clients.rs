//! All clients that were let in: who is present, and telling all of them something.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chassis::clock::now_ms;
use proto::ws::{Event, StateVersion};
use serde_json::{Value, json, value::RawValue};
use tokio::{sync::Notify, time::MissedTickBehavior};

use crate::{
    client::Client,
    cursor::Cursor,
    gateway::{Gateway, VERSION},
    handshake::Role,
    meter,
    outbox::Worth,
    runs::Tale,
    scope::Scope,
};

/// How often every client hears that the gateway lives.
pub(crate) const TICK: Duration = Duration::from_secs(30);
/// Changes of presence are told together, at most this often.
const PRESENCE_PAUSE: Duration = Duration::from_millis(200);

/// All clients that were let in.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    present: RwLock<HashMap<String, Arc<Client>>>,
    presence_version: AtomicU64,
    changed: Notify,
    /// Up to where all who are present were told what happened. Changes only while `present` is held, so that who
    /// joins knows exactly what it will be told and what not.
    told: Mutex<Cursor>,
}

/// Who hears an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience {
    /// Scope that it takes; `None` is everybody, nodes too.
    pub(crate) scope: Option<Scope>,
    /// Oldest and newest protocol whose clients know it.
    pub(crate) protocols: (u8, u8),
}

impl Audience {
    /// Everybody.
    pub(crate) const ALL: Self = Self {
        scope: None,
        protocols: (3, 4),
    };
    /// Every operator who may read.
    pub(crate) const READERS: Self = Self {
        scope: Some(Scope::Read),
        protocols: (3, 4),
    };

    /// Whether `client` hears it.
    pub(crate) fn includes(self, client: &Client) -> bool {
        let grant = &client.grant;
        let allowed = match self.scope {
            None => true,
            Some(scope) => grant.role == Role::Operator && grant.scopes.allow(scope),
        };
        allowed && (self.protocols.0..=self.protocols.1).contains(&grant.protocol)
    }
}

impl Clients {
    /// Adds a client; from now on it hears events.
    pub(crate) fn join(&self, client: &Arc<Client>) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        let _ = client.joined_at.set(self.told());
        present.insert(client.id.clone(), client.clone());
        meter::connections(present.len());
        drop(present);
        self.noticed(client);
    }

    /// Takes a client out.
    pub(crate) fn leave(&self, client: &Client) {
        let mut present = self.present.write().unwrap_or_else(PoisonError::into_inner);
        present.remove(&client.id);
        meter::connections(present.len());
        drop(present);
        self.noticed(client);
    }

    /// The client `id`.
    pub(crate) fn find(&self, id: &str) -> Option<Arc<Client>> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        present.get(id).cloned()
    }

    /// The newest connection of the node `id`.
    pub(crate) fn node(&self, id: &str) -> Option<Arc<Client>> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let is_it = |client: &&Arc<Client>| {
            client.grant.role == Role::Node && client.grant.device.as_deref() == Some(id)
        };
        let newest = present.values().filter(is_it);
        newest.max_by_key(|client| client.since_ms).cloned()
    }

    /// The clients of a device.
    pub(crate) fn of_device(&self, device: &str) -> Vec<Arc<Client>> {
        self.chosen(|client| client.grant.device.as_deref() == Some(device))
    }

    /// The clients for which `wanted` is true.
    pub(crate) fn chosen(&self, wanted: impl Fn(&Client) -> bool) -> Vec<Arc<Client>> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let chosen = present.values().filter(|client| wanted(client));
        chosen.cloned().collect()
    }

    fn noticed(&self, client: &Client) {
        if client.is_seen() {
            self.presence_version.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_one();
        }
    }

    /// Puts `event` into the outbox of everybody of `audience`; waits for nobody.
    pub(crate) fn tell(&self, event: &Arc<Event>, audience: Audience, worth: Worth) {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        for client in present.values().filter(|client| audience.includes(client)) {
            client.outbox.tell(event, worth);
        }
    }

    /// Puts `event` into the outbox of those of `audience` that `wants` names; waits for nobody.
    pub(crate) fn tell_those(
        &self,
        event: &Arc<Event>,
        audience: Audience,
        worth: Worth,
        wants: impl Fn(&Client) -> bool,
    ) {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let all = present.values().filter(|client| audience.includes(client));
        for client in all.filter(|client| wants(client)) {
            client.outbox.tell(event, worth);
        }
    }

    /// Whether there is a client that `wants` names.
    pub(crate) fn any(&self, wants: impl Fn(&Client) -> bool) -> bool {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        present.values().any(|client| wants(client))
    }

    /// Up to where those present were told what happened.
    pub(crate) fn told(&self) -> Cursor {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what happened at `at`, which may be nothing to tell; `whole` where nothing else happened there.
    pub(crate) fn tell_happened<'a>(
        &self,
        at: Cursor,
        whole: bool,
        tales: impl Iterator<Item = &'a Tale>,
    ) {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let mut tales = tales.peekable();
        while let Some(tale) = tales.next() {
            let audience = tale.audience();
            // The last one says where that was, to who understands it.
            let last = whole && tales.peek().is_none();
            let mut marked = None;
            for client in present.values().filter(|client| audience.includes(client)) {
                match client.resume {
                    Some(_) if client.knows(at) => {}
                    Some(_) if last => {
                        let marked = marked.get_or_insert_with(|| Arc::new(tale.marked(at)));
                        client.outbox.tell(marked, tale.worth);
                    }
                    _ => client.outbox.tell(&tale.event, tale.worth),
                }
            }
        }
        if whole {
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = at;
        }
    }

    /// How often the list of those present has changed.
    pub(crate) fn presence_version(&self) -> u64 {
        self.presence_version.load(Ordering::Relaxed)
    }

    /// Those present: the gateway itself, then its clients in the order they came; as clients of this protocol know it.
    pub(crate) fn presence(&self, started_ms: i64, protocol: u8) -> Vec<Value> {
        let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
        let mut seen: Vec<_> = present.values().filter(|client| client.is_seen()).collect();
        seen.sort_by_key(|client| client.since_ms);
        let own = json!({
            "host": "gateway", "version": VERSION, "platform": std::env::consts::OS, "mode": "gateway",
            "reason": "self", "ts": started_ms,
            "text": format!("Gateway: app {VERSION} · mode gateway · reason self"),
        });
        std::iter::once(own)
            .chain(seen.into_iter().map(|client| client.presence(protocol)))
            .collect()
    }
}

/// Tells the time every half minute and, soon after it changed, who is present; until the gateway stops.
pub(crate) async fn pulse(gateway: &Gateway) {
    let clients = &gateway.clients;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.reset();
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => return,
            _ = tick.tick() => {
                let event = Arc::new(Event::new("tick", &json!({"ts": now_ms()}), None));
                clients.tell(&event, Audience::ALL, Worth::Droppable);
            }
            () = clients.changed.notified() => {
                tokio::time::sleep(PRESENCE_PAUSE).await;
                let state = StateVersion {
                    presence: clients.presence_version(),
                    health: gateway.health.now().version,
                };
                for protocol in [3, 4] {
                    let payload = json!({"presence": gateway.presence(protocol)});
                    let event = Arc::new(Event::new("presence", &payload, Some(state)));
                    let audience = Audience { protocols: (protocol, protocol), ..Audience::READERS };
                    clients.tell(&event, audience, Worth::Droppable);
                }
            }
        }
    }
}

impl Gateway {
    /// Those present, as clients of this protocol know it.
    pub(crate) fn presence(&self, protocol: u8) -> Vec<Value> {
        let uptime_ms = i64::try_from(self.uptime_ms()).unwrap_or(i64::MAX);
        self.clients
            .presence(now_ms().saturating_sub(uptime_ms), protocol)
    }

    /// Tells every client that the gateway stops; protocol 3 wants to hear when it comes back, which nobody knows.
    pub(crate) fn tell_shutdown(&self) {
        let payloads = [
            (
                (3, 3),
                json!({"reason": "gateway stopping", "restartExpectedMs": null}),
            ),
            ((4, 4), json!({"reason": "gateway stopping"})),
        ];
        for (protocols, payload) in payloads {
            let event = Arc::new(Event::new("shutdown", &payload, None));
            let audience = Audience {
                protocols,
                ..Audience::ALL
            };
            self.clients.tell(&event, audience, Worth::Needed);
        }
    }

    /// Tells everybody how the gateway does.
    pub(crate) fn tell_health(&self, health: &RawValue, version: u64) {
        let state = StateVersion {
            presence: self.clients.presence_version(),
            health: version,
        };
        let event = Arc::new(Event::new("health", &health, Some(state)));
        self.clients.tell(&event, Audience::ALL, Worth::Droppable);
    }
}
