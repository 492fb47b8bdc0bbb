//! Attacks on record against gateways of this kind, tried here and refused; docs/SECURITY.md lists them by row.

use super::{
    device::{Device, FAR, behind_proxy, own_address, refused, with, with_secret},
    *,
};

const READ: &str = "operator.read";
const PAIRING: &str = "operator.pairing";
const ADMIN: &str = "operator.admin";

/// A remote device that was approved for `scopes`, connected with its own token.
async fn approved(gateway: &Gateway, number: u8, scopes: &[&str]) -> (Device, Client) {
    let device = Device::new(number);
    let (error, _) = device.refused(gateway.at, &FAR, with_secret(scopes)).await;
    let request = json!({"requestId": error["details"]["requestId"]});
    gateway
        .client(4)
        .await
        .done("device.pair.approve", request)
        .await;
    let (_, hello) = device.enter(gateway.at, &FAR, with_secret(scopes)).await;
    let own = with(
        4,
        json!({"deviceToken": hello["auth"]["deviceToken"]}),
        scopes,
    );
    let (client, _) = device.enter(gateway.at, &FAR, own).await;
    (device, client)
}

#[tokio::test]
async fn a_forwarded_header_never_makes_a_client_local() {
    let gateway = Gateway::start_with(behind_proxy).await;
    for value in ["127.0.0.1", "::1", "localhost", "unknown", ""] {
        for header in ["x-forwarded-for", "x-real-ip", "forwarded"] {
            let (error, _) = Device::new(1)
                .refused(gateway.at, &[(header, value)], with_secret(&[READ]))
                .await;
            assert_eq!(error["code"], "NOT_PAIRED", "{header}: {value}");
        }
    }
    let untrusting = Gateway::start().await;
    for header in [
        "x-forwarded-for",
        "x-real-ip",
        "forwarded",
        "x-forwarded-host",
        "via",
    ] {
        let opened = Client::try_open(untrusting.at, "/", &[(header, "127.0.0.1")]).await;
        assert!(matches!(opened, Err(Error::Http(_))), "{header}");
    }
}

#[tokio::test]
async fn a_token_that_is_merely_there_proves_nothing() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let device = Device::new(1);
    for auth in [
        json!({"token": "x"}),
        json!({"deviceToken": "x"}),
        json!({"token": "", "deviceToken": ""}),
        json!({"bootstrapToken": "AAAA-AAAA-AAAA-AAAA"}),
        json!({"password": "x", "deviceToken": "x", "bootstrapToken": "x"}),
        json!({}),
    ] {
        for headers in [&[][..], &FAR[..]] {
            device
                .refused(gateway.at, headers, with(4, auth.clone(), &[ADMIN]))
                .await;
            let mut bare = Client::open(gateway.at, "/", headers).await;
            refused(&mut bare, with(4, auth.clone(), &[ADMIN])).await;
        }
    }
    let mut admin = gateway.client(4).await;
    let list = admin.done("device.pair.list", json!({})).await;
    assert_eq!(
        list,
        json!({"pending": [], "paired": []}),
        "nothing came of it"
    );
}

#[tokio::test]
async fn a_token_opens_nothing_for_another_device_or_role() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let (_, hello) = Device::new(1)
        .enter(gateway.at, &[], with_secret(&[READ]))
        .await;
    let stolen = json!({"deviceToken": hello["auth"]["deviceToken"]});
    let (error, _) = Device::new(2)
        .refused(gateway.at, &FAR, with(4, stolen.clone(), &[READ]))
        .await;
    assert_eq!(error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH");
    let mut bare = Client::open(gateway.at, "/", &[]).await;
    refused(&mut bare, with(4, stolen.clone(), &[READ])).await;
    let node = connect_with(4, |params| {
        params["role"] = json!("node");
        params["scopes"] = json!([]);
        params["auth"] = stolen;
    });
    let (error, _) = Device::new(1).refused(gateway.at, &[], node).await;
    assert_eq!(error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH");
}

#[tokio::test]
async fn scopes_that_a_client_declares_only_narrow_what_was_approved() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let (device, mut client) = approved(&gateway, 1, &[READ]).await;
    let error = client.refused("chat.send", json!({})).await;
    assert_eq!(error["message"], "missing scope: operator.write");
    for scopes in [&[ADMIN][..], &[READ, PAIRING], &["operator.write"]] {
        let (error, _) = device.refused(gateway.at, &FAR, with_secret(scopes)).await;
        assert_eq!(error["details"]["reason"], "scope-upgrade", "{scopes:?}");
    }
}

#[tokio::test]
async fn a_device_that_may_pair_decides_about_no_other_and_cannot_widen_itself() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let (device, mut client) = approved(&gateway, 1, &[READ, PAIRING]).await;
    let (victim, _) = approved(&gateway, 2, &[ADMIN]).await;
    let (waiting, _) = Device::new(3)
        .refused(gateway.at, &FAR, with_secret(&[READ]))
        .await;
    let other = json!({"requestId": waiting["details"]["requestId"]});
    for method in ["device.pair.approve", "device.pair.reject"] {
        let error = client.refused(method, other.clone()).await;
        assert_eq!(
            error["message"], "missing scope: operator.admin",
            "{method}"
        );
    }
    let target = json!({"deviceId": victim.id(), "role": "operator"});
    for method in ["device.token.rotate", "device.token.revoke"] {
        let error = client.refused(method, target.clone()).await;
        assert!(
            error["message"].as_str().unwrap().ends_with("denied"),
            "{error}"
        );
    }
    let remove = json!({"deviceId": victim.id()});
    let error = client.refused("device.pair.remove", remove).await;
    assert_eq!(error["message"], "missing scope: operator.admin");
    let list = client.done("device.pair.list", json!({})).await;
    assert_eq!(
        list["pending"],
        json!([]),
        "requests of others are not shown"
    );
    assert_eq!(list["paired"].as_array().unwrap().len(), 1);

    let (wider, _) = device
        .refused(gateway.at, &FAR, with_secret(&[READ, PAIRING, ADMIN]))
        .await;
    let own = json!({"requestId": wider["details"]["requestId"]});
    let error = client.refused("device.pair.approve", own).await;
    assert_eq!(error["message"], "missing scope: operator.admin");
    let mint = json!({"deviceId": device.id(), "role": "operator", "scopes": [ADMIN]});
    let error = client.refused("device.token.rotate", mint).await;
    assert_eq!(error["message"], "device token rotation denied");
    let mint = json!({"deviceId": device.id(), "role": "node"});
    client.refused("device.token.rotate", mint).await;
    client.done("device.pair.list", json!({})).await;
}

#[tokio::test]
async fn the_shared_token_from_elsewhere_is_no_admin_of_devices() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let device = Device::new(1);
    let scopes = [READ, PAIRING];
    let (error, _) = device.refused(gateway.at, &FAR, with_secret(&scopes)).await;
    let request = json!({"requestId": error["details"]["requestId"]});
    gateway
        .client(4)
        .await
        .done("device.pair.approve", request)
        .await;
    let (mut client, _) = device.enter(gateway.at, &FAR, with_secret(&scopes)).await;
    let (waiting, _) = Device::new(2)
        .refused(gateway.at, &FAR, with_secret(&[ADMIN]))
        .await;
    let request = json!({"requestId": waiting["details"]["requestId"]});
    let error = client.refused("device.pair.approve", request).await;
    assert_eq!(error["message"], "missing scope: operator.admin");
}

#[tokio::test]
async fn tokens_are_nowhere_on_the_bus() {
    let gateway = Gateway::start().await;
    let (_, hello) = Device::new(1)
        .enter(gateway.at, &[], with_secret(&[ADMIN]))
        .await;
    let token = hello["auth"]["deviceToken"].as_str().unwrap();
    let records = gateway
        .bus
        .bucket(bus::Bucket::Devices)
        .all::<proto::v1::Device>()
        .await
        .unwrap();
    assert!(!records.is_empty());
    for (key, record, _) in records {
        let bytes = prost::Message::encode_to_vec(&record);
        for secret in [token, TOKEN] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found && !key.contains(secret), "{key}");
        }
    }
}

#[tokio::test]
async fn wrong_guesses_count_on_every_replica_whatever_is_guessed() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let replica = gateway.replica_with(behind_proxy).await;
    let guesses = [
        json!({"token": "wrong"}),
        json!({"deviceToken": "wrong"}),
        json!({"bootstrapToken": "AAAA-AAAA-AAAA-AAAA"}),
        json!({"token": "wrong", "deviceToken": "wrong"}),
        json!({"password": "wrong"}),
    ];
    for auth in &guesses {
        for at in [gateway.at, replica.at] {
            let (error, _) = Device::new(1)
                .refused(at, &FAR, with(4, auth.clone(), &[READ]))
                .await;
            assert_ne!(error["details"]["code"], "AUTH_RATE_LIMITED", "{auth}");
        }
    }
    for at in [gateway.at, replica.at] {
        let same = [("x-forwarded-for", "::ffff:198.51.100.7")];
        // What the other one heard may be on its way. Proving nothing at all is no guess.
        tests::eventually::eventually("the address to be locked out", async || {
            let mut client = Client::open(at, "/", &same).await;
            let (error, _) = refused(&mut client, with(4, json!({}), &[])).await;
            (error["details"]["code"] == "AUTH_RATE_LIMITED").then_some(())
        })
        .await;
        let (error, _) = Device::new(1)
            .refused(at, &same, with_secret(&[READ]))
            .await;
        assert_eq!(
            error["details"]["code"], "AUTH_RATE_LIMITED",
            "the right token too"
        );
    }
    let (error, _) = Device::new(1)
        .refused(
            gateway.at,
            &[("x-forwarded-for", "198.51.100.8")],
            with_secret(&[READ]),
        )
        .await;
    assert_eq!(error["code"], "NOT_PAIRED", "another address is not");
}

#[tokio::test]
async fn guesses_at_the_admin_api_lock_the_address_out_of_the_socket_of_every_replica() {
    let Some(own) = own_address() else {
        eprintln!("NOT TESTED: this machine has no address but loopback");
        return;
    };
    let open = |config: &mut Config| {
        config.bind = [0, 0, 0, 0].into();
        config.admin_listen = ([0, 0, 0, 0], 0).into();
        config.plain_on_private_network = true;
    };
    let gateway = Gateway::start_with(open).await;
    let replica = gateway.replica_with(open).await;
    let admin = format!("http://{own}:{}", gateway.admin.port());
    let channel = tonic::transport::Endpoint::from_shared(admin)
        .unwrap()
        .connect_lazy();
    let mut devices = proto::v1::devices_client::DevicesClient::new(channel);
    let mut guess = async || {
        let mut request = tonic::Request::new(proto::v1::DevicesRequest {});
        let wrong = "Bearer wrong-wrong-wrong-wrong".parse().unwrap();
        request.metadata_mut().insert("authorization", wrong);
        devices.list(request).await.unwrap_err().code()
    };
    for _ in 0..10 {
        assert_eq!(guess().await, tonic::Code::Unauthenticated);
    }
    assert_eq!(guess().await, tonic::Code::ResourceExhausted);
    for port in [gateway.at.port(), replica.at.port()] {
        tests::eventually::eventually("the address to be locked out", async || {
            let mut client = Client::open(SocketAddr::new(own, port), "/", &[]).await;
            let (error, _) = refused(&mut client, with(4, json!({}), &[])).await;
            (error["details"]["code"] == "AUTH_RATE_LIMITED").then_some(())
        })
        .await;
    }
}
