//! From webhook to polling and back, without losing a word.

use adapter_telegram::{Config, Mode};
use proto::v1::ConnectionState;

use super::Line;

#[tokio::test]
async fn an_unreached_webhook_is_replaced_by_polling_until_it_is_reached_again() {
    let line = Line::open().await;
    let (config, _) = line.webhook(Mode::Auto);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    line.telegram.say(7, "by webhook");
    assert_eq!(line.texts(1).await, ["by webhook"]);
    line.connection("the webhook", |now| now.via == "webhook")
        .await;

    line.telegram.break_webhook(true);
    line.telegram.say(7, "by polling");
    assert_eq!(line.texts(1).await, ["by polling"]);
    let polling = line.connection("polling", |now| now.via == "polling").await;
    assert_eq!(polling.state(), ConnectionState::Connected);
    assert_eq!(
        line.telegram.calls("deleteWebhook")[0].params["drop_pending_updates"],
        false
    );

    line.telegram.break_webhook(false);
    line.connection("the webhook again", |now| now.via == "webhook")
        .await;
    line.telegram.say(7, "by webhook again");
    assert_eq!(line.texts(1).await, ["by webhook again"]);
    line.telegram.wait_confirmed().await;
    assert!(line.telegram.webhook().is_some());
    line.close(adapter).await;
}

#[tokio::test]
async fn a_door_that_cannot_be_opened_does_not_keep_auto_from_hearing() {
    let line = Line::open().await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (config, _) = line.webhook(Mode::Auto);
    let adapter = line.run(Config {
        webhook_listen: taken.local_addr().unwrap(),
        ..config
    });
    line.telegram.say(7, "hello");
    assert_eq!(line.texts(1).await, ["hello"]);
    line.connection("polling", |now| now.via == "polling").await;
    line.close(adapter).await;
}

#[tokio::test]
async fn a_webhook_taken_away_is_set_again() {
    let line = Line::open().await;
    let (config, _) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    line.telegram.set_webhook(None);
    line.telegram.wait_calls("setWebhook", 2).await;
    line.telegram.say(7, "hello");
    assert_eq!(line.texts(1).await, ["hello"]);
    line.close(adapter).await;
}
