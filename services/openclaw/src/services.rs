//! Which services there are, and how they live in one process or alone.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use adapter::media::MediaStore;
use anyhow::{Context as _, bail};
use chassis::frame::{self, Stage};
use chassis::settings::Book;
use chassis::{log, shutdown};
use clap::ValueEnum;
use control_plane::Host;
use tokio::task::JoinSet;
use tracing::{error, info};

use crate::home::Home;
use crate::{Settings, greeting, terminal};

/// Pauses before a service that ended is started again, from first to longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A service that lived this long was well.
const WELL: Duration = Duration::from_secs(60);

/// The kinds of services, as `openclaw run` names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Who may speak, which session a message joins, which agent answers.
    Router,
    /// Asks the model and streams its answers.
    AgentBridge,
    /// WebSocket gateway, WebChat, pairing, admin API.
    ControlPlane,
    /// What happened, kept and searchable.
    Ledger,
    /// One bot on Telegram.
    Telegram,
    /// A platform that is only this terminal, for trying things out.
    Loopback,
}

/// One service to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Service {
    Router,
    AgentBridge,
    ControlPlane,
    Ledger,
    Telegram(String),
    Loopback,
}

type Work = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

impl Service {
    /// What it is called in logs and by `/ready`.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Router => "router".to_owned(),
            Self::AgentBridge => "agent-bridge".to_owned(),
            Self::ControlPlane => "control-plane".to_owned(),
            Self::Ledger => "ledger".to_owned(),
            Self::Telegram(account) => format!("telegram.{account}"),
            Self::Loopback => "loopback".to_owned(),
        }
    }

    /// All that a gateway in one process has: those of accounts only where they are set up.
    pub(crate) fn all(settings: &Settings) -> Vec<Self> {
        let accounts = accounts(settings);
        let accounts = accounts.into_iter().map(Self::Telegram);
        [
            Self::Ledger,
            Self::ControlPlane,
            Self::Router,
            Self::AgentBridge,
        ]
        .into_iter()
        .chain(accounts)
        .collect()
    }

    /// Chooses by what the command line says.
    fn choose(kind: Kind, account: Option<String>, settings: &Settings) -> anyhow::Result<Self> {
        anyhow::ensure!(
            account.is_none() || kind == Kind::Telegram,
            "--account is for services that have accounts, as `openclaw run telegram`"
        );
        Ok(match kind {
            Kind::Router => Self::Router,
            Kind::AgentBridge => Self::AgentBridge,
            Kind::ControlPlane => Self::ControlPlane,
            Kind::Ledger => Self::Ledger,
            Kind::Loopback => Self::Loopback,
            Kind::Telegram => {
                let known = accounts(settings);
                match account {
                    Some(account) if known.contains(&account) => Self::Telegram(account),
                    Some(account) => bail!(
                        "there is no account `{account}` with a token; known: {}",
                        known.join(", ")
                    ),
                    None => match known.as_slice() {
                        [only] => Self::Telegram(only.clone()),
                        [] => bail!("no account is set up; set TELEGRAM_BOT_TOKEN"),
                        several => bail!("say which with --account: {}", several.join(", ")),
                    },
                }
            }
        })
    }

    fn work(&self, ctx: chassis::Context, settings: &Settings, host: &Host) -> Work {
        let media = || MediaStore::new(settings.media.dir.clone(), settings.media.max_bytes);
        match self {
            Self::Router => {
                let (config, redis) = (settings.router.clone(), settings.redis_url().to_owned());
                Box::pin(async move { router::run(ctx, config, &redis).await })
            }
            Self::AgentBridge => Box::pin(agent_bridge::run(ctx, settings.agent.clone())),
            Self::ControlPlane => {
                let host = host.clone();
                Box::pin(control_plane::run(ctx, settings.gateway.clone(), host))
            }
            Self::Ledger => Box::pin(ledger::run(ctx, settings.ledger.clone())),
            Self::Telegram(account) => {
                let config = settings.telegram.get(account).cloned().unwrap_or_default();
                let (account, media) = (account.clone(), media());
                Box::pin(async move { adapter_telegram::run(ctx, &account, media, config).await })
            }
            Self::Loopback => Box::pin(terminal::run(ctx, media())),
        }
    }
}

/// Accounts on Telegram that have a token.
pub(crate) fn accounts(settings: &Settings) -> Vec<String> {
    let set_up = settings
        .telegram
        .iter()
        .filter(|(_, config)| !config.token.is_empty());
    set_up.map(|(name, _)| name.clone()).collect()
}

/// Runs one service until told to stop. Its end is the process's end: whoever runs it starts it
/// again.
pub(crate) async fn run_one(
    kind: Kind,
    account: Option<String>,
    home: &Home,
    book: Book,
    mut settings: Settings,
) -> anyhow::Result<()> {
    let service = Service::choose(kind, account, &settings)?;
    let name = service.name();
    let log = log::begin(&settings.log, &name);
    let host = Host {
        log: log.tail.clone(),
        scrub: log.scrub.clone(),
        settings: Some(book),
        again: None,
    };
    host.hide_secrets();
    let stop = shutdown::listen().context("signals")?;
    settings.complete(home);
    if matches!(service, Service::Ledger) {
        home.make("")?;
    }
    let mut frame = frame::Settings::new(&name, settings.bus(&format!("openclaw {name}")));
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    frame.health = settings.health.address_or(free)?;
    frame::run(frame, stop, |stage| async {
        let board = stage.board.clone();
        let work = service.work(stage.context(&name), &settings, &host);
        drop(stage);
        if !matches!(service, Service::ControlPlane) {
            return work.await;
        }
        let greet = greeting::first_device(&board, &settings, home);
        tokio::select! {
            ended = work => ended,
            never = async { greet.await; std::future::pending().await } => never,
        }
    })
    .await
}

/// Runs all `services` until told to stop; one that ends before is started again.
pub(crate) async fn run_all(
    stage: Stage,
    services: Vec<Service>,
    settings: &Settings,
    host: &Host,
) {
    let mut running = JoinSet::new();
    // All are on the board before the first begins: ready means that every one is.
    let entered: Vec<_> = services
        .into_iter()
        .map(|service| (stage.context(&service.name()), service))
        .collect();
    for (context, service) in entered {
        let (settings, host) = (settings.clone(), host.clone());
        running.spawn(keep(stage.clone(), context, service, settings, host));
    }
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended {
            error!(error = %error, "a service broke off");
        }
    }
}

async fn keep(
    stage: Stage,
    first: chassis::Context,
    service: Service,
    settings: Settings,
    host: Host,
) {
    let name = service.name();
    let (mut context, mut pause) = (first, PAUSES.0);
    loop {
        let begun = Instant::now();
        let outcome = service.work(context, &settings, &host).await;
        if stage.stop.is_cancelled() {
            match outcome {
                Ok(()) => info!(service = name, "{name} stopped"),
                Err(error) => error!(
                    service = name,
                    error = format!("{error:#}"),
                    "{name} stopped"
                ),
            }
            return;
        }
        if begun.elapsed() > WELL {
            pause = PAUSES.0;
        }
        let why = match outcome {
            Ok(()) => "it ended by itself".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        metrics::counter!("openclaw_service_restarts_total", "service" => name.clone())
            .increment(1);
        error!(
            service = name,
            error = why,
            "{name} ended, starting it again in {pause:?}"
        );
        context = stage.context(&name);
        let waited = stage
            .stop
            .run_until_cancelled(tokio::time::sleep(pause))
            .await;
        if waited.is_none() {
            return;
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}
