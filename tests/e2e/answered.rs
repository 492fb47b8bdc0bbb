//! 500 messages from 50 chats: each answered exactly once, each chat's answers in order.

use tests::stage::{Hears, Stage, chats};

async fn all_are_answered(hears: Hears) {
    let stage = Stage::set(hears, "").await;
    let gateway = stage.gateway();
    gateway.ready().await;
    let chats = chats(50);
    stage.say(&chats, 0..10);
    stage.answered(&chats, 10).await;
    stage.telegram.wait_confirmed().await;
    assert_eq!(stage.telegram.sent_in_all(), 500);
    assert!(gateway.terminate().success(), "it ends cleanly");
    assert_eq!(
        stage.telegram.sent_in_all(),
        500,
        "nothing was sent again on the way out"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_messages_by_polling() {
    all_are_answered(Hears::Polling).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_messages_by_webhook() {
    all_are_answered(Hears::Webhook).await;
}
