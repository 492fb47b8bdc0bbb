//! Nodes: who they are, what they wait for, and where they are connected.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chassis::clock::now_ms;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use tests::eventually::eventually;

use super::*;

mod calls;
mod events;
mod replicas;

/// Commands that most nodes here declare.
const COMMANDS: [&str; 2] = ["system.run", "system.which"];

/// A node that speaks the protocol and does nothing by itself.
struct Node {
    client: Client,
    id: String,
}

impl Node {
    /// A Linux machine that is let in by its device; `seed` makes it the same machine again.
    async fn connect(gateway: &Gateway, seed: u8, protocol: u8, commands: &[&str]) -> Self {
        Self::connect_as(gateway, seed, protocol, commands, |_| ()).await
    }

    async fn connect_as(
        gateway: &Gateway,
        seed: u8,
        protocol: u8,
        commands: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let mut client = Client::open(gateway.at, "/", &[]).await;
        let challenge = client.event("connect.challenge").await;
        let mut params = json!({
            "minProtocol": protocol, "maxProtocol": protocol,
            "client": {
                "id": "node-host", "displayName": format!("Node {seed}"), "version": "2026.9.6", "platform": "linux",
                "mode": "node",
            },
            "caps": ["system"], "commands": commands, "pathEnv": "/usr/bin", "auth": {"token": TOKEN}, "role": "node",
            "scopes": [],
        });
        change(&mut params);
        let id = prove(&mut params, seed, &challenge);
        let hello = client.shake(params).await;
        assert_eq!(hello["auth"]["role"], "node");
        Self { client, id }
    }

    /// The next call that it is asked to do.
    async fn asked(&mut self) -> Value {
        let event = self.client.event("node.invoke.request").await;
        assert_eq!(event.get("seq"), None, "of one connection only");
        event["payload"].clone()
    }

    /// Says how a call went.
    async fn answer(&mut self, call: &Value, payload: Value) -> Value {
        let result = json!({"id": call["id"], "nodeId": self.id, "ok": true, "payloadJSON": payload.to_string()});
        self.client.done("node.invoke.result", result).await
    }
}

/// Signs `params` with the device of `seed`; the device's id.
fn prove(params: &mut Value, seed: u8, challenge: &Value) -> String {
    let nonce = challenge["payload"]["nonce"].as_str().unwrap();
    let key = SigningKey::from_bytes(&[seed; 32]);
    let public = key.verifying_key().to_bytes();
    let digest = Sha256::digest(public);
    let id: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let signed_at = now_ms();
    let line = format!("v2|{id}|node-host|node|node||{signed_at}|{TOKEN}|{nonce}");
    params["device"] = json!({
        "id": id, "publicKey": BASE64_URL_SAFE_NO_PAD.encode(public), "signedAt": signed_at, "nonce": nonce,
        "signature": BASE64_URL_SAFE_NO_PAD.encode(key.sign(line.as_bytes()).to_bytes()),
    });
    id
}

/// The operator who decides about nodes, and hears of them.
async fn operator(gateway: &Gateway, protocol: u8) -> Client {
    let mut client = Client::open(gateway.at, "/", &[]).await;
    client.shake(connect(protocol)).await;
    client
}

/// Approves the one request that waits.
async fn approve(operator: &mut Client) -> Value {
    let list = operator.done("node.pair.list", json!({})).await;
    let request = list["pending"][0]["requestId"].clone();
    operator
        .done("node.pair.approve", json!({"requestId": request}))
        .await
}

/// The row of the node `id`.
async fn row(operator: &mut Client, id: &str) -> Value {
    let list = operator.done("node.list", json!({})).await;
    let rows = list["nodes"].as_array().unwrap();
    let row = rows.iter().find(|row| row["nodeId"] == id);
    row.cloned().unwrap_or_default()
}

fn invoke(node: &Node, command: &str, key: &str) -> Value {
    json!({"nodeId": node.id, "command": command, "params": {"bins": ["git"]}, "timeoutMs": 60_000, "idempotencyKey": key})
}

#[tokio::test]
async fn a_node_of_protocol_4_is_asked_for_nothing_until_an_operator_approves_it() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let mut node = Node::connect(&gateway, 1, 4, &COMMANDS).await;
    let asked = operator.event("node.pair.requested").await["payload"].clone();
    assert_eq!(asked["nodeId"], node.id.as_str());
    assert_eq!(asked["commands"], json!(COMMANDS));
    assert_eq!(
        asked["requiredApproveScopes"],
        json!(["operator.pairing", "operator.admin"])
    );
    assert_eq!(asked["silent"], true);
    let waiting = row(&mut operator, &node.id).await;
    assert_eq!(waiting["approvalState"], "pending-approval");
    assert_eq!(waiting["commands"], json!([]));
    assert_eq!(waiting["pendingRequestId"], asked["requestId"]);
    assert_eq!(
        (&waiting["connected"], &waiting["paired"]),
        (&json!(true), &json!(true))
    );

    let denied = operator
        .refused("node.invoke", invoke(&node, "system.which", "early"))
        .await;
    assert_eq!(denied["code"], "INVALID_REQUEST");
    let details = json!({"reason": "node did not declare commands", "command": "system.which"});
    assert_eq!(denied["details"], details);

    let approved = operator
        .done(
            "node.pair.approve",
            json!({"requestId": asked["requestId"]}),
        )
        .await;
    assert_eq!(approved["node"]["commands"], json!(COMMANDS));
    let told = node.client.event("node.pair.resolved").await;
    assert_eq!(
        (told.get("seq"), &told["payload"]["decision"]),
        (None, &json!("approved"))
    );
    assert_eq!(
        operator.event("node.pair.resolved").await["payload"]["nodeId"],
        node.id.as_str()
    );
    let live = row(&mut operator, &node.id).await;
    assert_eq!(
        (&live["approvalState"], &live["commands"]),
        (&json!("approved"), &json!(COMMANDS))
    );
    let described = operator
        .done("node.describe", json!({"nodeId": node.id}))
        .await;
    assert_eq!(
        (&described["commands"], &described["pathEnv"]),
        (&json!(COMMANDS), &json!("/usr/bin"))
    );
    let unknown = operator
        .refused("node.describe", json!({"nodeId": "nobody"}))
        .await;
    assert_eq!(unknown["message"], "unknown nodeId");
    let again = operator
        .refused(
            "node.pair.approve",
            json!({"requestId": asked["requestId"]}),
        )
        .await;
    assert_eq!(again["message"], "unknown requestId");
}

#[tokio::test]
async fn what_was_approved_stays_approved_and_more_has_to_be_asked_for() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let node = Node::connect(&gateway, 1, 4, &["system.which"]).await;
    approve(&mut operator).await;
    drop(node);
    let node = Node::connect(&gateway, 1, 4, &COMMANDS).await;
    let more = row(&mut operator, &node.id).await;
    assert_eq!(more["approvalState"], "pending-reapproval");
    assert_eq!(more["commands"], json!(["system.which"]));
    let denied = operator
        .refused("node.invoke", invoke(&node, "system.run", "k"))
        .await;
    assert!(
        denied["message"]
            .as_str()
            .unwrap()
            .contains("pending approval"),
        "{denied}"
    );
    let rejected = operator
        .done(
            "node.pair.reject",
            json!({"requestId": more["pendingRequestId"]}),
        )
        .await;
    assert_eq!(rejected["nodeId"], node.id.as_str());
    assert_eq!(
        row(&mut operator, &node.id).await["approvalState"],
        "approved"
    );
}

#[tokio::test]
async fn a_node_of_protocol_3_may_be_asked_at_once_unless_it_has_spoken_protocol_4() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 3).await;
    let old = Node::connect(&gateway, 1, 3, &COMMANDS).await;
    assert_eq!(
        row(&mut operator, &old.id).await["commands"],
        json!(COMMANDS)
    );
    let new = Node::connect(&gateway, 2, 4, &COMMANDS).await;
    assert_eq!(row(&mut operator, &new.id).await["commands"], json!([]));
    let downgraded = Node::connect(&gateway, 2, 3, &COMMANDS).await;
    assert_eq!(
        row(&mut operator, &downgraded.id).await["commands"],
        json!([])
    );
    let denied = operator
        .refused("node.invoke", invoke(&downgraded, "system.run", "k"))
        .await;
    assert_eq!(denied["message"], "node command not allowed");

    let strict = Gateway::start_with(|config| config.old_nodes_wait = true).await;
    let mut operator = super::nodes::operator(&strict, 3).await;
    let old = Node::connect(&strict, 1, 3, &COMMANDS).await;
    assert_eq!(row(&mut operator, &old.id).await["commands"], json!([]));
}

#[tokio::test]
async fn approving_takes_the_scopes_of_what_is_approved() {
    let gateway = Gateway::start().await;
    let _node = Node::connect(&gateway, 1, 4, &COMMANDS).await;
    let mut clerk = Client::open(gateway.at, "/", &[]).await;
    let scopes = json!(["operator.pairing", "operator.write"]);
    clerk
        .shake(connect_with(4, |params| params["scopes"] = scopes))
        .await;
    let list = clerk.done("node.pair.list", json!({})).await;
    let request = json!({"requestId": list["pending"][0]["requestId"]});
    let refused = clerk.refused("node.pair.approve", request).await;
    assert_eq!(refused["code"], "FORBIDDEN");
    assert_eq!(refused["message"], "missing scope: operator.admin");
    let needed = json!(["operator.pairing", "operator.admin"]);
    assert_eq!(refused["details"]["requiredScopes"], needed);
    let mut reader = Client::open(gateway.at, "/", &[]).await;
    reader
        .shake(connect_with(4, |params| {
            params["scopes"] = json!(["operator.read"])
        }))
        .await;
    let refused = reader.refused("node.pair.list", json!({})).await;
    assert_eq!(refused["message"], "missing scope: operator.pairing");
    let list = reader.done("node.list", json!({})).await;
    assert_eq!(list["nodes"][0]["approvalState"], "pending-approval");
    assert_eq!(
        list["nodes"][0].get("pendingRequestId"),
        None,
        "not for those who do not decide"
    );
}

#[tokio::test]
async fn a_node_is_renamed_removed_and_gone_when_it_leaves() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    let node = Node::connect(&gateway, 1, 4, &COMMANDS).await;
    approve(&mut operator).await;
    let renamed = operator
        .done(
            "node.rename",
            json!({"nodeId": node.id, "displayName": " Attic "}),
        )
        .await;
    assert_eq!(renamed, json!({"nodeId": node.id, "displayName": "Attic"}));
    let id = node.id.clone();
    drop(node);
    let operator = &tokio::sync::Mutex::new(operator);
    let away = eventually("the node to be away", async || {
        let row = row(&mut *operator.lock().await, &id).await;
        (row["connected"] == false).then_some(row)
    })
    .await;
    assert_eq!(
        (&away["displayName"], &away["commands"]),
        (&json!("Attic"), &json!(COMMANDS))
    );
    let mut operator = operator.lock().await;
    let asked = json!({"nodeId": id, "command": "system.which", "idempotencyKey": "k"});
    let refused = operator.refused("node.invoke", asked.clone()).await;
    assert_eq!(refused["code"], "UNAVAILABLE");
    assert_eq!(
        (&refused["message"], &refused["details"]["code"]),
        (&json!("node not connected"), &json!("NOT_CONNECTED"))
    );
    assert_eq!(
        operator
            .done("node.pair.remove", json!({"nodeId": id}))
            .await,
        json!({"nodeId": id})
    );
    assert_eq!(
        operator.event("node.pair.resolved").await["payload"]["decision"],
        "approved"
    );
    assert_eq!(
        operator.event("node.pair.resolved").await["payload"]["decision"],
        "removed"
    );
    assert_eq!(row(&mut operator, &id).await, Value::Null);
    let refused = operator.refused("node.invoke", asked).await;
    assert_eq!(
        (&refused["details"]["code"], &refused["retryable"]),
        (&json!("PAIRING_CHANGED"), &json!(true))
    );
    for method in ["node.pair.remove", "node.describe"] {
        let refused = operator.refused(method, json!({"nodeId": id})).await;
        assert_eq!(refused["message"], "unknown nodeId", "{method}");
    }
}

#[tokio::test]
async fn a_node_that_is_removed_is_shown_the_door_and_begins_anew() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 4).await;
    for method in ["node.pair.remove", "device.pair.remove"] {
        let mut node = Node::connect(&gateway, 1, 4, &COMMANDS).await;
        approve(&mut operator).await;
        let key = if method.starts_with("node") {
            "nodeId"
        } else {
            "deviceId"
        };
        operator.done(method, json!({key: node.id})).await;
        let end = node.client.next_answer().await;
        assert_eq!(end, Heard::Close(4001, "device removed".into()), "{method}");
        let node = Node::connect(&gateway, 1, 4, &COMMANDS).await;
        let again = row(&mut operator, &node.id).await;
        assert_eq!(again["approvalState"], "pending-approval", "{method}");
        assert_eq!(again["commands"], json!([]), "{method}");
    }
}

#[tokio::test]
async fn a_node_is_entered_by_hand_as_clients_of_protocol_3_do() {
    let gateway = Gateway::start().await;
    let mut operator = operator(&gateway, 3).await;
    let entry = json!({"nodeId": "ipad", "displayName": "iPad", "platform": "iOS 26", "commands": ["canvas.present"]});
    let first = operator.done("node.pair.request", entry.clone()).await;
    assert_eq!(
        (&first["status"], &first["created"]),
        (&json!("pending"), &json!(true))
    );
    let again = operator.done("node.pair.request", entry).await;
    assert_eq!(again["created"], false);
    assert_eq!(again["request"]["requestId"], first["request"]["requestId"]);
    let request = json!({"requestId": first["request"]["requestId"]});
    let approved = operator.done("node.pair.approve", request).await;
    let token = approved["node"]["token"].as_str().unwrap().to_owned();
    let verify = |token: &str| json!({"nodeId": "ipad", "token": token});
    let verified = operator.done("node.pair.verify", verify(&token)).await;
    assert_eq!(
        (&verified["ok"], &verified["node"]["displayName"]),
        (&json!(true), &json!("iPad"))
    );
    assert_eq!(
        operator.done("node.pair.verify", verify("x")).await,
        json!({"ok": false})
    );
    let list = operator.done("node.pair.list", json!({})).await.to_string();
    assert!(!list.contains(&token), "a token is told once");
}
