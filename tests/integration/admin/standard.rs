//! What every gRPC tool asks for: health, and which services there are.

use futures_util::stream;
use tests::eventually::eventually;
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use super::Desk;

async fn health(desk: &Desk, wanted: ServingStatus) {
    eventually("another health", || async {
        let asked = HealthClient::new(desk.door())
            .check(HealthCheckRequest::default())
            .await;
        (asked.ok()?.into_inner().status() == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_admin_api_serves_while_it_has_the_bus_and_stops_though_its_health_is_watched() {
    let desk = Desk::open().await;
    health(&desk, ServingStatus::Serving).await;
    desk.nats.kill();
    health(&desk, ServingStatus::NotServing).await;
    desk.nats.restart();
    health(&desk, ServingStatus::Serving).await;
    let _watched = HealthClient::new(desk.door())
        .watch(HealthCheckRequest::default())
        .await
        .unwrap();
    let refused = HealthClient::new(desk.door_with("wrong"))
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    desk.close().await;
}

#[tokio::test]
async fn a_tool_without_our_files_learns_which_services_there_are() {
    let desk = Desk::open().await;
    let request = ServerReflectionRequest {
        message_request: Some(MessageRequest::ListServices(String::new())),
        ..ServerReflectionRequest::default()
    };
    let mut client = ServerReflectionClient::new(desk.door());
    let answers = client.server_reflection_info(stream::iter([request])).await;
    let answer = answers.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response else {
        panic!("a list of services");
    };
    let names: Vec<_> = list.service.iter().map(|one| one.name.as_str()).collect();
    for name in [
        "Pairing",
        "DeadLetters",
        "Intents",
        "Queues",
        "Connections",
        "Messages",
        "Schedules",
        "Sessions",
    ] {
        let name = format!("openclaw.gateway.v1.{name}");
        assert!(
            names.contains(&name.as_str()),
            "{name} is missing in {names:?}"
        );
    }
    desk.close().await;
}
