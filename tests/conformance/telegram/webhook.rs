//! What the webhook takes, from whom, and when it says so.

use std::net::SocketAddr;

use adapter_telegram::{Config, Mode, Telegram};
use proto::v1::{ConnectionState, inbound::Body};
use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tests::{
    eventually::{DEADLINE, eventually},
    platforms::telegram::Failure,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{Line, SECRET, text};

const HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

fn call(address: SocketAddr) -> RequestBuilder {
    Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .post(format!("http://{address}/telegram/main"))
}

fn update(id: i64, text: &str) -> Value {
    json!({"update_id": id, "message": {"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"}, "text": text}})
}

/// The status of a call that goes the right way.
async fn post(address: SocketAddr, body: impl Into<reqwest::Body>) -> StatusCode {
    call(address)
        .header(HEADER, SECRET)
        .body(body)
        .send()
        .await
        .unwrap()
        .status()
}

#[tokio::test]
async fn what_telegram_tells_is_heard_before_it_is_answered() {
    let line = Line::open().await;
    let (config, _) = line.webhook(Mode::Webhook);
    let url = config.webhook_url.clone();
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    for n in 0..30 {
        for chat in [11, 12, 13] {
            line.telegram.say(chat, &format!("{chat} {n}"));
        }
    }
    let texts = line.texts(90).await;
    for chat in [11, 12, 13] {
        let own: Vec<_> = texts
            .iter()
            .filter(|text| text.starts_with(&chat.to_string()))
            .cloned()
            .collect();
        assert_eq!(
            own,
            (0..30).map(|n| format!("{chat} {n}")).collect::<Vec<_>>(),
            "in order within a chat"
        );
    }
    line.telegram.wait_confirmed().await;
    let set = &line.telegram.calls("setWebhook")[0].params;
    assert_eq!(
        (&set["url"], &set["secret_token"], &set["max_connections"]),
        (&json!(url), &json!(SECRET), &json!(40))
    );
    assert!(
        set["allowed_updates"]
            .as_array()
            .unwrap()
            .contains(&json!("message_reaction"))
    );
    let state = line
        .connection("connected", |now| now.state() == ConnectionState::Connected)
        .await;
    assert_eq!(state.via, "webhook");
    line.close(adapter).await;
}

#[tokio::test]
async fn who_does_not_know_the_secret_is_not_heard() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    let body = update(1, "let me in").to_string();
    let near = format!("{}x", &SECRET[..SECRET.len() - 1]);
    for said in [
        vec![],
        vec![""],
        vec![" "],
        vec!["wrong"],
        vec![near.as_str()],
        vec![&SECRET[1..]],
        vec![SECRET, SECRET],
        vec![SECRET, "wrong"],
        vec!["wrong", SECRET],
    ] {
        let request = said.iter().fold(call(address), |request, secret| {
            request.header(HEADER, *secret)
        });
        let status = request.body(body.clone()).send().await.unwrap().status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{said:?}");
    }
    // They are turned away before anything of theirs is read.
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket
        .write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n")
        .await
        .unwrap();
    assert!(answer(&mut socket).await.starts_with("HTTP/1.1 401"));
    line.nothing_more(7).await;
    line.close(adapter).await;
}

#[tokio::test]
async fn too_much_is_not_read() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    let stated = format!(
        "POST / HTTP/1.1\r\nHost: x\r\n{HEADER}: {SECRET}\r\nContent-Length: 1048577\r\n\r\n"
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(stated.as_bytes()).await.unwrap();
    assert!(
        answer(&mut socket).await.starts_with("HTTP/1.1 413"),
        "refused by what it says it will send"
    );

    let unstated = format!(
        "POST / HTTP/1.1\r\nHost: x\r\n{HEADER}: {SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n110000\r\n"
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(unstated.as_bytes()).await.unwrap();
    // The other side may have hung up before all of it is written.
    let _ = socket.write_all(&vec![b'x'; 0x0011_0000]).await;
    assert!(
        answer(&mut socket).await.starts_with("HTTP/1.1 413"),
        "refused by what it sends"
    );
    line.nothing_more(7).await;
    line.close(adapter).await;
}

#[tokio::test]
async fn who_dawdles_is_let_go() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: x\r\n{HEADER}: {SECRET}\r\nContent-Length: 100\r\n\r\n{{\"upd"
    );
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut socket).await.starts_with("HTTP/1.1 408"));
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"POST / HT").await.unwrap();
    let said = answer(&mut socket).await;
    assert!(
        said.is_empty() || said.starts_with("HTTP/1.1 408"),
        "headers that never end: {said}"
    );
    line.nothing_more(7).await;
    line.close(adapter).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_kept_and_not_asked_for_again() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    for odd in [
        &b"no json"[..],
        b"",
        b"{\"update_id\":5",
        b"\xff\xfe",
        b"[1]",
    ] {
        assert_eq!(post(address, odd.to_vec()).await, StatusCode::OK);
        let heard = line.heard().await;
        assert!(matches!(heard.body, Some(Body::Unknown(_))));
        assert_eq!(heard.raw, odd);
    }
    let latin = b"{\"update_id\":6,\"message\":{\"message_id\":1,\"chat\":{\"id\":7},\"text\":\"caf\xe9\"}}";
    assert_eq!(post(address, latin.to_vec()).await, StatusCode::OK);
    assert_eq!(text(&line.heard().await), "caf\u{fffd}");
    line.close(adapter).await;
}

#[tokio::test]
async fn an_update_told_twice_is_the_same_event() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    let body = update(9_000_000_001, "once").to_string();
    for _ in 0..2 {
        assert_eq!(post(address, body.clone()).await, StatusCode::OK);
    }
    let heard = line.heard().await;
    assert_eq!(heard.dedupe_key, "telegram:main:9000000001");
    assert_eq!(heard.id, proto::id::of_event(&heard.dedupe_key));
    line.nothing_more(7).await;
    line.close(adapter).await;
}

#[tokio::test]
async fn a_later_message_does_not_overtake_one_whose_file_is_being_fetched() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    line.telegram.put_file("slow", vec![1; 10]);
    line.telegram.fail_next("getFile", Failure::Status(502));
    let first = json!({"update_id": 1, "message": {"message_id": 1, "date": 1, "chat": {"id": 7, "type": "private"},
        "document": {"file_id": "slow"}, "caption": "first"}});
    let first = tokio::spawn(post(address, first.to_string()));
    line.telegram.wait_calls("getFile", 1).await;
    assert_eq!(
        post(address, update(2, "second").to_string()).await,
        StatusCode::OK
    );
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    assert_eq!(line.texts(2).await, ["first", "second"]);
    line.close(adapter).await;
}

#[tokio::test]
async fn telegram_is_asked_to_come_again_while_the_bus_is_away() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    line.telegram.say(7, "before");
    assert_eq!(line.texts(1).await, ["before"]);

    line.nats.kill();
    line.telegram.say(7, "during");
    let away = call(address)
        .header(HEADER, SECRET)
        .body(update(2_000, "also").to_string())
        .send()
        .await
        .unwrap();
    assert_eq!(away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(away.headers()["retry-after"], "5");
    assert_eq!(line.telegram.waiting(), 1);

    line.nats.restart();
    assert_eq!(line.texts(1).await, ["during"]);
    line.telegram.wait_confirmed().await;
    assert!(
        line.telegram
            .deliveries()
            .iter()
            .any(|delivery| delivery.status == 503)
    );
    line.close(adapter).await;
}

#[tokio::test]
async fn without_a_good_secret_it_does_not_start() {
    let line = Line::open().await;
    let (good, _) = line.webhook(Mode::Webhook);
    for secret in ["", "short", "sixteen chars, not", "ümlauts-are-not-allowed"] {
        let config = Config {
            webhook_secret: secret.into(),
            ..good.clone()
        };
        let refusal = Telegram::new("main", line.media(), config)
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains("telegram.main.webhook_secret") && refusal.contains("16"),
            "{refusal}"
        );
        assert!(
            secret.is_empty() || !refusal.contains(secret),
            "a secret is not shown"
        );
    }
}

#[tokio::test]
async fn a_stopped_adapter_listens_no_more() {
    let line = Line::open().await;
    let (config, address) = line.webhook(Mode::Webhook);
    let adapter = line.run(config);
    line.telegram.wait_webhook(true).await;
    line.stop.cancel();
    adapter.await.unwrap().unwrap();
    eventually("a closed door", || async {
        TcpStream::connect(address).await.is_err().then_some(())
    })
    .await;
}

/// What the other side says, or nothing if it hangs up without a word.
async fn answer(socket: &mut TcpStream) -> String {
    let mut said = vec![0; 1024];
    let read = timeout(DEADLINE, socket.read(&mut said))
        .await
        .expect("an answer or an end");
    String::from_utf8_lossy(&said[..read.unwrap_or_default()]).into_owned()
}
