//! A gateway on which something of everything has happened, and a browser that looks at it.

use bus::{Bucket, Bus};
use chassis::clock::now_ms;
use proto::{
    id, subject,
    v1::{
        Address, Event, Inbound, Intent, IntentState, Outbound, PairingEntry, Text, Unsure,
        event::What, outbound::Action,
    },
};
use serde_json::json;
use tests::{
    browser::{Browser, Screen},
    eventually::eventually,
    gateway::Gateway,
    stage::{GATEWAY_TOKEN, Hears, Stage},
};

/// A gateway on which something of everything has happened.
pub(super) struct Scene {
    pub(super) stage: Stage,
    pub(super) gateway: Gateway,
    pub(super) bus: Bus,
    pub(super) browser: Browser,
}

impl Scene {
    /// `None`, said aloud, where there is no browser.
    pub(super) async fn set() -> Option<Self> {
        let browser = Browser::start().await?;
        let stage = Stage::set(Hears::Polling, "").await;
        let gateway = stage.gateway();
        gateway.ready().await;
        let bus = Bus::connect(stage.nats.settings()).await.unwrap();
        stage.telegram.say(4711, "hello there");
        stage.telegram.wait_sent(4711, 1).await;
        Some(Self {
            stage,
            gateway,
            bus,
            browser,
        })
    }

    /// Opens `view` with the token, as the address that the gateway prints does.
    pub(super) async fn open(&self, fragment: &str, screen: Screen) {
        let url = format!("{}/#token={GATEWAY_TOKEN}&{fragment}", self.gateway.http());
        self.browser.open(&url, screen).await;
        self.browser
            .until("document.body?.dataset.connection === 'online'")
            .await;
    }

    /// Goes to a view without a reload.
    pub(super) async fn go(&self, fragment: &str) {
        self.browser
            .eval(&format!(
                "void (location.hash = {})",
                json!(format!("#{fragment}"))
            ))
            .await;
    }

    /// A message that nobody can read: it is given up at once.
    pub(super) async fn dies(&self, n: u32) {
        let subject = subject::inbound(
            self.bus.partitions(),
            proto::v1::Priority::Normal,
            "telegram",
            &format!("telegram:dm:{n}"),
        );
        // Without an address nobody knows whose it is.
        let letter = Inbound {
            id: id::of_event(&format!("letter {n}")),
            ..Inbound::default()
        };
        self.bus
            .publish(&subject, &letter.id, &letter)
            .await
            .unwrap();
        let sequence = u64::from(n);
        eventually("the letter to be given up", || async {
            (self.bus.stream_state("DEAD").await.ok()?.last >= sequence).then_some(())
        })
        .await;
    }

    /// Somebody asks to be let in.
    pub(super) async fn asks(&self, code: &str, name: &str) {
        let entry = PairingEntry {
            code: code.into(),
            platform: "telegram".into(),
            account: "main".into(),
            sender_id: format!("id-{code}"),
            sender_name: name.into(),
            asked_at_ms: now_ms(),
            expires_at_ms: now_ms() + 3_600_000,
            decided_at_ms: 0,
        };
        self.bus
            .bucket(Bucket::People)
            .put(&format!("ask.{code}"), &entry)
            .await
            .unwrap();
    }

    /// A send of which nobody knows.
    pub(super) async fn unsure(&self) -> String {
        let to = Address {
            platform: "telegram".into(),
            account: "main".into(),
            conversation: "4711".into(),
            ..Address::default()
        };
        let outbound = Outbound {
            id: "cafe-0".into(),
            to: Some(to.clone()),
            action: Some(Action::Text(Text {
                markdown: "Your table is booked for eight.".into(),
                ..Text::default()
            })),
            ..Outbound::default()
        };
        let mut intent = Intent {
            to: Some(to.clone()),
            at_ms: now_ms(),
            why: "the line broke while it was sent".into(),
            attempts: 1,
            chunks: 1,
            outbound: Some(outbound),
            ..Intent::default()
        };
        intent.set_state(IntentState::Unknown);
        let key = id::of_chunk("cafe-0", 0);
        self.bus
            .bucket(Bucket::Intents)
            .put(&key, &intent)
            .await
            .unwrap();
        let event = Event {
            id: "cafe-0.unsure".into(),
            at_ms: now_ms(),
            session_key: "telegram:dm:4711".into(),
            what: Some(What::Unsure(Unsure {
                outbound_id: "cafe-0".into(),
                to: Some(to),
                why: "the line broke".into(),
                chunks: 1,
                ..Unsure::default()
            })),
            ..Event::default()
        };
        self.bus
            .publish(&subject::event(&event), &event.id, &event)
            .await
            .unwrap();
        key
    }

    pub(super) async fn badge(&self, view: &str, n: &str) {
        let badge = format!("document.querySelector('#nav a[href=\"#view={view}\"] .badge')");
        self.browser
            .until(&format!(
                "{badge} && !{badge}.hidden && {badge}.textContent === '{n}'"
            ))
            .await;
    }
}
