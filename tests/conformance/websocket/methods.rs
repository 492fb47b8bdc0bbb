//! Rules of every request after the handshake, and the methods that say how the gateway does.

use super::*;

#[tokio::test]
async fn what_is_no_request_is_answered_or_ignored_and_never_closes() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    client.send_text("no json").await;
    let table = [
        ("[1]", "invalid", "invalid request frame: must be object"),
        (
            r#"{"type":"req","id":"7","method":"health","foo":1}"#,
            "7",
            "invalid request frame: at root: unexpected property 'foo'",
        ),
        (
            r#"{"type":"req","id":"8"}"#,
            "8",
            "invalid request frame: must have required property 'method'",
        ),
        (
            r#"{"type":"req","id":9,"method":"health"}"#,
            "invalid",
            "invalid request frame: at /id: must be string",
        ),
    ];
    for (frame, id, message) in table {
        client.send_text(frame).await;
        let Heard::Frame(answer) = client.next_answer().await else {
            panic!("closed at {frame}")
        };
        assert_eq!(
            answer,
            json!({"type": "res", "id": id, "ok": false, "error": {"code": "INVALID_REQUEST", "message": message}})
        );
    }
    for params in [Value::Null, json!("x"), json!({})] {
        client.done("health", params).await;
    }
}

#[tokio::test]
async fn an_unknown_method_is_named_to_an_admin_and_hidden_from_others() {
    let gateway = Gateway::start().await;
    for protocol in [3, 4] {
        let mut admin = gateway.client(protocol).await;
        let error = admin.refused("no.such.method", json!({})).await;
        assert_eq!(
            error,
            json!({"code": "INVALID_REQUEST", "message": "unknown method: no.such.method"})
        );
        let error = admin.refused("node.event", json!({})).await;
        assert_eq!(error["message"], "unauthorized role: operator");

        let mut reader = Client::open(gateway.at, "/", &[]).await;
        reader
            .shake(connect_with(protocol, |params| {
                params["scopes"] = json!(["operator.read"])
            }))
            .await;
        let error = reader.refused("no.such.method", json!({})).await;
        assert_eq!(error["message"], "missing scope: operator.admin");
        let error = reader.refused("chat.send", json!({})).await;
        assert_eq!(error["message"], "missing scope: operator.write");
        match protocol {
            3 => assert_eq!(
                (&error["code"], error.get("details")),
                (&json!("INVALID_REQUEST"), None)
            ),
            _ => assert_eq!(
                (&error["code"], &error["details"]),
                (
                    &json!("FORBIDDEN"),
                    &json!({"code": "MISSING_SCOPE", "missingScope": "operator.write",
                            "requiredScopes": ["operator.write"]})
                )
            ),
        }
    }
}

#[tokio::test]
async fn every_method_that_is_advertised_is_served() {
    let gateway = Gateway::start().await;
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let hello = client.shake(connect(4)).await;
    // Some are for nodes; who calls ten of these in a row is closed.
    for methods in hello["features"]["methods"].as_array().unwrap().chunks(10) {
        let mut client = gateway.client(4).await;
        for method in methods {
            let answer = client.call(method.as_str().unwrap(), json!({})).await;
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            assert!(!message.starts_with("unknown method"), "{answer}");
        }
    }
}

#[tokio::test]
async fn too_many_calls_of_the_wrong_role_close_the_socket() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    for _ in 0..11 {
        client.refused("node.event", json!({})).await;
    }
    assert_eq!(
        client.next_answer().await,
        Heard::Close(1008, "repeated unauthorized calls".into())
    );
}

#[tokio::test]
async fn health_has_what_the_command_line_reads() {
    let gateway = Gateway::start().await;
    for protocol in [3, 4] {
        let mut client = gateway.client(protocol).await;
        let health = client.done("health", json!({"probe": true})).await;
        assert_eq!(health["ok"], true);
        for (key, kind) in [
            ("channels", "{}"),
            ("channelOrder", "[]"),
            ("channelLabels", "{}"),
        ] {
            assert_eq!(health[key].to_string(), kind, "{key}");
        }
        assert_eq!(health["defaultAgentId"], "main");
        assert!(health["heartbeatSeconds"].is_u64() && health["ts"].is_u64());
        assert_eq!(health["agents"][0]["agentId"], "main");
        assert_eq!(health["agents"][0]["heartbeat"]["enabled"], false);
        assert!(health["sessions"]["path"].is_string() && health["sessions"]["recent"].is_array());
        let status = client.done("status", json!({})).await;
        assert!(
            status["sessions"]["byAgent"].is_array() && status["heartbeat"]["agents"].is_array()
        );
        let present = client.done("system-presence", json!({})).await;
        assert_eq!(present[0]["mode"], "gateway");
        assert_eq!(
            client.done("agents.list", json!({})).await["agents"][0]["id"],
            "main"
        );
        assert_eq!(
            client.done("sessions.subscribe", json!({})).await["subscribed"],
            true
        );
    }
}

#[tokio::test]
async fn health_is_open_to_all_in_protocol_4_and_takes_read_in_protocol_3() {
    let gateway = Gateway::start().await;
    for (protocol, open) in [(3, false), (4, true)] {
        let mut client = Client::open(gateway.at, "/", &[]).await;
        client
            .shake(connect_with(protocol, |params| {
                params["scopes"] = json!([])
            }))
            .await;
        assert_eq!(client.call("health", json!({})).await["ok"], open);
    }
}

#[tokio::test]
async fn many_requests_at_once_are_all_answered() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    const MANY: usize = 5000;
    for n in 0..MANY {
        let request = json!({"type": "req", "id": format!("{n}"), "method": "health"});
        client
            .socket
            .feed(tokio_tungstenite::tungstenite::Message::text(
                request.to_string(),
            ))
            .await
            .unwrap();
        if n % 100 == 99 {
            client.socket.flush().await.unwrap();
            for _ in 0..100 {
                let Heard::Frame(answer) = client.next_answer().await else {
                    panic!("closed")
                };
                assert_eq!(answer["ok"], true);
            }
        }
    }
}
