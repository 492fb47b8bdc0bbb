//! Every service in processes of its own, with a cable to each server that can be cut.

use std::{
    net::SocketAddr,
    process::ExitStatus,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use bus::Bus;

use crate::{
    chaos::clock::Clock,
    eventually::eventually,
    gateway::Service,
    process,
    proxy::FaultProxy,
    servers::Nats,
    stage::{Hears, Stage},
};

/// The services, three replicas of those that may have some.
const NAMES: [&str; 9] = [
    "telegram",
    "router",
    "router",
    "router",
    "agent-bridge",
    "agent-bridge",
    "agent-bridge",
    "ledger",
    "control-plane",
];

/// Patience that is short enough for a fault to outlast it, and long enough for a slow machine.
const SHORT: [(&str, &str); 3] = [
    ("OPENCLAW_TELEGRAM_MAIN_REQUEST_TIMEOUT_MS", "3000"),
    ("OPENCLAW_TELEGRAM_MAIN_POLL_TIMEOUT_S", "5"),
    ("OPENCLAW_AGENT_FIRST_PIECE_TIMEOUT_S", "3"),
];

/// A stage with every service on it.
pub struct System {
    /// Servers and fakes.
    pub stage: Stage,
    /// A connection of our own to the bus, past the cable.
    pub bus: Bus,
    /// The cables.
    pub cables: Cables,
    /// The clock of the services, where it can be moved.
    pub clock: Option<Clock>,
    env: Vec<(&'static str, String)>,
    services: Mutex<Vec<(&'static str, Arc<Service>)>>,
    next_chat: AtomicI64,
}

/// What lies between the services and the servers.
pub struct Cables {
    /// To the bus.
    pub nats: FaultProxy,
    /// To Redis.
    pub redis: FaultProxy,
    /// To the platform.
    pub platform: FaultProxy,
    /// To the model.
    pub model: FaultProxy,
}

impl System {
    /// Starts everything and waits until it serves.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start(hears: Hears) -> Self {
        Self::start_on(Nats::start(), hears, None).await
    }

    /// Starts everything on this nats-server and, if there is one, with this clock.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn start_on(nats: Nats, hears: Hears, clock: Option<Clock>) -> Self {
        let stage = Stage::set_on(nats, hears, "").await;
        // The first to come makes streams and buckets.
        let bus = Bus::connect(stage.nats.settings()).await.expect("the bus");
        let platform: SocketAddr = stage
            .telegram
            .url()
            .trim_start_matches("http://")
            .parse()
            .expect("an address");
        let cables = Cables {
            nats: FaultProxy::start(stage.nats.addr()).await,
            redis: FaultProxy::start(stage.redis.addr()).await,
            platform: FaultProxy::start(platform).await,
            model: FaultProxy::start(stage.model.addr()).await,
        };
        let mut env = vec![
            ("NATS_URL", format!("nats://{}", cables.nats.addr())),
            ("REDIS_URL", format!("redis://{}", cables.redis.addr())),
            (
                "OPENCLAW_TELEGRAM_MAIN_API_URL",
                format!("http://{}", cables.platform.addr()),
            ),
            (
                "OPENAI_BASE_URL",
                format!("http://{}/v1", cables.model.addr()),
            ),
        ];
        env.extend(SHORT.map(|(name, value)| (name, value.to_owned())));
        env.extend(clock.iter().flat_map(Clock::env));
        let system = Self {
            stage,
            bus,
            cables,
            clock,
            env,
            services: Mutex::default(),
            next_chat: AtomicI64::new(1001),
        };
        for name in NAMES {
            let service = system.launch(name);
            system.services().push((name, service));
        }
        system.ready().await;
        system
    }

    /// Chats that nobody has written in yet.
    pub fn fresh_chats(&self, count: i64) -> Vec<i64> {
        let first = self.next_chat.fetch_add(count, Ordering::Relaxed);
        (first..first + count).collect()
    }

    /// Waits until every service serves.
    ///
    /// # Panics
    /// When one never does.
    pub async fn ready(&self) {
        let all: Vec<_> = self
            .services()
            .iter()
            .map(|(_, service)| service.clone())
            .collect();
        for service in all {
            service.ready().await;
        }
    }

    /// Kills the first service of this name and starts another in its place, as an orchestrator does.
    ///
    /// # Panics
    /// When there is no such service.
    pub fn kill(&self, name: &'static str) {
        let service = self.take(name);
        service.kill9();
        self.put(name);
    }

    /// Asks the first service of this name to end, and starts another when it has, as a deployment does.
    ///
    /// # Panics
    /// When it does not end, or not cleanly.
    pub async fn end(&self, name: &'static str) {
        let service = self.take(name);
        service.process().ask_to_end();
        let ended = ended(name, &service).await;
        assert!(ended.success(), "{name} does not end cleanly");
        self.put(name);
    }

    /// Freezes the first service of this name and starts another in its place; wakes the frozen one when it has a
    /// rival, as a machine does that was cut off for a while.
    ///
    /// # Panics
    /// When there is no such service.
    pub async fn freeze(&self, name: &'static str, while_: Duration) {
        let zombie = self.take(name);
        zombie.process().stop();
        self.put(name);
        process::lasting(while_).await;
        zombie.process().cont();
        // It lives on beside the others; the next kill of this name may hit it.
        self.services().push((name, zombie));
    }

    /// Ends all services of this name, one after the other, and starts new ones.
    ///
    /// # Panics
    /// When one does not end cleanly, or a new one never serves.
    pub async fn renew(&self, name: &'static str) {
        for _ in NAMES.iter().filter(|known| **known == name) {
            self.end(name).await;
        }
        self.ready().await;
    }

    /// Ends one of the services of this name if there are more than there should be.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn thin_out(&self, name: &'static str) {
        let wanted = NAMES.iter().filter(|known| **known == name).count();
        let many = self
            .services()
            .iter()
            .filter(|(known, _)| *known == name)
            .count();
        if many > wanted {
            let service = self.take(name);
            service.process().ask_to_end();
            ended(name, &service).await;
        }
    }

    fn take(&self, name: &'static str) -> Arc<Service> {
        let mut services = self.services();
        let place = services.iter().position(|(known, _)| *known == name);
        services
            .remove(place.unwrap_or_else(|| panic!("no {name} runs")))
            .1
    }

    /// At the end, so that the next fault of this name hits another one.
    fn put(&self, name: &'static str) {
        let service = self.launch(name);
        self.services().push((name, service));
    }

    fn launch(&self, name: &str) -> Arc<Service> {
        let env: Vec<(&str, &str)> = self
            .env
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Arc::new(self.stage.service_with(name, &env))
    }

    fn services(&self) -> MutexGuard<'_, Vec<(&'static str, Arc<Service>)>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ended(name: &str, service: &Service) -> ExitStatus {
    eventually(&format!("{name} to end after SIGTERM"), || async {
        service.process().ended()
    })
    .await
}
