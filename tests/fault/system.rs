//! Every service in processes of its own, three routers and three agent-bridges, under load while a fault happens.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bus::{Bucket, Bus};
use proto::v1::{Intent, IntentState};
use tests::{
    eventually::eventually,
    gateway::Service,
    stage::{Hears, Stage, answer},
};

/// Chats that write during a fault.
const CHATS: i64 = 50;
/// Messages of each of them.
const EACH: usize = 10;

/// The services, each by its name and number.
pub(crate) struct System {
    pub(crate) stage: Stage,
    services: Mutex<Vec<(&'static str, Arc<Service>)>>,
    bus: Bus,
    rounds: Mutex<i64>,
}

impl System {
    pub(crate) async fn start(hears: Hears) -> Self {
        let stage = Stage::set(hears, "").await;
        // The first to come makes streams and buckets.
        let bus = Bus::connect(stage.nats.settings()).await.expect("the bus");
        let names =
            ["telegram", "router", "router", "router", "agent-bridge", "agent-bridge", "agent-bridge", "ledger"];
        let services: Vec<_> = names.into_iter().map(|name| (name, Arc::new(stage.service(name)))).collect();
        for (_, service) in &services {
            service.ready().await;
        }
        Self { stage, services: Mutex::new(services), bus, rounds: Mutex::new(0) }
    }

    /// Kills the first service of this name and starts another in its place, as an orchestrator does.
    pub(crate) fn kill(&self, name: &'static str) {
        let mut services = self.services.lock().expect("not poisoned");
        let place = services.iter().position(|(known, _)| *known == name).expect("a known service");
        services[place].1.kill9();
        let next = Arc::new(self.stage.service(name));
        services.remove(place);
        // At the end, so that the next kill of this name hits another one.
        services.push((name, next));
    }

    /// Stops the first service of this name, lets the others take over, and wakes it again.
    pub(crate) async fn freeze(&self, name: &'static str, while_: Duration) {
        let service = {
            let services = self.services.lock().expect("not poisoned");
            let (_, service) = services.iter().find(|(known, _)| *known == name).expect("a known service");
            service.clone()
        };
        service.process().freeze_for(while_).await;
    }

    /// Has fifty people write while `fault` happens, and looks at every answer.
    ///
    /// Returns how many answers are marked unknown. Panics when one is missing and not marked, is there twice, or
    /// stands before an earlier one.
    pub(crate) async fn under_load<F: Future<Output = ()>>(&self, what: &str, fault: F) -> usize {
        let round = {
            let mut rounds = self.rounds.lock().expect("not poisoned");
            *rounds += 1;
            *rounds
        };
        let chats: Vec<i64> = (0..CHATS).map(|n| round * 1000 + n).collect();
        let telegram = &self.stage.telegram;
        let already = telegram.sent_in_all();
        self.stage.say(&chats, 0..EACH / 2);
        eventually("the first answers", || async { (telegram.sent_in_all() > already + 20).then_some(()) }).await;
        let second_half = async { self.stage.say(&chats, EACH / 2..EACH) };
        tokio::join!(fault, second_half);
        let unknown = self.settled(what, &chats).await;
        eprintln!("{what}: {} answered, {unknown} unknown", chats.len() * EACH - unknown);
        unknown
    }

    /// Waits until each answer is on the platform or marked unknown.
    async fn settled(&self, what: &str, chats: &[i64]) -> usize {
        let mut open = usize::MAX;
        loop {
            let missing = self.missing(chats);
            let unknown = if missing.is_empty() { 0 } else { self.unknown(chats).await };
            if missing.len() <= unknown {
                for chat in chats {
                    self.stage.in_order(*chat, EACH);
                }
                assert!(self.stage.telegram.repeated().is_empty(), "{what}: {:?}", self.stage.telegram.repeated());
                return unknown;
            }
            assert!(missing.len() - unknown < open, "{what}: lost {missing:?}");
            open = missing.len() - unknown;
            let still_open = || async { (self.missing(chats).len() < missing.len()).then_some(()) };
            eventually(&format!("the next of {open} answers after {what}"), still_open).await;
        }
    }

    fn missing(&self, chats: &[i64]) -> Vec<String> {
        let mut missing = Vec::new();
        for chat in chats {
            let sent: HashSet<String> = self.stage.telegram.sent(*chat).into_iter().map(|sent| sent.text).collect();
            missing.extend((0..EACH).map(|n| answer(*chat, n)).filter(|answer| !sent.contains(answer)));
        }
        missing
    }

    async fn unknown(&self, chats: &[i64]) -> usize {
        let intents = self.bus.bucket(Bucket::Intents).all::<Intent>().await.expect("intents");
        let of_chats = |intent: &Intent| {
            let to = intent.to.as_ref().map(|to| to.conversation.as_str()).unwrap_or_default();
            chats.iter().any(|chat| chat.to_string() == to)
        };
        let unknown = intents.iter().filter(|(_, intent, _)| intent.state() == IntentState::Unknown);
        unknown.filter(|(_, intent, _)| of_chats(intent)).count()
    }
}
