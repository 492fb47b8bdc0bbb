//! Revocation that bites: connections end on every replica within a second, and what was revoked opens nothing.

use std::time::{Duration, Instant};

use super::{
    device::{Device, FAR, behind_proxy, end, with, with_secret},
    *,
};

const READ: &str = "operator.read";
/// How long a connection may live on after its device was shut out.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
async fn connections_of_a_revoked_rotated_or_removed_device_end_on_both_replicas_within_a_second() {
    let gateway = Gateway::start().await;
    let replica = gateway.replica().await;
    let mut admin = gateway.client(4).await;
    let device = Device::new(1);
    let (mut bystander, _) = Device::new(2)
        .enter(replica.at, &[], with_secret(&[READ]))
        .await;
    for (method, params) in [
        (
            "device.token.revoke",
            json!({"deviceId": device.id(), "role": "operator"}),
        ),
        (
            "device.token.rotate",
            json!({"deviceId": device.id(), "role": "operator"}),
        ),
        ("device.pair.remove", json!({"deviceId": device.id()})),
    ] {
        let (mut here, hello) = device.enter(gateway.at, &[], with_secret(&[READ])).await;
        let own = with(
            4,
            json!({"deviceToken": hello["auth"]["deviceToken"]}),
            &[READ],
        );
        let (mut there, _) = device.enter(replica.at, &[], own.clone()).await;
        let begun = Instant::now();
        admin.done(method, params).await;
        for client in [&mut here, &mut there] {
            assert_eq!(
                end(client).await,
                Heard::Close(4001, "device removed".into()),
                "{method}"
            );
        }
        assert!(
            begun.elapsed() < SOON,
            "{method} took {:?}",
            begun.elapsed()
        );
        for at in [gateway.at, replica.at] {
            let (error, _) = device.refused(at, &[], own.clone()).await;
            assert_eq!(
                error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH",
                "{method}"
            );
        }
    }
    bystander.done("health", json!({})).await;
}

#[tokio::test]
async fn a_removed_device_has_to_be_approved_again() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let mut admin = gateway.client(4).await;
    let device = Device::new(1);
    let (error, _) = device.refused(gateway.at, &FAR, with_secret(&[READ])).await;
    let request = json!({"requestId": error["details"]["requestId"]});
    admin.done("device.pair.approve", request).await;
    device.enter(gateway.at, &FAR, with_secret(&[READ])).await;
    for (method, params) in [
        (
            "device.token.revoke",
            json!({"deviceId": device.id(), "role": "operator"}),
        ),
        ("device.pair.remove", json!({"deviceId": device.id()})),
    ] {
        admin.done(method, params).await;
        let (error, _) = device.refused(gateway.at, &FAR, with_secret(&[READ])).await;
        assert_eq!(error["details"]["reason"], "not-paired", "{method}");
    }
    let list = admin.done("device.pair.list", json!({})).await;
    assert_eq!(list["paired"], json!([]));
}

#[tokio::test]
async fn a_device_that_shuts_itself_out_hears_the_answer_first() {
    let gateway = Gateway::start().await;
    let device = Device::new(1);
    let scopes = [READ, "operator.pairing"];
    let (mut own, _) = device.enter(gateway.at, &[], with_secret(&scopes)).await;
    let params = json!({"deviceId": device.id(), "role": "operator"});
    let revoked = own.done("device.token.revoke", params).await;
    assert!(revoked["revokedAtMs"].is_u64());
    assert_eq!(
        end(&mut own).await,
        Heard::Close(4001, "device removed".into())
    );
}

#[tokio::test]
async fn what_a_node_was_approved_for_goes_with_its_device() {
    let gateway = Gateway::start().await;
    let mut admin = gateway.client(4).await;
    let device = Device::new(1);
    let node = connect_with(3, |params| {
        params["role"] = json!("node");
        params["scopes"] = json!([]);
        params["client"]["id"] = json!("node-host");
        params["client"]["mode"] = json!("node");
        params["commands"] = json!(["system.which"]);
    });
    let (mut node, _) = device.enter(gateway.at, &[], node).await;
    let asked = json!({"nodeId": device.id()});
    admin.done("node.describe", asked.clone()).await;
    let remove = json!({"deviceId": device.id()});
    admin.done("device.pair.remove", remove).await;
    assert_eq!(
        end(&mut node).await,
        Heard::Close(4001, "device removed".into())
    );
    let error = admin.refused("node.describe", asked).await;
    assert_eq!(error["message"], "unknown nodeId");
}
