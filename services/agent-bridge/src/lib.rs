//! The agent bridge: takes turns, asks the agent, tells its answer live and publishes it.

use std::sync::Arc;

use anyhow::Context as _;
use bus::Source;
use chassis::Context;
use futures_util::StreamExt;
use proto::{
    subject,
    v1::{Event, ModelsRequest, Turn},
};
use tracing::{info, warn};

pub use config::{Api, Choice, Config};

mod agents;
mod asking;
mod backend;
mod config;
mod ending;
mod failure;
mod history;
mod live;
mod meter;
mod models;
mod prompt;
mod runs;
mod turn;

/// Answers turns until told to stop.
///
/// # Errors
/// When the settings of the model cannot be used, or the bus gives up.
pub async fn run(ctx: Context, config: Config) -> anyhow::Result<()> {
    let in_hand = config.concurrency.max(1);
    let agents = agents::Agents::load(&ctx.bus)
        .await
        .context("reading which agents there are")?;
    let bridge = Arc::new(turn::Bridge::new(ctx.bus.clone(), config, agents)?);
    match bridge.provider() {
        "offline" => {
            warn!("no model is configured (agent.api_key or agent.url): the built-in agent answers")
        }
        provider => info!(provider, "turns are answered by a model at {provider}"),
    }
    let cancels = ctx
        .bus
        .listen::<Turn>(subject::CANCEL)
        .await
        .context("hearing cancels")?;
    let heed = cancels.for_each(|(_, cancel)| {
        bridge.cancel(&cancel);
        std::future::ready(())
    });
    let injected = ctx
        .bus
        .listen::<Event>(subject::LIVE_INJECTED)
        .await
        .context("hearing of injected lines")?;
    let reread = injected.for_each(|(_, event)| {
        bridge.forget(&event);
        std::future::ready(())
    });
    let source = Source {
        in_hand,
        ..Source::partitions(&ctx.bus, "TURN", "agent-bridge")
    };
    drop(ctx.ready);
    let turns = bus::consume(&ctx.bus, source, &ctx.stop, lane, |delivery| {
        bridge.handle(delivery)
    });
    let models = ctx
        .bus
        .answer(subject::MODELS, &ctx.stop, |asked: ModelsRequest| {
            let bridge = bridge.clone();
            async move { Ok(bridge.models(&asked).await) }
        });
    let answer = async {
        match models.await {
            // Told to stop: the turns in hand are finished all the same.
            Ok(()) => std::future::pending().await,
            Err(error) => error,
        }
    };
    tokio::select! {
        ended = turns => ended.context("taking turns"),
        error = answer => Err(error).context("answering which models there are"),
        kept = bridge.keep_up() => kept.context("keeping up with agents"),
        // The subscription ends with the connection, and so do the turns.
        () = async { tokio::join!(heed, reread); std::future::pending().await } => Ok(()),
    }
}

/// One turn of a session after the other; a stop waits behind none.
fn lane(turn: &Turn) -> String {
    match turn.cancel.is_empty() {
        true => turn.session_key.clone(),
        false => format!("{} stop", turn.session_key),
    }
}
