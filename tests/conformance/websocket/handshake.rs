//! From an open socket to `hello-ok`, or to the close frame that the protocol asks for.

use tokio_tungstenite::tungstenite::Message;

use super::*;

#[tokio::test]
async fn the_challenge_comes_before_the_client_says_anything() {
    let gateway = Gateway::start().await;
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let Heard::Frame(challenge) = client.next().await else {
        panic!("closed")
    };
    assert_eq!(
        (&challenge["type"], &challenge["event"]),
        (&json!("event"), &json!("connect.challenge"))
    );
    assert!(
        challenge["payload"]["nonce"]
            .as_str()
            .is_some_and(|nonce| nonce.len() >= 32)
    );
    assert!(challenge["payload"]["ts"].as_u64().is_some());
    assert_eq!(challenge.get("seq"), None);
}

#[tokio::test]
async fn every_path_upgrades_and_nothing_is_compressed() {
    let gateway = Gateway::start().await;
    for path in ["/", "/gateway", "/ws", "/health", "/any/where?with=query"] {
        let offer = [(
            "sec-websocket-extensions",
            "permessage-deflate; client_max_window_bits",
        )];
        let mut client = Client::open(gateway.at, path, &offer).await;
        assert_eq!(
            client.response.headers().get("sec-websocket-extensions"),
            None
        );
        client.shake(connect(4)).await;
        assert_eq!(client.done("health", json!({})).await["ok"], true, "{path}");
    }
}

#[tokio::test]
async fn bad_first_frames_are_answered_and_closed_as_the_reference_does() {
    let gateway = Gateway::start().await;
    let request = |method: &str, params: Value| {
        json!({"type": "req", "id": "1", "method": method, "params": params}).to_string()
    };
    let first = "invalid handshake: first request must be connect";
    let id = "invalid connect params: at /client/id: must be equal to one of the allowed values";
    let bogus = "invalid connect params: at root: unexpected property 'bogus'";
    let missing = "invalid connect params: must have required property 'client'";
    let no_request = "invalid request frame";
    let table: Vec<(String, Option<&str>, u16, &str)> = vec![
        ("no json".into(), None, 1000, ""),
        ("{}".into(), None, 1008, no_request),
        ("[1,2]".into(), None, 1008, no_request),
        (
            r#"{"type":"event","event":"x"}"#.into(),
            None,
            1008,
            no_request,
        ),
        (
            r#"{"type":"req","id":7,"method":"connect"}"#.into(),
            None,
            1008,
            no_request,
        ),
        (request("health", json!({})), Some(first), 1008, first),
        (
            request(
                "connect",
                connect_with(4, |p| p["client"]["id"] = json!("toaster")),
            ),
            Some(id),
            1008,
            id,
        ),
        (
            request("connect", connect_with(4, |p| p["bogus"] = json!(1))),
            Some(bogus),
            1008,
            bogus,
        ),
        (
            request("connect", json!({"minProtocol": 4, "maxProtocol": 4})),
            Some(missing),
            1008,
            missing,
        ),
        (
            request("connect", connect(2)),
            Some("protocol mismatch"),
            1002,
            "protocol mismatch",
        ),
        (
            request("connect", connect(5)),
            Some("protocol mismatch"),
            1002,
            "protocol mismatch",
        ),
        (
            request(
                "connect",
                connect_with(4, |p| p["role"] = json!("superuser")),
            ),
            Some("invalid role"),
            1008,
            "invalid role",
        ),
    ];
    for (frame, message, code, reason) in table {
        let mut client = Client::open(gateway.at, "/", &[]).await;
        client.send_text(&frame).await;
        let mut heard = client.next_answer().await;
        if let Some(message) = message {
            let Heard::Frame(answer) = &heard else {
                panic!("{frame}: {heard:?}")
            };
            assert_eq!(
                (&answer["ok"], &answer["id"]),
                (&json!(false), &json!("1")),
                "{frame}"
            );
            assert_eq!(answer["error"]["code"], "INVALID_REQUEST", "{frame}");
            assert_eq!(answer["error"]["message"], message, "{frame}");
            heard = client.next_answer().await;
        }
        let reason = &reason[..reason.len().min(120)];
        assert_eq!(heard, Heard::Close(code, reason.into()), "{frame}");
    }
}

#[tokio::test]
async fn a_protocol_that_nobody_speaks_is_told_which_are_spoken() {
    let gateway = Gateway::start().await;
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let Heard::Frame(refused) = client.connect(connect(5)).await else {
        panic!("closed")
    };
    assert_eq!(
        refused["error"]["details"],
        json!({"code": "PROTOCOL_MISMATCH", "clientMinProtocol": 5, "clientMaxProtocol": 5,
               "expectedProtocol": 4, "minimumProbeProtocol": 3})
    );
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_at_the_deadline() {
    let gateway = Gateway::start_with(|config| config.handshake_ms = 200).await;
    let mut client = Client::open(gateway.at, "/", &[]).await;
    assert_eq!(
        client.next_answer().await,
        Heard::Close(1000, String::new())
    );
}

#[tokio::test]
async fn a_frame_over_64_kib_before_the_handshake_is_too_big() {
    let gateway = Gateway::start().await;
    let mut client = Client::open(gateway.at, "/", &[]).await;
    client.send_text(&"x".repeat(64 * 1024 + 1)).await;
    assert_eq!(
        client.next_answer().await,
        Heard::Close(1009, String::new())
    );
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let padded = connect_with(4, |params| params["userAgent"] = json!("x".repeat(60_000)));
    client.shake(padded).await;
    client
        .send(
            &json!({"type": "req", "id": "1", "method": "health", "params": "x".repeat(1_000_000)}),
        )
        .await;
    let Heard::Frame(answer) = client.next_answer().await else {
        panic!("closed")
    };
    assert_eq!(
        answer["ok"], true,
        "after the handshake frames may be large"
    );
}

#[tokio::test]
async fn both_protocols_are_welcomed_in_their_own_words() {
    let gateway = Gateway::start().await;
    for protocol in [3, 4] {
        let mut client = Client::open(gateway.at, "/", &[]).await;
        let hello = client.shake(connect(protocol)).await;
        assert_eq!(
            (&hello["type"], &hello["protocol"]),
            (&json!("hello-ok"), &json!(protocol))
        );
        for texts in ["/server/version", "/server/connId"] {
            assert!(
                hello
                    .pointer(texts)
                    .and_then(Value::as_str)
                    .is_some_and(|text| !text.is_empty())
            );
        }
        for lists in [
            "/features/methods",
            "/features/events",
            "/snapshot/presence",
        ] {
            assert!(
                hello
                    .pointer(lists)
                    .and_then(Value::as_array)
                    .is_some_and(|list| !list.is_empty())
            );
        }
        assert_eq!(hello["snapshot"]["health"]["ok"], true);
        assert!(hello["snapshot"]["stateVersion"]["health"].is_u64());
        assert!(hello["snapshot"]["uptimeMs"].is_u64());
        assert_eq!(
            hello["snapshot"]["sessionDefaults"]["mainSessionKey"],
            "agent:main:main"
        );
        let mode = (protocol >= 4).then(|| json!("token"));
        assert_eq!(
            hello["snapshot"].get("authMode"),
            mode.as_ref(),
            "an admin may know, and protocol 3 does not"
        );
        assert_eq!(
            hello["policy"],
            json!({"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000})
        );
        let scopes = json!(["operator.admin", "operator.read", "operator.write"]);
        match protocol {
            3 => assert_eq!(
                hello.get("auth"),
                None,
                "protocol 3 tells rights only to devices"
            ),
            _ => assert_eq!(
                (&hello["auth"]["role"], &hello["auth"]["scopes"]),
                (&json!("operator"), &scopes)
            ),
        }
    }
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let both = connect_with(4, |params| params["minProtocol"] = json!(3));
    assert_eq!(
        client.shake(both).await["protocol"],
        4,
        "the newest that both speak"
    );
}

#[tokio::test]
async fn a_connect_may_be_binary_and_may_come_with_the_next_request_behind_it() {
    let gateway = Gateway::start().await;
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let request = |id: &str, method: &str, params: Value| {
        json!({"type": "req", "id": id, "method": method, "params": params}).to_string()
    };
    client
        .socket
        .feed(Message::binary(request("1", "connect", connect(4))))
        .await
        .unwrap();
    client
        .socket
        .feed(Message::text(request("2", "health", json!({}))))
        .await
        .unwrap();
    client.socket.flush().await.unwrap();
    for id in ["1", "2"] {
        let Heard::Frame(answer) = client.next_answer().await else {
            panic!("closed")
        };
        assert_eq!((&answer["id"], &answer["ok"]), (&json!(id), &json!(true)));
    }
}

#[tokio::test]
async fn a_second_connect_is_refused_and_the_socket_stays_open() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let error = client.refused("connect", connect(4)).await;
    assert_eq!(error["code"], "INVALID_REQUEST");
    assert_eq!(
        error["message"],
        "connect is only valid as the first request"
    );
    client.done("health", json!({})).await;
}
