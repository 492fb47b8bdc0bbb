//! Sends of which nobody can say whether they arrived: shown, sent again, settled.

use adapter_loopback::{Answer, Config};
use bus::Bucket;
use proto::v1::{
    Intent, IntentChoice, IntentSettlement, IntentState, UnknownListRequest, UnknownSend,
    intents_client::IntentsClient,
};
use tests::eventually::eventually;
use tonic::Code;

use super::{Account, Admin, Desk, publish};

async fn unknown(intents: &mut IntentsClient<Admin>) -> Vec<UnknownSend> {
    let all = UnknownListRequest::default();
    intents.list_unknown(all).await.unwrap().into_inner().sends
}

/// Waits until so many are to decide about.
async fn to_decide(intents: &IntentsClient<Admin>, count: usize) -> Vec<UnknownSend> {
    eventually("the unknown sends", || {
        let mut intents = intents.clone();
        async move { Some(unknown(&mut intents).await).filter(|found| found.len() == count) }
    })
    .await
}

fn choice(key: &str) -> IntentChoice {
    IntentChoice { key: key.into() }
}

#[tokio::test]
async fn an_unknown_send_is_shown_with_its_text_and_sent_again_when_a_person_says_so() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account.start(&desk).await;
    publish(&desk, "o", "did it arrive?").await;
    drop(account.asked().await);
    let mut intents = IntentsClient::new(desk.door());
    let found = to_decide(&intents, 1).await;
    assert_eq!(
        (found[0].key.as_str(), found[0].text.as_str()),
        ("o.0", "did it arrive?")
    );
    assert_eq!(
        (found[0].state(), found[0].code.as_str()),
        (IntentState::Unknown, "MSG_002")
    );
    assert_eq!(
        found[0].to.as_ref().map(|to| to.conversation.as_str()),
        Some("c")
    );

    let again = intents.resend(choice("o.0")).await.unwrap().into_inner();
    assert_eq!(again.state(), IntentState::Queued);
    let request = account.asked().await;
    assert_eq!(request.text(), "did it arrive?");
    request.answer(Answer::Done("7".into()));
    to_decide(&intents, 0).await;
    let done = intents.resend(choice("o.0")).await.unwrap_err();
    assert_eq!(done.code(), Code::FailedPrecondition);
    assert!(done.message().contains("sent"), "{done}");
    desk.close().await;
}

#[tokio::test]
async fn a_resend_waits_for_the_adapter_and_asking_twice_sends_once() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    let process = account.start(&desk).await;
    publish(&desk, "o", "first").await;
    drop(account.asked().await);
    let mut intents = IntentsClient::new(desk.door());
    to_decide(&intents, 1).await;
    process.cancel();
    intents.resend(choice("o.0")).await.unwrap();
    intents.resend(choice("o.0")).await.unwrap();
    let queued = to_decide(&intents, 1).await;
    assert_eq!(
        queued[0].state(),
        IntentState::Queued,
        "it is still to be seen"
    );
    account.start(&desk).await;
    account.asked().await.answer(Answer::Done("7".into()));
    publish(&desk, "next", "next").await;
    assert_eq!(account.asked().await.text(), "next");
    desk.close().await;
}

#[tokio::test]
async fn what_a_person_has_seen_settles_an_unknown_send() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    account.start(&desk).await;
    for id in ["a", "b"] {
        publish(&desk, id, id).await;
        drop(account.asked().await);
    }
    let mut intents = IntentsClient::new(desk.door());
    to_decide(&intents, 2).await;
    let arrived = IntentSettlement {
        key: "a.0".into(),
        sent: true,
    };
    let settled = intents.settle(arrived.clone()).await.unwrap().into_inner();
    assert_eq!(
        (settled.state(), settled.text.as_str()),
        (IntentState::Sent, "a")
    );
    let lost = IntentSettlement {
        key: "b.0".into(),
        sent: false,
    };
    assert_eq!(
        intents.settle(lost).await.unwrap().into_inner().state(),
        IntentState::Failed
    );
    assert!(unknown(&mut intents).await.is_empty());
    assert_eq!(
        intents.settle(arrived).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    assert_eq!(
        intents.resend(choice("none.0")).await.unwrap_err().code(),
        Code::NotFound
    );
    publish(&desk, "next", "next").await;
    assert_eq!(
        account.asked().await.text(),
        "next",
        "nothing was sent again"
    );
    desk.close().await;
}

#[tokio::test]
async fn a_part_is_sent_again_alone_though_nothing_is_remembered_of_the_others() {
    let desk = Desk::open().await;
    let mut account = Account::new();
    let short = Config {
        max_text_chars: 10,
        ..Config::default()
    };
    account.start_with(&desk, short).await;
    publish(&desk, "o", "one one\n\ntwo two\n\nthree").await;
    account.asked().await.answer(Answer::Done("1".into()));
    drop(account.asked().await);
    account.asked().await.answer(Answer::Done("3".into()));
    let mut intents = IntentsClient::new(desk.door());
    to_decide(&intents, 1).await;
    let bucket = desk.bus.bucket(Bucket::Intents);
    eventually("the last part is written down", || async {
        let (intent, _) = bucket.get::<Intent>("o.2").await.ok()??;
        (intent.state() == IntentState::Sent).then_some(())
    })
    .await;
    for settled in ["o.0", "o.2"] {
        bucket.delete(settled).await.unwrap();
    }
    intents.resend(choice("o.1")).await.unwrap();
    let again = account.asked().await;
    assert_eq!(again.text(), "two two");
    again.answer(Answer::Done("2".into()));
    publish(&desk, "next", "next").await;
    assert_eq!(account.asked().await.text(), "next");
    desk.close().await;
}
