//! The methods about devices: what each shows, what each changes, and who may.

use super::{
    device::{Device, FAR, behind_proxy, with, with_secret},
    *,
};

const READ: &str = "operator.read";
const PAIRING: &str = "operator.pairing";

#[tokio::test]
async fn a_list_shows_who_waits_and_who_was_let_in_and_no_secret() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let (_, hello) = Device::new(1)
        .enter(gateway.at, &[], with_secret(&["operator.admin"]))
        .await;
    Device::new(2)
        .refused(gateway.at, &FAR, with_secret(&[READ]))
        .await;
    for mut client in [admin_of(&gateway, 3).await, admin_of(&gateway, 4).await] {
        let list = client.done("device.pair.list", json!({})).await;
        let (pending, paired) = (&list["pending"][0], &list["paired"][0]);
        assert_eq!(pending["deviceId"], Device::new(2).id());
        for key in [
            "requestId",
            "publicKey",
            "platform",
            "clientId",
            "clientMode",
            "role",
        ] {
            assert!(
                pending[key].as_str().is_some_and(|text| !text.is_empty()),
                "{key}: {pending}"
            );
        }
        assert_eq!(
            (&pending["isRepair"], &pending["silent"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(paired["deviceId"], Device::new(1).id());
        assert_eq!(
            (&paired["role"], &paired["roles"]),
            (&json!("operator"), &json!(["operator"]))
        );
        assert_eq!(paired["approvedVia"], "local");
        assert!(paired["createdAtMs"].is_u64() && paired["approvedAtMs"].is_u64());
        assert_eq!(paired["tokens"][0]["scopes"], json!(["operator.admin"]));
        let token = hello["auth"]["deviceToken"].as_str().unwrap();
        assert!(!list.to_string().contains(token));
    }
}

/// A client on this machine that may do everything, without a device.
async fn admin_of(gateway: &Gateway, protocol: u8) -> Client {
    gateway.client(protocol).await
}

#[tokio::test]
async fn a_token_is_rotated_and_told_to_its_own_device_only() {
    let gateway = Gateway::start().await;
    let device = Device::new(1);
    let scopes = [READ, PAIRING];
    let (mut own, hello) = device.enter(gateway.at, &[], with_secret(&scopes)).await;
    let before = hello["auth"]["deviceToken"].clone();
    let params = json!({"deviceId": device.id(), "role": "operator"});
    let rotated = own.done("device.token.rotate", params.clone()).await;
    assert_eq!(rotated["scopes"], json!(scopes));
    let after = rotated["token"].clone();
    assert!(after.is_string() && after != before);
    assert_eq!(
        device::end(&mut own).await,
        Heard::Close(4001, "device removed".into())
    );

    let stale = with(4, json!({"deviceToken": before}), &[READ]);
    let (error, _) = device.refused(gateway.at, &[], stale).await;
    assert_eq!(error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH");
    let stale = with(3, json!({"token": before}), &[READ]);
    let (error, _) = device.refused(gateway.at, &[], stale).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("device token mismatch"),
        "{error}"
    );
    let fresh = with(4, json!({"token": after}), &[READ]);
    device.enter(gateway.at, &[], fresh).await;

    let withheld = gateway
        .client(4)
        .await
        .done("device.token.rotate", params.clone())
        .await;
    assert_eq!(withheld["tokenDelivery"], "withheld-cross-device");
    assert_eq!(withheld.get("token"), None);
    let told = gateway
        .client(3)
        .await
        .done("device.token.rotate", params)
        .await;
    let params = with(3, json!({"token": told["token"]}), &[READ]);
    device.enter(gateway.at, &[], params).await;
}

#[tokio::test]
async fn what_is_not_there_is_said_in_the_words_of_each_protocol() {
    let gateway = Gateway::start().await;
    let unknown = json!({"deviceId": "00", "role": "operator"});
    for (protocol, method, params, words) in [
        (
            4,
            "device.token.rotate",
            &unknown,
            "device token rotation denied",
        ),
        (3, "device.token.rotate", &unknown, "unknown deviceId/role"),
        (
            4,
            "device.token.revoke",
            &unknown,
            "device token revocation denied",
        ),
        (3, "device.token.revoke", &unknown, "unknown deviceId/role"),
        (
            4,
            "device.pair.remove",
            &json!({"deviceId": "00"}),
            "unknown deviceId",
        ),
        (
            4,
            "device.pair.approve",
            &json!({"requestId": "x"}),
            "unknown requestId",
        ),
        (
            3,
            "device.pair.reject",
            &json!({"requestId": "x"}),
            "unknown requestId",
        ),
    ] {
        let mut client = gateway.client(protocol).await;
        let error = client.refused(method, params.clone()).await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("INVALID_REQUEST"), &json!(words))
        );
    }
    let mut client = gateway.client(4).await;
    let error = client.refused("device.pair.approve", json!({})).await;
    assert_eq!(
        error["message"],
        "invalid device.pair.approve params: must have required property 'requestId'"
    );
    let mut reader = Client::open(gateway.at, "/", &[]).await;
    reader.shake(with_secret(&[READ])).await;
    let error = reader.refused("device.pair.list", json!({})).await;
    assert_eq!(error["message"], "missing scope: operator.pairing");
}

#[tokio::test]
async fn the_stock_command_line_approves_with_the_shared_token_and_narrow_scopes() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let (error, _) = Device::new(1)
        .refused(gateway.at, &FAR, with_secret(&[READ, "operator.write"]))
        .await;
    let mut cli = Client::open(gateway.at, "/", &[]).await;
    cli.shake(with_secret(&[PAIRING, READ])).await;
    let params = json!({"requestId": error["details"]["requestId"]});
    cli.done("device.pair.approve", params).await;
}
