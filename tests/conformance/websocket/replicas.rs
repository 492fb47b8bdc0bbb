//! Two replicas behind a TCP balancer act as one: paired on one, used on the other, shut out of both.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;

use super::{
    device::{Device, FAR, behind_proxy, end, with, with_secret},
    *,
};

const READ: &str = "operator.read";

/// Hands connections to the servers in turn; one that is down is passed over.
async fn balance(servers: Vec<SocketAddr>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let turn = AtomicUsize::new(0);
        while let Ok((mut near, _)) = listener.accept().await {
            for _ in &servers {
                let server = servers[turn.fetch_add(1, Ordering::Relaxed) % servers.len()];
                if let Ok(mut far) = TcpStream::connect(server).await {
                    tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
                    break;
                }
            }
        }
    });
    at
}

#[tokio::test]
async fn replicas_behind_a_balancer_pair_admit_and_shut_out_as_one() {
    let one = Gateway::start_with(behind_proxy).await;
    let other = one.replica_with(behind_proxy).await;
    let at = balance(vec![one.at, other.at]).await;
    let device = Device::new(1);
    let mut watchers = [one.client(4).await, other.client(3).await];

    let mut requests = Vec::new();
    for _ in 0..4 {
        let (error, _) = device.refused(at, &FAR, with_secret(&[READ])).await;
        requests.push(error["details"]["requestId"].as_str().unwrap().to_owned());
    }
    requests.dedup();
    assert_eq!(requests.len(), 1, "one request, wherever it lands");
    for watcher in &mut watchers {
        let told = watcher.event("device.pair.requested").await;
        assert_eq!(told["payload"]["requestId"], requests[0].as_str());
    }
    let mut admin = Client::open(at, "/", &[]).await;
    admin.shake(connect(4)).await;
    let request = json!({"requestId": requests[0]});
    admin.done("device.pair.approve", request).await;

    let (_, hello) = device.enter(at, &FAR, with_secret(&[READ])).await;
    let own = with(
        4,
        json!({"deviceToken": hello["auth"]["deviceToken"]}),
        &[READ],
    );
    let mut clients = Vec::new();
    for _ in 0..4 {
        let (client, again) = device.enter(at, &FAR, own.clone()).await;
        assert_eq!(again["auth"]["deviceToken"], hello["auth"]["deviceToken"]);
        clients.push(client);
    }
    let revoke = json!({"deviceId": device.id(), "role": "operator"});
    admin.done("device.token.revoke", revoke).await;
    for client in &mut clients {
        assert_eq!(
            end(client).await,
            Heard::Close(4001, "device removed".into())
        );
    }
    for _ in 0..2 {
        let (error, _) = device.refused(at, &FAR, own.clone()).await;
        assert_eq!(error["details"]["code"], "AUTH_DEVICE_TOKEN_MISMATCH");
    }

    let (error, _) = device.refused(at, &FAR, with_secret(&[READ])).await;
    one.stop().await;
    let mut admin = Client::open(at, "/", &[]).await;
    admin.shake(connect(4)).await;
    let request = json!({"requestId": error["details"]["requestId"]});
    admin.done("device.pair.approve", request).await;
    device.enter(at, &FAR, with_secret(&[READ])).await;
}
