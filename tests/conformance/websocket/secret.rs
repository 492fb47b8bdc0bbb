//! The shared token changes while the gateway runs: the old one is void at once, devices keep theirs.

use std::fs;

use super::{
    device::{Device, end, refused, with, with_secret},
    *,
};

const NEW: &str = "another-token-of-the-test-gateway-987";
const READ: &str = "operator.read";

#[tokio::test]
async fn who_came_with_a_token_that_was_changed_is_closed_and_cannot_come_back_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let gateway = Gateway::start_with(|config| {
        config.token = "".into();
        config.token_file = file.clone();
    })
    .await;
    let device = Device::new(1);
    let (mut by_secret, hello) = device.enter(gateway.at, &[], with_secret(&[READ])).await;
    let own = with(
        4,
        json!({"deviceToken": hello["auth"]["deviceToken"]}),
        &[READ],
    );
    let (mut by_token, _) = device.enter(gateway.at, &[], own.clone()).await;
    fs::write(&file, format!("{NEW}\n")).unwrap();
    let closed = Heard::Close(4001, "gateway auth changed".into());
    assert_eq!(end(&mut by_secret).await, closed);
    by_token.done("sessions.subscribe", json!({})).await;

    let mut late = Client::open(gateway.at, "/", &[]).await;
    let (error, _) = refused(&mut late, connect(4)).await;
    assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    device.enter(gateway.at, &[], own.clone()).await;
    let (_, hello) = device
        .enter(gateway.at, &[], with(4, json!({"token": NEW}), &[READ]))
        .await;
    let fresh = json!({"deviceToken": hello["auth"]["deviceToken"]});
    assert!(fresh["deviceToken"].is_string());
    device.enter(gateway.at, &[], with(4, fresh, &[READ])).await;
}
