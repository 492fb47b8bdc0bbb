//! `openclaw devices` and `openclaw pair`, as people type them.

use bus::Bucket;
use proto::v1::{Device, DeviceFacts, DeviceWish};

use super::{
    Desk,
    commands::{complains, json, says},
};

/// Has a device wait, as the control plane notes it.
async fn waits(desk: &Desk, device: &str, request: &str) {
    let wish = DeviceWish {
        request_id: request.into(),
        device_id: device.into(),
        public_key: "key".into(),
        facts: Some(DeviceFacts {
            display_name: "Phone".into(),
            platform: "ios".into(),
            ..DeviceFacts::default()
        }),
        roles: vec!["operator".into()],
        scopes: vec!["operator.read".into()],
        reason: "not-paired".into(),
        asked_at_ms: chassis::clock::now_ms(),
        expires_at_ms: chassis::clock::now_ms() + 60_000,
        ..DeviceWish::default()
    };
    let devices = desk.bus.bucket(Bucket::Devices);
    devices.put(&format!("wish.{device}"), &wish).await.unwrap();
}

#[tokio::test]
async fn a_device_is_listed_approved_revoked_and_removed_from_the_command_line() {
    let desk = Desk::open().await;
    assert_eq!(
        says(&desk, &["devices", "list"]).await.trim(),
        "No device waits."
    );
    waits(&desk, "ab", "r-1").await;
    let list = says(&desk, &["devices", "list"]).await;
    assert!(
        list.contains("r-1")
            && list.contains("Phone on ios")
            && list.contains("openclaw devices approve"),
        "{list}"
    );
    let approved = says(&desk, &["devices", "approve", "r-1"]).await;
    assert_eq!(approved.trim(), "Let in: Phone on ios (operator read)");
    let again = complains(&desk, &["devices", "approve", "r-1"]).await;
    assert!(
        again.contains("no device waits under the request r-1"),
        "{again}"
    );

    let list = json(&says(&desk, &["devices", "list", "--json"]).await);
    assert_eq!(list["devices"][0]["deviceId"], "ab");
    assert_eq!(
        list["devices"][0]["scopes"],
        serde_json::json!(["operator.read"])
    );
    let text = list.to_string();
    assert!(!text.contains("sha256") && !text.contains("salt"), "{text}");

    says(&desk, &["devices", "revoke", "ab"]).await;
    assert!(says(&desk, &["devices", "list"]).await.contains("revoked"));
    says(&desk, &["devices", "remove", "ab"]).await;
    let gone = complains(&desk, &["devices", "revoke", "ab"]).await;
    assert!(gone.contains("openclaw devices list"), "{gone}");
    waits(&desk, "cd", "r-2").await;
    let rejected = says(&desk, &["devices", "reject", "r-2"]).await;
    assert_eq!(rejected.trim(), "Turned away: Phone on ios");
    let known = desk
        .bus
        .bucket(Bucket::Devices)
        .all::<Device>()
        .await
        .unwrap();
    let known: Vec<_> = known
        .iter()
        .filter(|(key, device, _)| key.starts_with("device.") && device.removed_at_ms == 0)
        .collect();
    assert!(known.is_empty(), "{known:?}");
}

#[tokio::test]
async fn a_claim_is_made_with_its_link_for_browsers_and_its_code_for_others() {
    let desk = Desk::open().await;
    let made = json(
        &says(
            &desk,
            &["pair", "--json", "--url", "https://gateway.example/"],
        )
        .await,
    );
    let code = made["code"].as_str().unwrap();
    assert_eq!(code.len(), 19);
    assert_eq!(
        made["url"],
        format!("https://gateway.example/#claim={code}")
    );
    let text = says(&desk, &["pair"]).await;
    assert!(text.contains("http://127.0.0.1:18789/#claim="), "{text}");
    let wrong = complains(&desk, &["pair", "--scopes", "operator.root"]).await;
    assert!(
        wrong.contains("there is no scope `operator.root`"),
        "{wrong}"
    );
    let kept = desk
        .bus
        .bucket(Bucket::Devices)
        .all::<proto::v1::DeviceClaim>()
        .await
        .unwrap();
    assert!(!kept.is_empty() && kept.iter().all(|(key, ..)| !key.contains(code)));
}
