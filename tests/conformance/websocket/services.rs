//! The services behind a gateway: a real router, agent bridge and ledger, and a model to talk to.

use std::time::Duration;

use proto::{
    subject,
    v1::{Outbound, SessionsReply, SessionsRequest},
};
use tests::{model::Model, servers::Redis};
use tokio::{sync::mpsc, task::JoinSet};

use super::*;

/// The services behind a gateway.
pub(super) struct Services {
    pub(super) model: Model,
    _redis: Redis,
    _ledger: tempfile::TempDir,
    _services: JoinSet<anyhow::Result<()>>,
}

impl Services {
    /// Starts them on the bus of `gateway`, where people may write from every platform.
    pub(super) async fn around(gateway: &Gateway) -> Self {
        let (model, redis) = (Model::start().await, Redis::start());
        let folder = tempfile::tempdir().unwrap();
        let access = router::Access {
            direct: router::Direct::Open,
            ..router::Access::default()
        };
        let routing = router::Config {
            access: [("telegram".to_owned(), access)].into_iter().collect(),
            ..router::Config::default()
        };
        let asking = agent_bridge::Config {
            url: model.url(),
            model: "fake".into(),
            system_prompt: "Be kind.".into(),
            retries: 0,
            ..agent_bridge::Config::default()
        };
        let keeping = ledger::Config {
            path: folder.path().join("ledger.sqlite"),
            ..ledger::Config::default()
        };
        let ctx = || chassis::Context::new(gateway.bus.clone(), gateway.stop.clone());
        let mut services = JoinSet::new();
        let url = redis.url();
        let routed = ctx();
        services.spawn(async move { router::run(routed, routing, &url).await });
        services.spawn(agent_bridge::run(ctx(), asking));
        services.spawn(ledger::run(ctx(), keeping));
        tests::eventually::eventually("the ledger answers", async || {
            gateway
                .bus
                .ask::<_, SessionsReply>(
                    subject::SESSIONS,
                    &SessionsRequest::default(),
                    Duration::from_secs(1),
                )
                .await
                .ok()
        })
        .await;
        Self {
            model,
            _redis: redis,
            _ledger: folder,
            _services: services,
        }
    }
}

/// Takes what is to be sent by the account `main` of `platform`, as its adapter would.
pub(super) fn deliver(gateway: &Gateway, platform: &str) -> mpsc::UnboundedReceiver<Outbound> {
    let (told, heard) = mpsc::unbounded_channel();
    let source = bus::Source {
        stream: "OUT",
        group: format!("{platform}.main"),
        shards: vec![subject::account(platform, "main")],
        in_hand: 1,
    };
    let (bus, stop) = (gateway.bus.clone(), gateway.stop.clone());
    tokio::spawn(async move {
        let handle = |delivery: bus::Delivery<Outbound>| {
            let _ = told.send(delivery.message);
            std::future::ready(bus::Outcome::Ack)
        };
        bus::consume(&bus, source, &stop, |_| String::new(), handle).await
    });
    heard
}
