//! Accounts as clients see them: how they do, probed, stopped for good and begun again.

use ::adapter::media::MediaStore;
use adapter_loopback::{Answer, Platform, Request};
use bus::Bucket;
use proto::v1::{Connection, ConnectionState};
use tests::{eventually::eventually, official::assert_official};
use tokio::sync::mpsc;

use super::*;

/// A loopback account, run by a process that can be ended.
struct Account {
    platform: Platform,
    asked: mpsc::Receiver<Request>,
    media: tempfile::TempDir,
}

impl Account {
    fn new() -> Self {
        let (platform, asked) = Platform::new("");
        let media = tempfile::tempdir().unwrap();
        Self {
            platform,
            asked,
            media,
        }
    }

    fn start(&self, gateway: &Gateway) -> (CancellationToken, JoinHandle<anyhow::Result<()>>) {
        let stop = CancellationToken::new();
        let ctx = chassis::Context::new(gateway.bus.clone(), stop.clone());
        let (media, platform) = (
            MediaStore::new(self.media.path(), 1000),
            self.platform.clone(),
        );
        let config = adapter_loopback::Config::default();
        let running = tokio::spawn(async move {
            adapter_loopback::run(ctx, "main", media, config, platform).await
        });
        (stop, running)
    }
}

async fn account(gateway: &Gateway, state: ConnectionState) {
    let bucket = gateway.bus.bucket(Bucket::Connections);
    eventually("the connection's state", || async {
        let (connection, _) = bucket.get::<Connection>("loopback.main").await.ok()??;
        (connection.state() == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_accounts_says_so_in_the_official_form() {
    let gateway = Gateway::start().await;
    for protocol in [3, 4] {
        let mut client = gateway.client(protocol).await;
        let params = json!({"probe": false, "timeoutMs": 8000});
        let status = client.done("channels.status", params).await;
        assert_official(protocol, "ChannelsStatusResult", &status);
        assert_eq!(
            (&status["channelOrder"], &status["channels"]),
            (&json!([]), &json!({}))
        );
        for verb in ["start", "stop", "logout"] {
            let error = client
                .refused(&format!("channels.{verb}"), json!({"channel": "nope"}))
                .await;
            assert_eq!(error["message"], format!("invalid channels.{verb} channel"));
        }
        for verb in ["start", "wait"] {
            let error = client
                .refused(&format!("web.login.{verb}"), json!({}))
                .await;
            let message = error["message"].as_str().unwrap();
            assert!(
                message.starts_with("web login provider is not available"),
                "{message}"
            );
        }
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_asks_the_platform_itself_and_tells_what_it_said() {
    let gateway = Gateway::start().await;
    let held = Account::new();
    let (stop, running) = held.start(&gateway);
    account(&gateway, ConnectionState::Connected).await;
    for protocol in [3, 4] {
        let mut client = gateway.client(protocol).await;
        let status = client.done("channels.status", json!({"probe": true})).await;
        assert_official(protocol, "ChannelsStatusResult", &status);
        let told = &status["channelAccounts"]["loopback"][0];
        assert_eq!(
            (&told["accountId"], &told["connected"]),
            (&json!("main"), &json!(true))
        );
        assert_eq!(status["channelLabels"]["loopback"], "Loopback");
    }
    // The next regular check is half a minute away: only the probe can have found this out.
    held.platform.change_token("another");
    let mut client = gateway.client(4).await;
    let status = client.done("channels.status", json!({"probe": true})).await;
    let told = &status["channels"]["loopback"];
    assert_eq!(
        (&told["running"], &told["healthState"]),
        (&json!(false), &json!("permanently_failed"))
    );
    stop.cancel();
    running.await.unwrap().unwrap();

    let late = client
        .done("channels.status", json!({"probe": true, "timeoutMs": 50}))
        .await;
    assert_official(4, "ChannelsStatusResult", &late);
    assert_eq!(late["partial"], true);
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_account_stays_stopped_after_a_restart_and_sends_what_waited_when_it_is_started()
{
    let gateway = Gateway::start().await;
    let mut held = Account::new();
    let (stop, running) = held.start(&gateway);
    account(&gateway, ConnectionState::Connected).await;
    let mut client = gateway.client(4).await;
    let stopped = client
        .done("channels.logout", json!({"channel": "loopback"}))
        .await;
    assert_eq!(
        (&stopped["accountId"], &stopped["loggedOut"]),
        (&json!("main"), &json!(true))
    );
    account(&gateway, ConnectionState::Disconnected).await;
    stop.cancel();
    running.await.unwrap().unwrap();

    let (_stop, _running) = held.start(&gateway);
    let outbound = text("waits");
    let subject =
        proto::subject::outbound(outbound.to.as_ref().unwrap(), proto::v1::Priority::Normal);
    gateway
        .bus
        .publish(&subject, &outbound.id, &outbound)
        .await
        .unwrap();
    let status = client.done("channels.status", json!({"probe": true})).await;
    assert_official(4, "ChannelsStatusResult", &status);
    let told = &status["channels"]["loopback"];
    assert_eq!(
        (&told["enabled"], &told["running"], &told["connected"]),
        (&json!(false), &json!(false), &json!(false))
    );
    assert!(
        held.asked.try_recv().is_err(),
        "nothing is sent while it is stopped"
    );

    client
        .done(
            "channels.start",
            json!({"channel": "loopback", "accountId": "main"}),
        )
        .await;
    let request = held.asked.recv().await.unwrap();
    assert_eq!(request.text(), "waits");
    request.answer(Answer::Done("1".into()));
    account(&gateway, ConnectionState::Connected).await;
    gateway.stop().await;
}

/// An outbound to the account.
fn text(markdown: &str) -> proto::v1::Outbound {
    let text = proto::v1::Text {
        markdown: markdown.into(),
        ..proto::v1::Text::default()
    };
    proto::v1::Outbound {
        id: format!("o-{markdown}"),
        to: Some(proto::v1::Address {
            platform: "loopback".into(),
            account: "main".into(),
            conversation: "c".into(),
            ..proto::v1::Address::default()
        }),
        action: Some(proto::v1::outbound::Action::Text(text)),
        ..proto::v1::Outbound::default()
    }
}
