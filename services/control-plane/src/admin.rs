//! The gRPC admin API: for operators' tools, behind the shared secret.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use proto::v1::{
    connections_server::ConnectionsServer, dead_letters_server::DeadLettersServer,
    devices_server::DevicesServer, intents_server::IntentsServer, journey_server::JourneyServer,
    messages_server::MessagesServer, pairing_server::PairingServer, queues_server::QueuesServer,
    schedules_server::SchedulesServer, sessions_server::SessionsServer,
};
use tokio::net::TcpListener;
use tonic::transport::{Server, server::TcpIncoming};

use crate::gateway::Gateway;
pub(crate) use connections::{Connections, known};
pub(crate) use dead::Dead;
pub(crate) use journey::Journeys;
pub(crate) use pairing::People;
pub(crate) use queues::Queues;
pub(crate) use send::Sending;
pub(crate) use unknown::Unknown;

use devices::Devices;
use guard::Guarded;
use sessions::Sessions;

mod alive;
mod code;
mod connections;
mod content;
mod dead;
mod devices;
mod guard;
mod journey;
mod pairing;
mod queues;
mod send;
mod sessions;
mod settled;
mod unknown;

/// Largest request: a text of 5 MB with room for the rest, so that a larger one is told what is allowed.
const MAX_REQUEST_BYTES: usize = 16 << 20;

/// How long calls may go on after the gateway stops.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until the gateway stops.
///
/// # Errors
/// When the listener fails.
pub(crate) async fn serve(gateway: &Arc<Gateway>, listener: TcpListener) -> anyhow::Result<()> {
    let bus = || gateway.bus.clone();
    let messages = MessagesServer::new(Sending::new(bus()));
    let messages = messages.max_decoding_message_size(MAX_REQUEST_BYTES);
    let (reporter, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .context("descriptions of the admin API")?;
    let serving = Server::builder()
        .add_service(Guarded::new(
            gateway,
            PairingServer::new(People::new(bus())),
        ))
        .add_service(Guarded::new(
            gateway,
            DevicesServer::new(Devices::new(gateway)),
        ))
        .add_service(Guarded::new(
            gateway,
            DeadLettersServer::new(Dead::new(bus())),
        ))
        .add_service(Guarded::new(
            gateway,
            IntentsServer::new(Unknown::new(bus())),
        ))
        .add_service(Guarded::new(gateway, QueuesServer::new(Queues::new(bus()))))
        .add_service(Guarded::new(
            gateway,
            ConnectionsServer::new(Connections::new(bus())),
        ))
        .add_service(Guarded::new(
            gateway,
            JourneyServer::new(Journeys::new(bus())),
        ))
        .add_service(Guarded::new(gateway, messages))
        .add_service(Guarded::new(
            gateway,
            SchedulesServer::new(Sending::new(bus())),
        ))
        .add_service(Guarded::new(
            gateway,
            SessionsServer::new(Sessions::new(gateway.clone())),
        ))
        .add_service(Guarded::new(gateway, health))
        .add_service(Guarded::new(gateway, reflection))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), gateway.stop.cancelled());
    // Whoever watches the health has a call open for ever.
    let grace = async {
        gateway.stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = serving => served.context("admin API"),
        () = grace => Ok(()),
        never = alive::tell(&gateway.bus, reporter) => match never {},
    }
}
