//! Many sockets, and slow ones: nobody else notices.

use std::time::{Duration, Instant};

use proto::{
    subject,
    v1::{Answered, Event, event::What},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tests::eventually::eventually;
use tokio::io::AsyncWriteExt;

use super::*;

/// Sockets that are opened and say nothing more.
const CROWD: usize = 10_000;
/// File handles that the rest of the process needs.
const SPARE: usize = 1000;
/// What the crowd may cost, in bytes: far less than a buffer for each would.
const COST_BYTES: usize = 256 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_idle_sockets_neither_fill_memory_nor_hold_up_a_client() {
    let crowd = CROWD.min(file_handles() - SPARE);
    assert!(
        crowd >= 3000,
        "{crowd} sockets are no crowd; raise the limit of open files"
    );
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let before = resident_bytes();
    let at = gateway.at;
    let mut sockets = Vec::with_capacity(crowd);
    let mut longest = Duration::ZERO;
    for n in 0..crowd {
        let mut socket = TcpStream::connect(at).await.unwrap();
        // Every other one begins a WebSocket; the rest do not even ask.
        if n % 2 == 0 {
            let ask = format!(
                "GET / HTTP/1.1\r\nhost: {at}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            );
            // Refused sockets may be closed already.
            let _ = socket.write_all(ask.as_bytes()).await;
        }
        sockets.push(socket);
        if n % 100 == 0 {
            let asked = Instant::now();
            client.done("health", json!({})).await;
            longest = longest.max(asked.elapsed());
        }
    }
    assert!(
        longest < Duration::from_secs(2),
        "a client waited {longest:?}"
    );
    let cost = resident_bytes().saturating_sub(before);
    assert!(cost < COST_BYTES, "the crowd cost {cost} bytes");
    // Whoever idles makes room: somebody who knows the token gets in while the crowd still stands there.
    eventually("a newcomer to be let in", async || {
        let mut newcomer = Client::try_open(at, "/", &[]).await.ok()?;
        matches!(newcomer.connect(connect(4)).await, Heard::Frame(frame) if frame["ok"] == true)
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_thirty_third_socket_that_has_not_proved_itself_is_refused() {
    let gateway = Gateway::start().await;
    let mut waiting = Vec::new();
    let refused = loop {
        match Client::try_open(gateway.at, "/", &[]).await {
            Ok(client) => waiting.push(client),
            Err(Error::Http(response)) => break response,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(waiting.len() >= 32, "{} waited", waiting.len());
    assert_eq!(refused.status().as_u16(), 503);
    waiting.pop().unwrap().shake(connect(4)).await;
    Client::open(gateway.at, "/", &[]).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_holds_up_nobody() {
    let gateway = Gateway::start_with(|config| config.max_buffered_bytes = 512 * 1024).await;
    let mut fast = gateway.client(4).await;
    let mut slow = gateway.client(4).await;
    // More than the system buffers for a socket, and each needed.
    const EVENTS: usize = 150;
    let text = "x".repeat(200 * 1024);
    for n in 0..EVENTS {
        let event = Event {
            id: format!("e{n}"),
            agent: "main".into(),
            session_key: "webchat:main".into(),
            turn_id: format!("t{n}"),
            what: Some(What::Answered(Answered {
                text: text.clone(),
                ..Answered::default()
            })),
            ..Event::default()
        };
        gateway
            .bus
            .publish(&subject::event(&event), &event.id, &event)
            .await
            .unwrap();
        let told = fast.event("chat").await;
        assert_eq!(told["payload"]["runId"], format!("t{n}").as_str());
    }
    let mut heard = 0;
    let end = loop {
        match slow.next().await {
            Heard::Frame(_) => heard += 1,
            Heard::Close(code, reason) => break (code, reason),
        }
    };
    assert!(heard < EVENTS, "it was closed before it could hear all");
    assert!(matches!(end.0, 1006 | 1008), "{end:?}");
    fast.done("health", json!({})).await;
}

#[tokio::test]
async fn a_small_frame_is_not_held_back_by_a_crowd_of_readers() {
    let gateway = Gateway::start().await;
    let mut readers = Vec::new();
    for _ in 0..200 {
        readers.push(gateway.client(4).await);
    }
    let event = Event {
        id: "e".into(),
        agent: "main".into(),
        session_key: "webchat:main".into(),
        turn_id: "t".into(),
        what: Some(What::Answered(Answered {
            text: "all".into(),
            ..Answered::default()
        })),
        ..Event::default()
    };
    gateway
        .bus
        .publish(&subject::event(&event), &event.id, &event)
        .await
        .unwrap();
    for reader in &mut readers {
        assert_eq!(
            reader.event("chat").await["payload"]["message"]["content"][0]["text"],
            "all"
        );
    }
}

/// File handles that this process may have, after asking for all it can get.
fn file_handles() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    );
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |now| now as usize)
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
