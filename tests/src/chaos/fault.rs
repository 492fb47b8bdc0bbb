//! Everything that may break, one value each: what it is called, and how it is done.

use std::{fmt, time::Duration};

use crate::{
    chaos::system::System,
    model::{Answer, Fault as Fails},
    platforms::telegram::Failure,
    process::lasting,
    proxy::Mode,
};

/// Longer than any lease, so that whoever sleeps has a rival when he wakes.
const SLEEP: Duration = Duration::from_secs(6);
/// How long a server hangs or a cable is dead: longer than a lease and than one try of any client.
const OUTAGE: Duration = Duration::from_secs(3);
/// What each piece of a slow connection costs.
const DRAG: Duration = Duration::from_millis(30);
/// An hour, in seconds.
const HOUR: i64 = 3600;

/// Something that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// A service dies (SIGKILL).
    Kill(&'static str),
    /// A service sleeps for six seconds (SIGSTOP) and wakes beside its successor.
    Freeze(&'static str),
    /// A service is asked to end (SIGTERM).
    End(&'static str),
    /// The bus dies and comes back.
    NatsDies,
    /// The bus hangs.
    NatsHangs,
    /// Redis dies and comes back empty.
    RedisDies,
    /// Redis hangs.
    RedisHangs,
    /// A connection misbehaves.
    Cable(Cable, Trouble),
    /// The platform answers a few sends badly.
    Platform(Refusal),
    /// The model answers a few questions badly.
    Model(Refusal),
    /// The adapter dies while the platform has its messages and it has no answers.
    DiesInMidSend,
    /// The adapter dies with updates in hand that the bus has not taken.
    DiesWhileNatsIsDown,
    /// The wall clock of all services jumps by so many hours, and back.
    Clock(i64),
}

/// Which connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cable {
    /// To the bus.
    Nats,
    /// To Redis.
    Redis,
    /// To the platform.
    Platform,
    /// To the model.
    Model,
}

/// What a connection does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// All are reset at once, three times.
    Cut,
    /// Each piece takes its time.
    Slow,
    /// Nothing passes for three seconds.
    Dead,
}

/// How somebody does not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 429.
    TooMany,
    /// 500.
    Error,
    /// Silence.
    Nothing,
    /// It is done, and the answer is lost.
    AnswerLost,
}

impl Fault {
    /// Every fault of services, servers, connections, platform and model that needs neither root nor a moved clock.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let services = [
            "telegram",
            "router",
            "agent-bridge",
            "ledger",
            "control-plane",
        ];
        let mut all = vec![Self::Nothing];
        all.extend(services.map(Self::Kill));
        all.extend(services.map(Self::Freeze));
        all.extend(services.map(Self::End));
        all.extend([
            Self::NatsDies,
            Self::NatsHangs,
            Self::RedisDies,
            Self::RedisHangs,
        ]);
        for cable in [Cable::Nats, Cable::Redis, Cable::Platform, Cable::Model] {
            all.extend(
                [Trouble::Cut, Trouble::Slow, Trouble::Dead]
                    .map(|trouble| Self::Cable(cable, trouble)),
            );
        }
        let refusals = [
            Refusal::TooMany,
            Refusal::Error,
            Refusal::Nothing,
            Refusal::AnswerLost,
        ];
        all.extend(refusals.map(Self::Platform));
        all.extend(refusals.map(Self::Model));
        all.extend([Self::DiesInMidSend, Self::DiesWhileNatsIsDown]);
        all
    }

    /// Whether it is the model that fails: then people may be told so.
    #[must_use]
    pub fn concerns_the_model(self) -> bool {
        matches!(self, Self::Model(_) | Self::Cable(Cable::Model, _))
    }

    /// Lets it happen, and ends it.
    ///
    /// # Panics
    /// When a service or server does not come up again.
    pub async fn happen(self, system: &System) {
        match self {
            Self::Nothing => {}
            Self::Kill(name) => system.kill(name),
            Self::Freeze(name) => system.freeze(name, SLEEP).await,
            Self::End(name) => system.end(name).await,
            Self::NatsDies => {
                system.stage.nats.kill();
                system.stage.nats.restart();
            }
            Self::NatsHangs => {
                system.stage.nats.stop();
                lasting(OUTAGE).await;
                system.stage.nats.cont();
            }
            Self::RedisDies => {
                system.stage.redis.kill();
                system.stage.redis.restart();
            }
            Self::RedisHangs => {
                system.stage.redis.stop();
                lasting(OUTAGE).await;
                system.stage.redis.cont();
            }
            Self::Cable(cable, trouble) => misbehave(system, cable, trouble).await,
            Self::Platform(refusal) => refuse_sends(system, refusal),
            Self::Model(refusal) => refuse_questions(system, refusal),
            Self::DiesInMidSend => die_in_mid_send(system).await,
            Self::DiesWhileNatsIsDown => {
                system.stage.nats.kill();
                // Long enough for the adapter to have fetched what was said meanwhile.
                lasting(OUTAGE / 2).await;
                system.kill("telegram");
                system.stage.nats.restart();
            }
            Self::Clock(hours) => {
                let clock = system
                    .clock
                    .as_ref()
                    .expect("a system with a clock that can be moved");
                clock.set_off(hours * HOUR);
                lasting(OUTAGE / 2).await;
                clock.set_off(0);
            }
        }
        if let Self::Freeze(name) = self {
            system.thin_out(name).await;
        }
    }
}

async fn misbehave(system: &System, cable: Cable, trouble: Trouble) {
    let cables = &system.cables;
    let proxy = match cable {
        Cable::Nats => &cables.nats,
        Cable::Redis => &cables.redis,
        Cable::Platform => &cables.platform,
        Cable::Model => &cables.model,
    };
    match trouble {
        Trouble::Cut => {
            for _ in 0..3 {
                proxy.cut();
                lasting(OUTAGE / 6).await;
            }
        }
        Trouble::Slow => proxy.set_for(Mode::Slow(DRAG), OUTAGE).await,
        Trouble::Dead => proxy.set_for(Mode::BlackHole, OUTAGE).await,
    }
}

fn refuse_sends(system: &System, refusal: Refusal) {
    let failure = match refusal {
        Refusal::TooMany => Failure::TooMany(1),
        Refusal::Error => Failure::Status(500),
        Refusal::Nothing => Failure::Hang,
        Refusal::AnswerLost => Failure::LoseAnswer,
    };
    system.stage.telegram.fail_times("sendMessage", 4, failure);
}

fn refuse_questions(system: &System, refusal: Refusal) {
    let fault = match refusal {
        Refusal::TooMany => Fails::RateLimited(1),
        Refusal::Error => Fails::Status(500),
        Refusal::Nothing => Fails::Hang(0),
        Refusal::AnswerLost => Fails::Cut(2),
    };
    system
        .stage
        .model
        .script(std::iter::repeat_n(Answer::fault(fault), 4));
}

/// The platform takes what it is sent, and the adapter dies before it hears of it.
async fn die_in_mid_send(system: &System) {
    let telegram = &system.stage.telegram;
    system.cables.platform.set(Mode::Slow(OUTAGE / 6));
    lasting(OUTAGE / 6).await;
    let before = telegram.sent_in_all();
    let arrived = || async { (telegram.sent_in_all() > before).then_some(()) };
    crate::eventually::eventually("a message to arrive whose answer is on its way", arrived).await;
    system.kill("telegram");
    system.cables.platform.set(Mode::Pass);
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nothing"),
            Self::Kill(name) => write!(f, "{name}: SIGKILL"),
            Self::Freeze(name) => write!(f, "{name}: SIGSTOP for {} s", SLEEP.as_secs()),
            Self::End(name) => write!(f, "{name}: SIGTERM"),
            Self::NatsDies => write!(f, "nats-server: SIGKILL"),
            Self::NatsHangs => write!(f, "nats-server: SIGSTOP for {} s", OUTAGE.as_secs()),
            Self::RedisDies => write!(f, "redis-server: SIGKILL"),
            Self::RedisHangs => write!(f, "redis-server: SIGSTOP for {} s", OUTAGE.as_secs()),
            Self::Cable(cable, trouble) => {
                let cable = match cable {
                    Cable::Nats => "NATS",
                    Cable::Redis => "Redis",
                    Cable::Platform => "the platform",
                    Cable::Model => "the model",
                };
                let trouble = match trouble {
                    Trouble::Cut => "reset three times",
                    Trouble::Slow => "slow",
                    Trouble::Dead => "swallowed for 3 s",
                };
                write!(f, "connections to {cable}: {trouble}")
            }
            Self::Platform(refusal) => write!(f, "platform answers {}", refusal.words()),
            Self::Model(refusal) => write!(f, "model answers {}", refusal.words()),
            Self::DiesInMidSend => write!(f, "telegram: SIGKILL before the platform's answers"),
            Self::DiesWhileNatsIsDown => write!(f, "telegram: SIGKILL while nats-server is down"),
            Self::Clock(hours) => write!(f, "wall clock: {hours:+} h and back"),
        }
    }
}

impl Refusal {
    fn words(self) -> &'static str {
        match self {
            Self::TooMany => "429",
            Self::Error => "500",
            Self::Nothing => "nothing",
            Self::AnswerLost => "and the answer is lost",
        }
    }
}
