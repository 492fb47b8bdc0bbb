//! What people say: heard by one process, stored before it is forgotten.

use adapter_loopback::Config;
use proto::{id, v1::ConnectionState};
use tests::eventually::eventually;

use super::{World, config, said, update};

#[tokio::test]
async fn an_update_told_twice_is_stored_once_and_only_then_forgotten() {
    let world = World::new().await;
    for (id, text) in [("1", "hi"), ("1", "hi"), ("2", "there")] {
        world.platform.say(update(id, text));
    }
    let process = world.start(config()).await;
    let mut router = world.router().await;
    let first = said(&mut router).await;
    assert_eq!(first.id, id::of_event("loopback:main:1"));
    assert!(first.received_at_ms > 0);
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:2");
    world.all_forgotten().await;
    assert_eq!(world.bus.stream_state("IN").await.unwrap().last, 2);
    let connection = world.connection(ConnectionState::Connected).await;
    assert_eq!(
        (connection.via.as_str(), connection.display_name.as_str()),
        ("events", "@loopback")
    );
    process.stop().await;
    world.connection(ConnectionState::Disconnected).await;
}

#[tokio::test]
async fn what_is_said_while_the_bus_is_away_waits_at_the_platform() {
    let world = World::new().await;
    let process = world.start(config()).await;
    world.connection(ConnectionState::Connected).await;
    world.nats.kill();
    world.platform.say(update("1", "anybody?"));
    assert_eq!(world.platform.unheard(), 1);
    world.nats.restart();
    let mut router = world.router().await;
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:1");
    world.all_forgotten().await;
    process.stop().await;
}

#[tokio::test]
async fn two_processes_with_one_token_never_poll_together() {
    let world = World::new().await;
    let (first, second) = tokio::join!(
        world.start_on(world.nats.settings(), config()),
        world.start_on(world.nats.settings(), config()),
    );
    eventually("one to poll", || async {
        (world.platform.polls() == 1).then_some(())
    })
    .await;
    world.platform.say(update("1", "hi"));
    let mut router = world.router().await;
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:1");
    first.stop().await;
    world.platform.say(update("2", "still there?"));
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:2");
    second.stop().await;
    assert_eq!(world.platform.most_polls(), 1);
}

#[tokio::test]
async fn refused_credentials_are_a_state_that_says_what_happens_next() {
    let world = World::new().await;
    let process = world
        .start(Config {
            token: "wrong".into(),
            ..config()
        })
        .await;
    let connection = world.connection(ConnectionState::PermanentlyFailed).await;
    assert!(
        connection.error.contains("the token is not known"),
        "{}",
        connection.error
    );
    assert!(
        connection.error.contains("every 5 minutes"),
        "{}",
        connection.error
    );
    process.stop().await;
}
