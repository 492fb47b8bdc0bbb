//! Decides who is answered, in which session and by which agent.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bus::{Bus, Delivery, Outcome, Source, consume};
use chassis::clock::now_ms;
use futures_util::future::{try_join, try_join_all};
use proto::{
    id, priority, subject,
    v1::{Inbound, Priority, SessionSettings, Turn, inbound::Body},
};
use tracing::{debug, info};

use crate::{
    moves::Moves,
    people::{Asked, People},
    policy::Verdict,
    route::{Admitted, Decision},
    settings::Settings,
    store::{Keys, Rate, Session, Store},
    turnstile::Turnstile,
};

pub mod commands;
mod config;
mod local;
pub mod moves;
pub mod people;
pub mod policy;
pub mod route;
pub mod settings;
pub mod store;
pub mod text;
mod turnstile;

pub use config::{Access, Config, Direct, Group};

/// A message that was begun again and again, by owners that died of it, is given up.
const MOST_BEGINNINGS: u32 = 20;

/// Routes until told to stop; `redis_url` is where soft state lies.
///
/// # Errors
/// When who is known cannot be read, or the bus is gone for good.
pub async fn run(ctx: chassis::Context, config: Config, redis_url: &str) -> anyhow::Result<()> {
    let store = Store::new(redis_url).context("[redis] url is no address of a Redis")?;
    let people = People::load(&ctx.bus)
        .await
        .context("reading who is paired")?;
    let moves = Moves::load(&ctx.bus)
        .await
        .context("reading which groups moved")?;
    let settings = Settings::load(&ctx.bus)
        .await
        .context("reading what is set for sessions")?;
    let router = Arc::new(Router {
        bus: ctx.bus.clone(),
        config,
        store,
        people,
        moves,
        settings,
        sessions: Turnstile::default(),
    });
    let source = Source::partitions(&ctx.bus, "IN", "router");
    drop(ctx.ready);
    let routing = consume(
        &ctx.bus,
        source,
        &ctx.stop,
        route::session_key,
        |delivery| {
            let router = router.clone();
            async move { router.handle(delivery).await }
        },
    );
    let keeping_up = async {
        tokio::select! {
            kept = router.people.keep_up() => kept,
            kept = router.moves.keep_up() => kept,
            kept = router.settings.keep_up() => kept,
            () = ctx.stop.cancelled() => Ok(()),
        }
    };
    tokio::try_join!(routing, keeping_up, bus::move_due(&ctx.bus, &ctx.stop))?;
    Ok(())
}

struct Router {
    bus: Bus,
    config: Config,
    store: Store,
    people: People,
    moves: Moves,
    settings: Settings,
    sessions: Turnstile,
}

impl Router {
    async fn handle(&self, delivery: Delivery<Inbound>) -> Outcome {
        let inbound = &delivery.message;
        let (Some(address), Some(sender)) = (&inbound.address, &inbound.sender) else {
            return Outcome::Dead("an inbound without address or sender".into());
        };
        // The subject says whose credential published it; the message may not claim to be another platform's.
        if delivery.subject.split('.').nth(3) != Some(subject::token(&address.platform).as_str()) {
            return Outcome::Dead("an inbound under another platform's subject".into());
        }
        let key = self.moves.origin(route::session_key(inbound));
        let _pass = self.sessions.enter(&key).await;
        let agent = route::agent(&self.config, inbound);
        let keys = Keys::new(
            &inbound.id,
            &self.sid(agent, &key),
            &address.platform,
            &address.account,
            &sender.id,
        );
        let (user, platform) = self.rates(&address.platform);
        let seen = self
            .store
            .look(
                &keys,
                delivery.sequence,
                self.config.dedupe_s,
                user,
                platform,
            )
            .await;
        if seen.duplicate && !bus::sabotaged("dedupe") {
            metrics::counter!("openclaw_router_duplicates_total").increment(1);
            debug!(
                message.id = inbound.id,
                "dropped a repetition of `{}`", inbound.id
            );
            return Outcome::Ack;
        }
        let now_ms = now_ms();
        if route::expired(&self.config, inbound, delivery.stored_ms, now_ms) {
            return Outcome::Dead("expired".into());
        }
        if seen.begun > MOST_BEGINNINGS && delivery.attempt == 1 {
            let times = seen.begun;
            return Outcome::Dead(format!(
                "its handler ended {times} times before it was done"
            ));
        }
        if seen.wait > Duration::ZERO && delivery.attempt == 1 {
            metrics::counter!("openclaw_router_slowed_total").increment(1);
            return Outcome::Retry(seen.wait.min(Duration::from_secs(60)));
        }
        if let Some(decision) = route::delivered(&self.config, inbound, &key, now_ms) {
            return match self.act(&decision, inbound, &keys).await {
                Ok(()) => Outcome::Ack,
                Err(error) => again(&error, delivery.attempt),
            };
        }
        let set = self.settings.of(agent, &key);
        let mut access = self.config.access(&address.platform, &address.account);
        settings::allow(&set, &mut access);
        let verdict = policy::decide(&access, inbound, self.people.approved(address, sender));
        let decision = match verdict {
            Verdict::Admit(_) if let Some(reason) = self.silenced(agent, &set, inbound) => {
                route::refuse(&self.config, inbound, &key, &reason, now_ms)
            }
            Verdict::Admit(trust) => {
                let mut inbound = inbound.clone();
                if let Some(sender) = &mut inbound.sender {
                    sender.set_trust(trust);
                }
                let mut session = match &inbound.wish {
                    Some(wish) if wish.fresh => Session::begin(now_ms),
                    _ => seen
                        .session
                        .unwrap_or_else(|| self.begin(seen.blind, now_ms)),
                };
                settings::prefer(&set, &mut session);
                route::route(
                    &self.config,
                    Admitted {
                        inbound: &inbound,
                        key: &key,
                        session,
                        now_ms,
                    },
                )
            }
            Verdict::Silence(reason) => route::refuse(&self.config, inbound, &key, reason, now_ms),
            Verdict::Pair => match self.people.ask(address, sender, now_ms).await {
                Ok(Asked::Code(code)) => {
                    info!(
                        platform = address.platform,
                        account = address.account,
                        "somebody asks to be let in"
                    );
                    let text = invitation(&self.config.operator_command, &code);
                    route::tell(&self.config, inbound, &key, text, now_ms)
                }
                Ok(Asked::Already) => {
                    route::refuse(&self.config, inbound, &key, "waits for approval", now_ms)
                }
                Ok(Asked::Full) => route::refuse(
                    &self.config,
                    inbound,
                    &key,
                    "too many wait for approval",
                    now_ms,
                ),
                Err(error) => return again(&error, delivery.attempt),
            },
        };
        if let Err(error) = self.moves.remember(inbound, &key).await {
            return again(&error, delivery.attempt);
        }
        if let Some(session) = &decision.session
            && let Err(error) = self.settings.keep(agent, &key, &set, session).await
        {
            return again(&error, delivery.attempt);
        }
        match self.act(&decision, inbound, &keys).await {
            Ok(()) => Outcome::Ack,
            Err(error) => again(&error, delivery.attempt),
        }
    }

    /// Everything durable first and at once; the inbound is acknowledged after it.
    async fn act(
        &self,
        decision: &Decision,
        inbound: &Inbound,
        keys: &Keys,
    ) -> Result<(), bus::Error> {
        let priority = priority::of(inbound);
        if let Some(cancel) = &decision.cancel {
            self.bus.tell(subject::CANCEL, cancel).await?;
        }
        let turns = [
            (&decision.turn, priority),
            (&decision.cancel, Priority::Critical),
        ];
        let turns = turns
            .into_iter()
            .filter_map(|(turn, priority)| Some((turn.as_ref()?, priority)));
        let turns = try_join_all(turns.map(|(turn, priority)| self.publish_turn(turn, priority)));
        let outbound = try_join_all(decision.outbound.iter().map(|outbound| async {
            let to = outbound.to.clone().unwrap_or_default();
            self.bus
                .publish(
                    &subject::outbound(&to, Priority::High),
                    &outbound.id,
                    outbound,
                )
                .await
        }));
        let events = try_join_all(decision.events.iter().map(|event| async {
            self.bus
                .record(&subject::event(event), &event.id, event)
                .await
        }));
        let save = async {
            if let Some(session) = &decision.session {
                self.store
                    .save(keys, session, self.config.session_idle_s)
                    .await;
            }
            if decision.forget {
                self.store.forget(keys).await;
            }
        };
        let (published, ()) = tokio::join!(try_join(turns, try_join(outbound, events)), save);
        published.map(|_| ())
    }

    async fn publish_turn(
        &self,
        turn: &Turn,
        priority: Priority,
    ) -> Result<bus::Stored, bus::Error> {
        let subject = subject::turn(
            self.bus.partitions(),
            priority,
            &turn.agent,
            &turn.session_key,
        );
        let id = if turn.cancel.is_empty() {
            turn.id.clone()
        } else {
            format!("{}.cancel", turn.id)
        };
        self.bus.publish(&subject, &id, turn).await
    }

    /// A session that is new, or of which nothing is known now: then the last half hour is its context.
    fn begin(&self, blind: bool, now_ms: i64) -> Session {
        let mut session = Session::begin(now_ms);
        if blind {
            let idle = i64::try_from(self.config.session_idle_s * 1000).unwrap_or_default();
            session.started_at_ms = now_ms - idle;
        }
        session
    }

    /// Why nothing of this is answered, if operators want it so.
    fn silenced(&self, agent: &str, set: &SessionSettings, inbound: &Inbound) -> Option<String> {
        if let Err(unknown) = self.settings.must_know(agent, &self.config.agent) {
            return Some(unknown);
        }
        let managed = matches!(inbound.body, Some(Body::Managed(_)));
        let denied = set.send_policy == "deny" && !managed;
        denied.then(|| "the session's send policy is deny".into())
    }

    /// Under which its state is kept: sessions of two agents may have one key.
    fn sid(&self, agent: &str, key: &str) -> String {
        match agent == self.config.agent {
            true => id::of_session(key),
            false => id::of_session(&format!("{agent} {key}")),
        }
    }

    fn rates(&self, platform: &str) -> (Rate, Rate) {
        // The operator's own page is not limited.
        let per_minute = if platform == "webchat" {
            0
        } else {
            self.config.user_per_minute
        };
        let each = |count: u32, period_ms: u64| match count {
            0 => Duration::ZERO,
            count => Duration::from_millis((period_ms / u64::from(count)).max(1)),
        };
        let user = Rate {
            each: each(per_minute, 60_000),
            burst: self.config.user_burst,
        };
        let all = self.config.platform_per_second;
        (
            user,
            Rate {
                each: each(all, 1000),
                burst: all,
            },
        )
    }
}

/// Not now: after 2, 4, 8 seconds, and every 30 while the bus is away; what can never work is a dead letter.
fn again(error: &bus::Error, attempt: u32) -> Outcome {
    match error {
        bus::Error::Invalid(why) | bus::Error::Refused(why) => Outcome::Dead(why.clone()),
        bus::Error::Unavailable(_) | bus::Error::Full(_) => {
            Outcome::Retry(Duration::from_secs(1 << attempt.min(5)).min(Duration::from_secs(30)))
        }
    }
}

fn invitation(command: &str, code: &str) -> String {
    format!(
        "Hello! I only answer people whom my operator knows.\n\nYour code is `{code}`. Ask the operator to run:\n\n\
         ```\n{command} pairing approve {code}\n```\nIt is good for one hour."
    )
}
