//! Who is let in: the secret, the device, the page, and who guesses too often.

use tokio_tungstenite::tungstenite::http::StatusCode;

use super::{
    device::{Device, refused},
    *,
};

/// `params` with a device that signed them as clients of signature `version` do.
async fn signed(client: &mut Client, version: u8, params: Value, late_ms: i64) -> Value {
    Device::new(7).sign(client, version, params, late_ms).await
}

/// What is done to a device's proof, the message of the refusal, and its code.
type Spoiled = (fn(&mut Value), &'static str, &'static str);

#[tokio::test]
async fn a_wrong_and_a_missing_token_are_told_apart() {
    let gateway = Gateway::start().await;
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let (error, end) = refused(
        &mut client,
        connect_with(4, |p| p["auth"]["token"] = json!("wrong")),
    )
    .await;
    let message = "unauthorized: gateway token mismatch (use this gateway's gateway.auth.token or pair the device)";
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("INVALID_REQUEST"), &json!(message))
    );
    assert_eq!(error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    assert_eq!(
        error["details"]["recommendedNextStep"],
        "update_auth_credentials"
    );
    assert_eq!(end, Heard::Close(1008, message.into()));

    let mut client = Client::open(gateway.at, &format!("/?token={TOKEN}"), &[]).await;
    let (error, end) = refused(&mut client, connect_with(4, |p| p["auth"] = json!({}))).await;
    assert_eq!(
        error["code"], "NOT_PAIRED",
        "a token in the URL is not read"
    );
    assert_eq!(error["details"]["code"], "DEVICE_IDENTITY_REQUIRED");
    assert_eq!(end, Heard::Close(1008, "device identity required".into()));

    let mut client = Client::open(gateway.at, "/", &[]).await;
    let (error, _) = refused(
        &mut client,
        connect_with(3, |p| p["auth"]["token"] = json!("wrong")),
    )
    .await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("gateway.remote.token")
    );
    assert_eq!(error.get("details"), None, "protocol 3 has none");
}

#[tokio::test]
async fn a_local_device_that_knows_the_token_is_let_in_with_any_version_of_signature() {
    let gateway = Gateway::start().await;
    for (protocol, version) in [(3, 1), (3, 2), (3, 3), (4, 2), (4, 3)] {
        let mut client = Client::open(gateway.at, "/", &[]).await;
        let params = signed(&mut client, version, connect(protocol), 0).await;
        let hello = client.shake(params).await;
        assert_eq!(
            hello["auth"]["scopes"][0], "operator.admin",
            "v{version} on protocol {protocol}"
        );
    }
}

#[tokio::test]
async fn a_bad_proof_of_a_device_is_named() {
    let gateway = Gateway::start().await;
    let spoil: [Spoiled; 4] = [
        (
            |d| d["id"] = json!("00"),
            "device identity mismatch",
            "DEVICE_AUTH_DEVICE_ID_MISMATCH",
        ),
        (
            |d| d["nonce"] = json!("old"),
            "device nonce mismatch",
            "DEVICE_AUTH_NONCE_MISMATCH",
        ),
        (
            |d| d["signature"] = json!("AAAA"),
            "device signature invalid",
            "DEVICE_AUTH_SIGNATURE_INVALID",
        ),
        (
            |d| d["publicKey"] = json!("AAAA"),
            "device public key invalid",
            "DEVICE_AUTH_PUBLIC_KEY_INVALID",
        ),
    ];
    for (spoil, message, code) in spoil {
        let mut client = Client::open(gateway.at, "/", &[]).await;
        let mut params = signed(&mut client, 3, connect(4), 0).await;
        spoil(&mut params["device"]);
        let (error, end) = refused(&mut client, params).await;
        assert_eq!(
            (&error["message"], &error["details"]["code"]),
            (&json!(message), &json!(code))
        );
        assert_eq!(end, Heard::Close(1008, message.into()));
    }
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let late = signed(&mut client, 3, connect(4), 125_000).await;
    assert_eq!(
        refused(&mut client, late).await.0["message"],
        "device signature expired"
    );
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let late = signed(&mut client, 2, connect(3), 125_000).await;
    client.shake(late).await;
}

#[tokio::test]
async fn a_remote_device_waits_to_be_approved_under_one_request() {
    let gateway =
        Gateway::start_with(|config| config.trusted_proxies = vec![[127, 0, 0, 1].into()]).await;
    let far = [("x-forwarded-for", "198.51.100.7")];
    let mut requests = Vec::new();
    for _ in 0..2 {
        let mut client = Client::open(gateway.at, "/", &far).await;
        let params = signed(&mut client, 3, connect(4), 0).await;
        let (error, end) = refused(&mut client, params).await;
        assert_eq!(error["code"], "NOT_PAIRED");
        assert_eq!(
            error["message"],
            "pairing required: device is not approved yet"
        );
        let details = &error["details"];
        assert_eq!(
            (&details["code"], &details["reason"]),
            (&json!("PAIRING_REQUIRED"), &json!("not-paired"))
        );
        let request = details["requestId"].as_str().unwrap().to_owned();
        let reason = format!("pairing required: device is not approved yet (requestId: {request})");
        assert_eq!(
            end,
            Heard::Close(1008, reason[..reason.len().min(120)].into())
        );
        requests.push(request);
    }
    assert_eq!(requests[0], requests[1]);
    let mut client = Client::open(gateway.at, "/", &far).await;
    let params = signed(&mut client, 2, connect(3), 0).await;
    let (error, end) = refused(&mut client, params).await;
    assert_eq!(error["details"], json!({"requestId": requests[0]}));
    assert_eq!(end, Heard::Close(1008, "pairing required".into()));
}

#[tokio::test]
async fn from_afar_a_token_without_a_device_opens_nothing() {
    let gateway =
        Gateway::start_with(|config| config.trusted_proxies = vec![[127, 0, 0, 1].into()]).await;
    for protocol in [3, 4] {
        let mut client =
            Client::open(gateway.at, "/", &[("x-forwarded-for", "198.51.100.7")]).await;
        client.shake(connect(protocol)).await;
        let error = client
            .refused("chat.history", json!({"sessionKey": "main"}))
            .await;
        assert_eq!(error["message"], "missing scope: operator.read");
    }
}

#[tokio::test]
async fn a_page_is_let_in_by_its_origin() {
    let gateway =
        Gateway::start_with(|config| config.allowed_origins = vec!["https://desk.example".into()])
            .await;
    let own = format!("http://{}", gateway.at);
    let page = |id: &str| {
        connect_with(3, |params| {
            params["client"] = json!({
                "id": id, "version": "1", "platform": "web", "mode": "webchat",
            })
        })
    };
    for origin in [
        own.as_str(),
        "http://localhost:5173",
        "https://desk.example",
    ] {
        let mut client = Client::open(gateway.at, "/", &[("origin", origin)]).await;
        client.shake(page("webchat-ui")).await;
    }
    for (origin, id) in [
        (Some("https://evil.example"), "webchat-ui"),
        (Some("https://evil.example"), "cli"),
        (Some("null"), "openclaw-control-ui"),
        (None, "openclaw-control-ui"),
        (None, "webchat"),
    ] {
        let headers: Vec<_> = origin
            .map(|origin| ("origin", origin))
            .into_iter()
            .collect();
        let mut client = Client::open(gateway.at, "/", &headers).await;
        let (error, _) = refused(&mut client, page(id)).await;
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with("origin not allowed"),
            "{origin:?} {id}"
        );
    }
}

#[tokio::test]
async fn a_rebound_name_and_an_unknown_proxy_are_refused_before_the_upgrade() {
    let gateway = Gateway::start().await;
    let evil: [&[(&str, &str)]; 2] = [
        &[("host", "evil.example"), ("origin", "http://evil.example")],
        &[("x-forwarded-for", "198.51.100.7")],
    ];
    for headers in evil {
        match Client::try_open(gateway.at, "/", headers).await {
            Err(Error::Http(response)) => {
                assert_eq!(response.status(), StatusCode::FORBIDDEN);
                let body: Value =
                    serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
                assert!(
                    body["error"]["message"]
                        .as_str()
                        .unwrap()
                        .contains("gateway."),
                    "{body}"
                );
            }
            other => panic!("{:?}", other.err()),
        }
    }
}

#[tokio::test]
async fn ten_wrong_guesses_lock_a_page_out_even_with_the_right_token_but_no_command_line() {
    let gateway = Gateway::start().await;
    let own = format!("http://{}", gateway.at);
    let page = |token: &str| {
        connect_with(3, |params| {
            params["client"]["id"] = json!("openclaw-control-ui");
            params["auth"]["token"] = json!(token);
        })
    };
    for _ in 0..10 {
        let mut client = Client::open(gateway.at, "/", &[("origin", &own)]).await;
        let (error, _) = refused(&mut client, page("wrong")).await;
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("token mismatch"),
            "{error}"
        );
    }
    let mut client = Client::open(gateway.at, "/", &[("origin", &own)]).await;
    let right = connect_with(4, |params| {
        params["client"]["id"] = json!("openclaw-control-ui")
    });
    let (error, _) = refused(&mut client, right).await;
    assert_eq!(error["details"]["code"], "AUTH_RATE_LIMITED");
    assert_eq!(error["retryable"], true);
    assert!((290_000..=300_000).contains(&error["retryAfterMs"].as_u64().unwrap()));
    gateway.client(4).await;
}
