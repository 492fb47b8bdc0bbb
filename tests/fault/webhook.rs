//! A platform that calls: the same update several times, and updates that overtake each other.

use std::time::Instant;

use futures_util::future::join_all;
use serde_json::json;
use tests::{
    chaos::{
        load::{Load, Said},
        round::judged,
        system::System,
        table::Row,
    },
    eventually::eventually,
    platforms::telegram::Webhook,
    stage::text,
};

/// People who write.
const CHATS: i64 = 25;
/// Messages of each of them.
const EACH: usize = 8;
/// Far above what the fake counts itself.
const FIRST_UPDATE: i64 = 5_000_000;

/// Each update is told, told again at once, and once more when all is over.
pub(crate) async fn told_three_times(system: &System) -> Row {
    let (load, chats) = (Load::default(), system.fresh_chats(CHATS));
    let caller = Caller::of(system).await;
    join_all(chats.iter().map(|chat| async {
        for n in 0..EACH {
            load.note(said(*chat, n));
            tokio::join!(caller.tell(*chat, n), caller.tell(*chat, n));
        }
    }))
    .await;
    join_all(chats.iter().map(|chat| async {
        for n in 0..EACH {
            caller.tell(*chat, n).await;
        }
    }))
    .await;
    judged(
        system,
        &load,
        "webhook: each update told three times".into(),
        false,
    )
    .await
}

/// Updates come in another order than their numbers: they are answered in the order in which they came.
pub(crate) async fn told_in_another_order(system: &System) -> Row {
    let (load, chats) = (Load::default(), system.fresh_chats(CHATS));
    let caller = Caller::of(system).await;
    join_all(chats.iter().map(|chat| async {
        for n in [2, 0, 1, 7, 6, 3, 5, 4] {
            load.note(said(*chat, n));
            caller.tell(*chat, n).await;
        }
    }))
    .await;
    judged(
        system,
        &load,
        "webhook: updates overtake each other".into(),
        false,
    )
    .await
}

fn said(chat: i64, n: usize) -> Said {
    Said {
        chat,
        n,
        update_id: update_id(chat, n),
        at: Instant::now(),
    }
}

fn update_id(chat: i64, n: usize) -> i64 {
    FIRST_UPDATE + chat * 100 + i64::try_from(n).expect("a small number")
}

struct Caller {
    webhook: Webhook,
    http: reqwest::Client,
}

impl Caller {
    async fn of(system: &System) -> Self {
        let webhook = eventually("the webhook to be set", || async {
            system.stage.telegram.webhook()
        })
        .await;
        Self {
            webhook,
            http: reqwest::Client::builder()
                .no_proxy()
                .build()
                .expect("a plain HTTP client"),
        }
    }

    /// Calls until the update is taken, as the platform does.
    async fn tell(&self, chat: i64, n: usize) {
        let update = json!({"update_id": update_id(chat, n), "message": {
            "message_id": n + 1,
            "date": 1_790_000_000,
            "chat": {"id": chat, "type": "private", "first_name": "Person"},
            "from": {"id": chat, "is_bot": false, "first_name": "Person"},
            "text": text(chat, n),
        }});
        eventually("the webhook to take an update", || async {
            let call = self.http.post(&self.webhook.url).json(&update);
            let call = call.header("X-Telegram-Bot-Api-Secret-Token", &self.webhook.secret);
            call.send()
                .await
                .ok()
                .filter(|answer| answer.status().is_success())
        })
        .await;
    }
}
