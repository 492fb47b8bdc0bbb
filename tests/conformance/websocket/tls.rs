//! TLS: page and WebSocket in TLS 1.3, with a certificate that clients can pin, and nothing readable beside it.

use std::{fs, path::Path, sync::Arc};

use reqwest::{Certificate, tls::Version};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::*;
use tests::eventually::eventually;

/// A browser that trusts the gateway's own certificate.
fn browser(folder: &Path) -> reqwest::ClientBuilder {
    let pem = fs::read(folder.join("certificate.pem")).unwrap();
    reqwest::Client::builder()
        .no_proxy()
        .add_root_certificate(Certificate::from_pem(&pem).unwrap())
}

#[tokio::test]
async fn page_and_socket_are_served_in_tls_1_3_under_a_certificate_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let secured = |config: &mut Config| {
        config.tls = true;
        config.tls_dir = folder.path().to_owned();
    };
    let gateway = Gateway::start_with(secured).await;
    let certificate = folder.path().join("certificate.pem");
    let before = eventually("the certificate", async || fs::read(&certificate).ok()).await;
    let url = format!("https://localhost:{}/healthz", gateway.at.port());
    let modern = browser(folder.path()).build().unwrap();
    assert_eq!(modern.get(&url).send().await.unwrap().status(), 200);
    let old = browser(folder.path())
        .max_tls_version(Version::TLS_1_2)
        .build();
    // Whether it is the browser or the server that has no older version: it does not get in.
    if let Ok(old) = old {
        assert!(old.get(&url).send().await.is_err());
    }
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let plainly = format!("http://{}/healthz", gateway.at);
    assert!(plain.get(plainly).send().await.is_err());
    assert!(
        plain.get(&url).send().await.is_err(),
        "who does not trust it"
    );

    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(&before).unwrap())
        .unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(gateway.at).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .unwrap();
    let request = format!("wss://localhost:{}/", gateway.at.port());
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let connect = json!({"type": "req", "id": "c", "method": "connect", "params": connect(4)});
    socket
        .send(Message::text(connect.to_string()))
        .await
        .unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
            heard.push(serde_json::from_str::<Value>(&text).unwrap());
        }
    }
    assert_eq!(heard[0]["event"], "connect.challenge");
    assert_eq!(heard[1]["payload"]["type"], "hello-ok");

    let anew = gateway.replica_with(secured).await;
    let url = format!("https://localhost:{}/healthz", anew.at.port());
    assert_eq!(modern.get(&url).send().await.unwrap().status(), 200);
    assert_eq!(
        fs::read(folder.path().join("certificate.pem")).unwrap(),
        before
    );
}

#[tokio::test]
async fn an_address_that_others_can_reach_is_refused_without_token_or_tls() {
    let nats = Nats::start();
    for (change, word) in [
        (
            (|config: &mut Config| config.token = "".into()) as fn(&mut Config),
            "gateway.token",
        ),
        (|_| (), "gateway.tls = true"),
    ] {
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let mut config = Config {
            token: TOKEN.into(),
            bind: [0, 0, 0, 0].into(),
            port: 0,
            ..Config::default()
        };
        change(&mut config);
        let ctx = chassis::Context::new(bus, CancellationToken::new());
        let refused = control_plane::run(ctx, config, control_plane::Host::default())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            refused.contains(word) && refused.contains("127.0.0.1"),
            "{refused}"
        );
    }
}
