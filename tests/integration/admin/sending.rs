//! Messages of an operator: now, later, never early, never twice.

use adapter_loopback::Answer;
use chassis::clock::now_ms;
use proto::v1::{
    ScheduleChoice, SchedulesReply, SchedulesRequest, SendRequest, messages_client::MessagesClient,
    schedules_client::SchedulesClient,
};
use tests::eventually::eventually;
use tonic::Code;

use super::{Account, Admin, Desk, address, connection, is_connected};

fn message(key: &str, text: &str, at_ms: i64) -> SendRequest {
    SendRequest {
        to: Some(address("c")),
        text: text.into(),
        idempotency_key: key.into(),
        at_ms,
        ..SendRequest::default()
    }
}

async fn schedules(client: &mut SchedulesClient<Admin>) -> SchedulesReply {
    client
        .list(SchedulesRequest::default())
        .await
        .unwrap()
        .into_inner()
}

#[tokio::test]
async fn a_message_is_sent_once_however_often_the_same_key_asks() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    let mut messages = MessagesClient::new(desk.door());
    let first = messages
        .send(message("k", "hello", 0))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((first.id.as_str(), first.duplicate), ("send-k", false));
    assert!(
        messages
            .send(message("k", "hello", 0))
            .await
            .unwrap()
            .into_inner()
            .duplicate
    );
    messages.send(message("l", "more", 0)).await.unwrap();
    for expected in ["hello", "more"] {
        let request = account.asked().await;
        assert_eq!(
            (request.text(), request.conversation.as_str()),
            (expected, "c")
        );
        request.answer(Answer::Done(expected.into()));
    }
    let mut nowhere = message("n", "hello", 0);
    nowhere.to.get_or_insert_default().account = "other".into();
    let refused = messages.send(nowhere).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let large = messages
        .send(message("m", &"x".repeat(6 << 20), 0))
        .await
        .unwrap_err();
    assert!(large.message().starts_with("MSG_003: "), "{large}");
    desk.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_for_later_survives_a_restart_and_is_never_early() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    let (bus, stop) = (desk.bus.clone(), desk.stop.clone());
    tokio::spawn(async move { bus::move_due(&bus, &stop).await });
    let (mut messages, at_ms) = (MessagesClient::new(desk.door()), now_ms() + 4000);
    messages.send(message("k", "in time", at_ms)).await.unwrap();
    desk.nats.restart();
    let mut client = SchedulesClient::new(desk.door());
    let listed = eventually("the schedules", || {
        let mut client = client.clone();
        async move { client.list(SchedulesRequest::default()).await.ok() }
    });
    let listed = listed.await.into_inner();
    if now_ms() < at_ms {
        assert_eq!(
            (listed.total, listed.schedules[0].text.as_str()),
            (1, "in time")
        );
    }
    let request = account.asked().await;
    assert!(now_ms() >= at_ms, "{} ms early", at_ms - now_ms());
    assert_eq!(request.text(), "in time");
    request.answer(Answer::Done("1".into()));
    eventually("no schedule", || {
        let mut client = client.clone();
        async move {
            (client
                .list(SchedulesRequest::default())
                .await
                .ok()?
                .into_inner()
                .total
                == 0)
                .then_some(())
        }
    })
    .await;
    let again = message("k", "in time", now_ms() + 3_600_000);
    assert!(messages.send(again).await.unwrap().into_inner().duplicate);
    assert_eq!(schedules(&mut client).await.total, 0);
    desk.close().await;
}

#[tokio::test]
async fn what_was_to_go_later_goes_now_and_only_now_when_asked_again_without_a_time() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    let mut messages = MessagesClient::new(desk.door());
    let later = message("k", "later", now_ms() + 3_600_000);
    messages.send(later).await.unwrap();
    let now = messages.send(message("k", "now", 0)).await.unwrap();
    assert!(!now.into_inner().duplicate);
    let request = account.asked().await;
    assert_eq!(request.text(), "now");
    request.answer(Answer::Done("1".into()));
    let mut client = SchedulesClient::new(desk.door());
    assert_eq!(schedules(&mut client).await.total, 0);
    desk.close().await;
}

#[tokio::test]
async fn schedules_are_listed_by_their_time_and_a_cancelled_one_is_gone() {
    let desk = Desk::open().await;
    let account = Account::new();
    account.start(&desk).await;
    connection(&desk, "connected", is_connected).await;
    let (mut messages, soon) = (MessagesClient::new(desk.door()), now_ms() + 3_600_000);
    messages
        .send(message("b", "second", soon + 60_000))
        .await
        .unwrap();
    messages.send(message("a", "first", soon)).await.unwrap();
    let mut client = SchedulesClient::new(desk.door());
    let listed = schedules(&mut client).await;
    let texts: Vec<_> = listed
        .schedules
        .iter()
        .map(|one| (one.id.as_str(), one.text.as_str()))
        .collect();
    assert_eq!(texts, [("send-a", "first"), ("send-b", "second")]);
    assert_eq!((listed.schedules[0].at_ms, listed.total), (soon, 2));
    assert_eq!(listed.schedules[0].to, Some(address("c")));

    // The same key at another time moves it.
    messages
        .send(message("a", "first", soon + 120_000))
        .await
        .unwrap();
    assert_eq!(schedules(&mut client).await.schedules[0].id, "send-b");
    let choice = || ScheduleChoice {
        id: "send-a".into(),
    };
    client.cancel(choice()).await.unwrap();
    assert_eq!(
        client.cancel(choice()).await.unwrap_err().code(),
        Code::NotFound
    );
    assert_eq!(schedules(&mut client).await.total, 1);
    desk.close().await;
}
