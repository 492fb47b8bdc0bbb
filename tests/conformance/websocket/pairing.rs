//! Pairing: which device is let in at once, which waits for an approval, and what it comes with the next time.

use super::{
    device::{Device, FAR, behind_proxy, end, with, with_secret},
    *,
};

const READ: &str = "operator.read";
const WRITE: &str = "operator.write";

/// Approves what a remote device waits for, as a client on the gateway's machine.
async fn approve(gateway: &Gateway, error: &Value) -> Value {
    let request = error["details"]["requestId"].clone();
    let mut admin = gateway.client(4).await;
    admin
        .done("device.pair.approve", json!({"requestId": request}))
        .await
}

#[tokio::test]
async fn a_local_device_that_knows_the_token_is_paired_silently_and_can_come_with_its_own_token() {
    let gateway = Gateway::start().await;
    let device = Device::new(1);
    let (_, hello) = device.enter(gateway.at, &[], with_secret(&[READ])).await;
    let token = hello["auth"]["deviceToken"].as_str().unwrap().to_owned();
    assert!(token.len() >= 43 && hello["auth"]["issuedAtMs"].is_u64());
    let (_, again) = device
        .enter(gateway.at, &[], with_secret(&[READ, WRITE]))
        .await;
    assert_eq!(
        again["auth"]["deviceToken"], token,
        "the same while it is good"
    );

    for (protocol, auth) in [
        (3, json!({"token": token})),
        (4, json!({"token": token})),
        (4, json!({"deviceToken": token})),
        (4, json!({"token": "stale", "deviceToken": token})),
    ] {
        let params = with(protocol, auth, &[WRITE]);
        let (_, hello) = device.enter(gateway.at, &[], params).await;
        assert_eq!(
            hello["auth"]["scopes"],
            json!([WRITE]),
            "narrowed to what it asks"
        );
        assert_eq!(hello["auth"]["deviceToken"], token);
    }
    let (_, other) = Device::new(2)
        .enter(gateway.at, &[], with_secret(&[]))
        .await;
    assert_ne!(other["auth"]["deviceToken"], token);
}

#[tokio::test]
async fn a_remote_device_waits_under_one_request_on_every_replica_until_it_is_approved() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let replica = gateway.replica_with(behind_proxy).await;
    let mut watcher = replica.client(4).await;
    let device = Device::new(1);
    let (first, _) = device.refused(gateway.at, &FAR, with_secret(&[READ])).await;
    let request = first["details"]["requestId"].clone();
    assert_eq!(first["details"]["reason"], "not-paired");
    let told = watcher.event("device.pair.requested").await["payload"].clone();
    assert_eq!(
        (
            &told["requestId"],
            &told["deviceId"],
            &told["scopes"],
            &told["remoteIp"]
        ),
        (
            &request,
            &json!(device.id()),
            &json!([READ]),
            &json!("198.51.100.7")
        )
    );
    let (second, _) = device.refused(replica.at, &FAR, with_secret(&[READ])).await;
    assert_eq!(
        second["details"]["requestId"], request,
        "on the other replica"
    );
    replica.stop().await;
    let anew = gateway.replica_with(behind_proxy).await;
    let (third, _) = device.refused(anew.at, &FAR, with_secret(&[])).await;
    assert_eq!(
        third["details"]["requestId"], request,
        "after a restart, and for less"
    );
    let old = with(3, json!({"token": TOKEN}), &[READ]);
    let (old, _) = device.refused(anew.at, &FAR, old).await;
    assert_eq!(old["details"], json!({"requestId": request}));

    let mut watcher = gateway.client(3).await;
    let approved = approve(&anew, &first).await;
    assert_eq!(approved["requestId"], request);
    assert_eq!(approved["device"]["approvedVia"], "owner");
    assert_eq!(approved["device"]["tokens"][0]["role"], "operator");
    assert!(approved["device"]["tokens"][0].get("token").is_none());
    let resolved = watcher.event("device.pair.resolved").await["payload"].clone();
    assert_eq!(
        (&resolved["requestId"], &resolved["decision"]),
        (&request, &json!("approved"))
    );
    let (_, hello) = device.enter(gateway.at, &FAR, with_secret(&[READ])).await;
    let token = &hello["auth"]["deviceToken"];
    let (mut client, _) = device
        .enter(
            anew.at,
            &FAR,
            with(4, json!({"deviceToken": token}), &[READ]),
        )
        .await;
    client.done("sessions.subscribe", json!({})).await;
}

#[tokio::test]
async fn a_device_that_asks_for_more_waits_again_and_is_told_why() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let device = Device::new(1);
    let (error, _) = device.refused(gateway.at, &FAR, with_secret(&[READ])).await;
    approve(&gateway, &error).await;

    let (error, close) = device
        .refused(gateway.at, &FAR, with_secret(&[READ, WRITE]))
        .await;
    let message = "pairing required: device is asking for more scopes than currently approved";
    assert_eq!(
        (&error["message"], &error["details"]["reason"]),
        (&json!(message), &json!("scope-upgrade"))
    );
    assert_eq!(error["details"]["approvedScopes"], json!([READ]));
    assert!(matches!(close, Heard::Close(1008, reason) if reason.starts_with(message)));

    let node = |params: &mut Value| {
        params["role"] = json!("node");
        params["client"]["id"] = json!("node-host");
        params["client"]["mode"] = json!("node");
        params["scopes"] = json!([]);
    };
    let (error, _) = device
        .refused(gateway.at, &FAR, connect_with(4, node))
        .await;
    assert_eq!(error["details"]["reason"], "role-upgrade");
    assert_eq!(error["details"]["approvedRoles"], json!(["operator"]));
    approve(&gateway, &error).await;
    let (_, hello) = device.enter(gateway.at, &FAR, connect_with(4, node)).await;
    assert_eq!(hello["auth"]["role"], "node");

    let elsewhere = connect_with(4, |params| {
        params["client"]["platform"] = json!("windows");
        params["scopes"] = json!([READ]);
    });
    let (error, _) = device.refused(gateway.at, &FAR, elsewhere.clone()).await;
    assert_eq!(error["details"]["reason"], "metadata-upgrade");
    approve(&gateway, &error).await;
    device.enter(gateway.at, &FAR, elsewhere).await;
}

#[tokio::test]
async fn what_was_asked_later_is_not_approved_with_what_was_asked_first() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let mut admin = gateway.client(4).await;
    let device = Device::new(1);
    let (first, _) = device.refused(gateway.at, &FAR, with_secret(&[READ])).await;
    let (more, _) = device
        .refused(gateway.at, &FAR, with_secret(&["operator.admin"]))
        .await;
    let (seen, wider) = (
        &first["details"]["requestId"],
        &more["details"]["requestId"],
    );
    assert_ne!(seen, wider);
    let superseded = admin.event("device.pair.resolved").await["payload"].clone();
    assert_eq!(
        (&superseded["requestId"], &superseded["decision"]),
        (seen, &json!("superseded"))
    );
    let error = admin
        .refused("device.pair.approve", json!({"requestId": seen}))
        .await;
    assert_eq!(error["message"], "unknown requestId");
    let rejected = admin
        .done("device.pair.reject", json!({"requestId": wider}))
        .await;
    assert_eq!(
        rejected,
        json!({"requestId": wider, "deviceId": device.id()})
    );
    let told = admin.event("device.pair.resolved").await["payload"].clone();
    assert_eq!(told["decision"], "rejected");
    device.refused(gateway.at, &FAR, with_secret(&[READ])).await;
}

#[tokio::test]
async fn of_two_decisions_about_one_request_one_counts() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let replica = gateway.replica_with(behind_proxy).await;
    let (mut one, mut other) = (gateway.client(4).await, replica.client(4).await);
    for number in 1..6 {
        let device = Device::new(number);
        let (error, _) = device.refused(gateway.at, &FAR, with_secret(&[READ])).await;
        let params = json!({"requestId": error["details"]["requestId"]});
        let (approved, rejected) = tokio::join!(
            one.call("device.pair.approve", params.clone()),
            other.call("device.pair.reject", params)
        );
        assert_ne!(approved["ok"], rejected["ok"], "{approved} {rejected}");
        let let_in = one.done("device.pair.list", json!({})).await["paired"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["deviceId"] == device.id());
        assert_eq!(approved["ok"], let_in);
    }
}

#[tokio::test]
async fn a_gateway_without_its_bus_still_lets_in_whom_it_knows() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let device = Device::new(1);
    let (_, hello) = device.enter(gateway.at, &[], with_secret(&[READ])).await;
    let own = with(
        4,
        json!({"deviceToken": hello["auth"]["deviceToken"]}),
        &[READ],
    );
    gateway.nats.stop();
    let (mut client, _) = device.enter(gateway.at, &FAR, own.clone()).await;
    Device::new(2)
        .enter(gateway.at, &[], with_secret(&[READ]))
        .await;
    let (error, close) = Device::new(3)
        .refused(gateway.at, &FAR, with_secret(&[READ]))
        .await;
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&json!("UNAVAILABLE"), &json!(true))
    );
    assert!(matches!(close, Heard::Close(1013, _)), "{close:?}");
    gateway.nats.cont();
    let mut admin = gateway.client(4).await;
    admin
        .done("device.pair.remove", json!({"deviceId": device.id()}))
        .await;
    assert_eq!(
        end(&mut client).await,
        Heard::Close(4001, "device removed".into())
    );
}
