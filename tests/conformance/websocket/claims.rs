//! One-time claims: a browser behind address translation is let in with one, once, and nothing is switched off for it.

use proto::v1::{ClaimRequest, devices_client::DevicesClient};
use tonic::{Request, Status, service::Interceptor, transport::Endpoint};

use super::{
    device::{Device, FAR, behind_proxy, own_address, with, with_secret},
    *,
};

const READ: &str = "operator.read";
const WRITE: &str = "operator.write";

#[derive(Clone)]
struct Bearer;

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let bearer = format!("Bearer {TOKEN}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

/// The code of a new claim.
async fn claim(gateway: &Gateway, scopes: &[&str]) -> String {
    claim_as(gateway, "", scopes).await
}

async fn claim_as(gateway: &Gateway, role: &str, scopes: &[&str]) -> String {
    let endpoint = Endpoint::from_shared(format!("http://{}", gateway.admin)).unwrap();
    let mut devices = DevicesClient::with_interceptor(endpoint.connect_lazy(), Bearer);
    let request = ClaimRequest {
        role: role.into(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
        ..ClaimRequest::default()
    };
    let reply = devices.claim(request).await.unwrap().into_inner();
    assert_eq!(reply.fragment, format!("#claim={}", reply.code));
    reply.code
}

#[tokio::test]
async fn a_claim_lets_one_device_in_from_elsewhere_and_gives_it_a_token_of_its_own() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let replica = gateway.replica_with(behind_proxy).await;
    let code = claim(&gateway, &[]).await;
    let device = Device::new(1);
    let auth = json!({"bootstrapToken": code});
    let (mut client, hello) = device
        .enter(replica.at, &FAR, with(4, auth.clone(), &[READ, WRITE]))
        .await;
    assert_eq!(hello["auth"]["scopes"], json!([READ, WRITE]));
    client.done("sessions.subscribe", json!({})).await;
    let own = with(
        4,
        json!({"token": hello["auth"]["deviceToken"]}),
        &[READ, WRITE],
    );
    device.enter(gateway.at, &FAR, own).await;
    // Its first answer may have been lost: the same device may come with it again while it lasts.
    device
        .enter(gateway.at, &FAR, with(4, auth.clone(), &[READ]))
        .await;
    let (error, _) = Device::new(2)
        .refused(replica.at, &FAR, with(4, auth, &[READ]))
        .await;
    assert_eq!(error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID");
    let list = gateway
        .client(4)
        .await
        .done("device.pair.list", json!({}))
        .await;
    assert_eq!(list["paired"][0]["approvedVia"], "claim");
    assert_eq!(list["paired"][1], Value::Null);
}

#[tokio::test]
async fn of_two_devices_that_race_for_a_claim_one_is_let_in() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let replica = gateway.replica_with(behind_proxy).await;
    for round in 0..5 {
        let auth = json!({"bootstrapToken": claim(&gateway, &[]).await});
        let enter = async |number: u8, at: SocketAddr| {
            let mut client = Client::open(at, "/", &FAR).await;
            let params = with(4, auth.clone(), &[READ]);
            let params = Device::new(number).sign(&mut client, 3, params, 0).await;
            matches!(client.connect(params).await, Heard::Frame(frame) if frame["ok"] == true)
        };
        let (one, other) = tokio::join!(
            enter(2 * round + 1, gateway.at),
            enter(2 * round + 2, replica.at)
        );
        assert!(one ^ other, "round {round}: {one} {other}");
    }
}

#[tokio::test]
async fn a_claim_gives_no_more_than_it_was_made_for() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let auth = json!({"bootstrapToken": claim(&gateway, &[READ]).await});
    let device = Device::new(1);
    let (error, _) = device
        .refused(gateway.at, &FAR, with(4, auth.clone(), &[READ, WRITE]))
        .await;
    assert_eq!(error["details"]["code"], "AUTH_SCOPE_MISMATCH");
    let node = |params: &mut Value| {
        params["role"] = json!("node");
        params["scopes"] = json!([]);
        params["auth"] = auth.clone();
    };
    let (error, _) = device
        .refused(gateway.at, &FAR, connect_with(4, node))
        .await;
    assert_eq!(error["details"]["code"], "AUTH_BOOTSTRAP_TOKEN_INVALID");
    let mut bare = Client::open(gateway.at, "/", &FAR).await;
    let (error, _) = device::refused(&mut bare, with(4, auth.clone(), &[READ])).await;
    assert_eq!(error["message"], "device identity required");
    let (_, hello) = device.enter(gateway.at, &FAR, with(4, auth, &[READ])).await;
    let own = json!({"deviceToken": hello["auth"]["deviceToken"]});
    let (error, _) = device
        .refused(gateway.at, &FAR, with(4, own, &[READ, WRITE]))
        .await;
    assert_eq!(error["details"]["code"], "AUTH_SCOPE_MISMATCH");
}

#[tokio::test]
async fn a_claim_and_the_shared_token_together_let_a_remote_device_in_at_once() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let mut params = with_secret(&[READ]);
    params["auth"]["bootstrapToken"] = json!(claim(&gateway, &[]).await);
    Device::new(1).enter(gateway.at, &FAR, params).await;
    Device::new(1)
        .enter(gateway.at, &FAR, with_secret(&[READ]))
        .await;
}

#[tokio::test]
async fn a_browser_behind_address_translation_pairs_with_one_command_and_nothing_switched_off() {
    // As a container sees a browser of its host: from an address of the network between, under the published name.
    let Some(bridge) = own_address() else {
        eprintln!("NOT TESTED: this machine has no address but loopback");
        return;
    };
    let gateway = Gateway::start_with(|config| {
        config.bind = [0, 0, 0, 0].into();
        config.plain_on_private_network = true;
    })
    .await;
    let at = SocketAddr::new(bridge, gateway.at.port());
    let page = [
        ("host", "127.0.0.1:18789"),
        ("origin", "http://127.0.0.1:18789"),
    ];
    let webchat = |auth: Value| {
        connect_with(4, |params| {
            params["client"] =
                json!({"id": "webchat-ui", "version": "1", "platform": "web", "mode": "webchat"});
            params["scopes"] = json!([READ, WRITE]);
            params["auth"] = auth;
        })
    };
    let browser = Device::new(1);
    let (error, _) = browser
        .refused(at, &page, webchat(json!({"token": TOKEN})))
        .await;
    assert_eq!(
        error["details"]["code"], "PAIRING_REQUIRED",
        "the token alone is not enough from there"
    );
    let code = claim(&gateway, &[]).await;
    let (_, hello) = browser
        .enter(at, &page, webchat(json!({"bootstrapToken": code})))
        .await;
    let own = json!({"token": hello["auth"]["deviceToken"]});
    let (mut client, _) = browser.enter(at, &page, webchat(own)).await;
    client.done("sessions.subscribe", json!({})).await;
}

#[tokio::test]
async fn an_app_that_is_node_and_operator_gets_both_tokens_with_one_claim() {
    let gateway = Gateway::start_with(behind_proxy).await;
    let code = claim_as(&gateway, "node", &[READ]).await;
    let app = Device::new(1);
    let node = connect_with(4, |params| {
        params["role"] = json!("node");
        params["client"]["id"] = json!("openclaw-ios");
        params["client"]["mode"] = json!("node");
        params["scopes"] = json!([]);
        params["auth"] = json!({"bootstrapToken": code});
    });
    for _ in 0..2 {
        let (_, hello) = app.enter(gateway.at, &FAR, node.clone()).await;
        let (own, others) = (
            &hello["auth"]["deviceToken"],
            &hello["auth"]["deviceTokens"],
        );
        assert_eq!(
            (
                &others[0]["role"],
                &others[0]["scopes"],
                others[1].is_null()
            ),
            (&json!("operator"), &json!([READ]), true)
        );
        assert_ne!(own, &others[0]["deviceToken"]);
        let operator = with(4, json!({"deviceToken": others[0]["deviceToken"]}), &[READ]);
        let (_, hello) = app.enter(gateway.at, &FAR, operator).await;
        assert_eq!(hello["auth"].get("deviceTokens"), None);
    }
}
