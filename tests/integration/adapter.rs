//! The adapter's runner on the loopback platform: nothing lost, nothing shown twice, all in order.

use std::time::{Duration, Instant};

use ::adapter::{OnUnknown, Streaming, media::MediaStore};
use adapter_loopback::{Answer, Call, Config, Platform, Request, Update};
use bus::{Bucket, Bus, Delivery, Outcome, Source};
use futures_util::{StreamExt, stream::BoxStream};
use proto::{
    id, subject,
    v1::{
        Address, Connection, ConnectionState, Delta, DeltaKind, Event, Inbound, Outbound, Priority,
        Text, event::What, outbound,
    },
};
use tests::{
    eventually::{DEADLINE, eventually},
    servers::Nats,
};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// A bus, a platform, and what it is asked.
struct World {
    nats: Nats,
    bus: Bus,
    platform: Platform,
    asked: mpsc::Receiver<Request>,
    media: tempfile::TempDir,
}

/// An adapter that runs as if in a process of its own.
struct Process {
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

impl World {
    async fn new() -> Self {
        let nats = Nats::start();
        let bus = Bus::connect(nats.settings()).await.unwrap();
        let (platform, asked) = Platform::new("secret");
        Self {
            nats,
            bus,
            platform,
            asked,
            media: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts an adapter that need not wait for anybody to lose the account.
    async fn start(&self, config: Config) -> Process {
        let settings = bus::Settings {
            exclusive: true,
            ..self.nats.settings()
        };
        self.start_on(settings, config).await
    }

    async fn start_on(&self, settings: bus::Settings, config: Config) -> Process {
        let bus = Bus::connect(settings).await.unwrap();
        let stop = CancellationToken::new();
        let ctx = chassis::Context::new(bus, stop.clone());
        let (media, platform) = (
            MediaStore::new(self.media.path(), 1000),
            self.platform.clone(),
        );
        let task = tokio::spawn(async move {
            adapter_loopback::run(ctx, "main", media, config, platform).await
        });
        Process { stop, task }
    }

    async fn publish(&self, conversation: &str, id: &str, text: &str) {
        self.publish_all(outbound(conversation, id, text)).await;
    }

    async fn publish_all(&self, outbound: Outbound) {
        let to = outbound.to.clone().unwrap();
        let subject = subject::outbound(&to, Priority::Normal);
        self.bus
            .publish(&subject, &outbound.id, &outbound)
            .await
            .unwrap();
    }

    /// The next request that is more than typing.
    async fn asked(&mut self) -> Request {
        loop {
            let request = timeout(DEADLINE, self.asked.recv())
                .await
                .expect("a request")
                .unwrap();
            if request.call != Call::Type {
                return request;
            }
        }
    }

    /// Takes the next request, does it, and returns its text.
    async fn done(&mut self) -> String {
        let request = self.asked().await;
        let text = request.text().to_owned();
        request.answer(Answer::Done(format!("id of {text}")));
        text
    }

    async fn events(&self) -> BoxStream<'static, What> {
        let events = self.bus.follow::<Event>("EVENT", 0).await.unwrap();
        events
            .filter_map(|record| async move { record.message?.what })
            .boxed()
    }

    async fn connection(&self, wanted: ConnectionState) -> Connection {
        let bucket = self.bus.bucket(Bucket::Connections);
        let bucket = &bucket;
        eventually(wanted.as_str_name(), || async {
            let (connection, _) = bucket.get::<Connection>("loopback.main").await.ok()??;
            (connection.state() == wanted).then_some(connection)
        })
        .await
    }

    /// Takes what comes in, as a router would.
    async fn router(&self) -> mpsc::Receiver<Inbound> {
        let settings = bus::Settings {
            exclusive: true,
            ..self.nats.settings()
        };
        let bus = Bus::connect(settings).await.unwrap();
        let (tell, told) = mpsc::channel(8);
        tokio::spawn(async move {
            let source = Source::partitions(&bus, "IN", "test");
            let lane = |inbound: &Inbound| inbound.session_key.clone();
            let take = |delivery: Delivery<Inbound>| {
                let tell = tell.clone();
                async move {
                    tell.send(delivery.message).await.ok();
                    Outcome::Ack
                }
            };
            bus::consume(&bus, source, &CancellationToken::new(), lane, take).await
        });
        told
    }

    async fn all_forgotten(&self) {
        eventually("the platform to forget it", || async {
            (self.platform.unheard() == 0).then_some(())
        })
        .await;
    }
}

impl Process {
    /// Ends as with SIGKILL: nothing more is done or written.
    async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }

    async fn stop(self) {
        self.stop.cancel();
        timeout(DEADLINE, self.task)
            .await
            .expect("stops")
            .unwrap()
            .unwrap();
    }
}

fn config() -> Config {
    Config {
        token: "secret".into(),
        ..Config::default()
    }
}

fn address(conversation: &str) -> Address {
    let (platform, account) = ("loopback".into(), "main".into());
    Address {
        platform,
        account,
        conversation: conversation.into(),
        ..Address::default()
    }
}

fn outbound(conversation: &str, id: &str, text: &str) -> Outbound {
    let text = Text {
        markdown: text.into(),
        ..Text::default()
    };
    Outbound {
        id: id.into(),
        to: Some(address(conversation)),
        action: Some(outbound::Action::Text(text)),
        session_key: format!("loopback:dm:{conversation}"),
        ..Outbound::default()
    }
}

fn update(id: &str, text: &str) -> Update {
    let (id, text) = (id.into(), text.into());
    Update {
        id,
        conversation: "c".into(),
        sender: "anna".into(),
        text,
        ..Update::default()
    }
}

async fn next<T>(
    what: &str,
    events: &mut BoxStream<'static, What>,
    pick: fn(What) -> Option<T>,
) -> T {
    let find = async {
        loop {
            if let Some(found) = events.next().await.and_then(pick) {
                return found;
            }
        }
    };
    timeout(DEADLINE, find)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

async fn said(router: &mut mpsc::Receiver<Inbound>) -> Inbound {
    timeout(DEADLINE, router.recv())
        .await
        .expect("an inbound")
        .unwrap()
}

#[tokio::test]
async fn an_update_told_twice_is_stored_once_and_only_then_forgotten() {
    let world = World::new().await;
    for (id, text) in [("1", "hi"), ("1", "hi"), ("2", "there")] {
        world.platform.say(update(id, text));
    }
    let process = world.start(config()).await;
    let mut router = world.router().await;
    let first = said(&mut router).await;
    assert_eq!(first.id, id::of_event("loopback:main:1"));
    assert!(first.received_at_ms > 0);
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:2");
    world.all_forgotten().await;
    assert_eq!(world.bus.stream_state("IN").await.unwrap().last, 2);
    let connection = world.connection(ConnectionState::Connected).await;
    assert_eq!(
        (connection.via.as_str(), connection.display_name.as_str()),
        ("events", "@loopback")
    );
    process.stop().await;
    world.connection(ConnectionState::Disconnected).await;
}

#[tokio::test]
async fn what_is_said_while_the_bus_is_away_waits_at_the_platform() {
    let world = World::new().await;
    let process = world.start(config()).await;
    world.connection(ConnectionState::Connected).await;
    world.nats.kill();
    world.platform.say(update("1", "anybody?"));
    assert_eq!(world.platform.unheard(), 1);
    world.nats.restart();
    let mut router = world.router().await;
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:1");
    world.all_forgotten().await;
    process.stop().await;
}

#[tokio::test]
async fn a_message_whose_sender_crashed_is_held_and_told_and_the_next_one_goes() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world.publish("c", "first", "first").await;
    world.publish("c", "second", "second").await;
    let request = world.asked().await;
    assert_eq!(request.text(), "first");
    process.crash().await;
    request.answer(Answer::Done("1".into()));

    let process = world.start(config()).await;
    assert_eq!(
        world.done().await,
        "second",
        "the first may have arrived and is not repeated"
    );
    let unsure = next("doubt", &mut events, |what| match what {
        What::Unsure(unsure) => Some(unsure),
        _ => None,
    });
    assert_eq!(unsure.await.outbound_id, "first");
    process.stop().await;
}

#[tokio::test]
async fn a_message_whose_sender_crashed_is_sent_again_if_the_account_wants_that() {
    let mut world = World::new().await;
    let config = Config {
        on_unknown: OnUnknown::Resend,
        ..config()
    };
    let process = world.start(config.clone()).await;
    world.publish("c", "first", "first").await;
    world.publish("c", "second", "second").await;
    let request = world.asked().await;
    process.crash().await;
    drop(request);

    let process = world.start(config).await;
    assert_eq!(world.done().await, "first");
    assert_eq!(world.done().await, "second");
    process.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_not_repeated() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world.publish("c", "first", "first").await;
    world.publish("c", "second", "second").await;
    drop(world.asked().await);
    assert_eq!(world.done().await, "second");
    let outcome = next("doubt", &mut events, |what| match what {
        What::Unsure(unsure) => Some(unsure),
        _ => None,
    });
    assert_eq!(outcome.await.why, "delivery unknown: the answer was lost");
    process.stop().await;
}

#[tokio::test]
async fn a_limited_message_waits_as_long_as_the_platform_says() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    world.publish("c", "first", "first").await;
    let request = world.asked().await;
    let refused = Instant::now();
    request.answer(Answer::TooFast { wait_s: 2 });
    assert_eq!(world.done().await, "first");
    assert!(refused.elapsed() >= Duration::from_secs(2));
    process.stop().await;
}

#[tokio::test]
async fn a_refused_message_is_a_dead_letter_with_its_reason_and_can_be_replayed() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world.publish("c", "first", "first").await;
    world
        .asked()
        .await
        .answer(Answer::Refused("too rude".into()));
    let dead = next("a dead letter", &mut events, |what| match what {
        What::Dead(dead) => Some(dead),
        _ => None,
    });
    assert_eq!(dead.await.reason, "rejected: too rude");
    let mut letters = world.bus.follow::<Outbound>("DEAD", 0).await.unwrap();
    let letter = timeout(DEADLINE, letters.next())
        .await
        .expect("a dead letter")
        .unwrap();
    assert_eq!(letter.message.unwrap().id, "first");

    // An operator replays it, under another id of the bus.
    let again = outbound("c", "first", "first");
    let subject = subject::outbound(&address("c"), Priority::Normal);
    world
        .bus
        .publish(&subject, "replay-first", &again)
        .await
        .unwrap();
    assert_eq!(world.done().await, "first");
    process.stop().await;
}

#[tokio::test]
async fn an_expired_message_is_not_sent() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    let mut events = world.events().await;
    world
        .publish_all(Outbound {
            expires_at_ms: 1,
            ..outbound("c", "late", "late")
        })
        .await;
    world.publish("c", "fresh", "fresh").await;
    assert_eq!(world.done().await, "fresh");
    let dead = next("a dead letter", &mut events, |what| match what {
        What::Dead(dead) => Some(dead),
        _ => None,
    });
    assert_eq!(dead.await.reason, "expired");
    process.stop().await;
}

#[tokio::test]
async fn a_conversation_keeps_its_order_over_retries_and_holds_up_no_other() {
    let mut world = World::new().await;
    let process = world.start(config()).await;
    for id in ["a1", "a2", "b1", "b2", "b3"] {
        world.publish(&id[..1], id, id).await;
    }
    let mut seen = Vec::new();
    let mut busy = 2;
    while seen
        .iter()
        .filter(|text: &&String| text.as_str() == "a2")
        .count()
        == 0
    {
        let request = world.asked().await;
        seen.push(request.text().to_owned());
        if request.text() == "a1" && busy > 0 {
            busy -= 1;
            request.answer(Answer::Busy);
        } else {
            let id = request.text().to_owned();
            request.answer(Answer::Done(id));
        }
    }
    let of = |letter: char| {
        seen.iter()
            .filter(|text| text.starts_with(letter))
            .collect::<Vec<_>>()
    };
    assert_eq!(of('a'), ["a1", "a1", "a1", "a2"]);
    assert_eq!(
        of('b'),
        ["b1", "b2", "b3"],
        "the other conversation was done before"
    );
    process.stop().await;
}

#[tokio::test]
async fn a_long_text_arrives_in_pieces_and_each_is_told() {
    let mut world = World::new().await;
    let process = world
        .start(Config {
            max_text_chars: 20,
            ..config()
        })
        .await;
    let mut events = world.events().await;
    world
        .publish(
            "c",
            "long",
            "first words here\n\nsecond words\n\nthird words are here",
        )
        .await;
    assert_eq!(world.done().await, "first words here");
    assert_eq!(world.done().await, "second words");
    assert_eq!(world.done().await, "third words are here");
    for n in 0..3 {
        let sent = next("a chunk", &mut events, |what| match what {
            What::Sent(sent) => Some(sent),
            _ => None,
        });
        let sent = sent.await;
        assert_eq!((sent.chunk, sent.chunks), (n, 3));
        assert!(sent.platform_message_id.starts_with("id of "));
    }
    process.stop().await;
}

#[tokio::test]
async fn two_processes_with_one_token_never_poll_together() {
    let world = World::new().await;
    let (first, second) = tokio::join!(
        world.start_on(world.nats.settings(), config()),
        world.start_on(world.nats.settings(), config()),
    );
    eventually("one to poll", || async {
        (world.platform.polls() == 1).then_some(())
    })
    .await;
    world.platform.say(update("1", "hi"));
    let mut router = world.router().await;
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:1");
    first.stop().await;
    world.platform.say(update("2", "still there?"));
    assert_eq!(said(&mut router).await.dedupe_key, "loopback:main:2");
    second.stop().await;
    assert_eq!(world.platform.most_polls(), 1);
}

#[tokio::test]
async fn refused_credentials_are_a_state_that_says_what_happens_next() {
    let world = World::new().await;
    let process = world
        .start(Config {
            token: "wrong".into(),
            ..config()
        })
        .await;
    let connection = world.connection(ConnectionState::PermanentlyFailed).await;
    assert!(
        connection.error.contains("the token is not known"),
        "{}",
        connection.error
    );
    assert!(
        connection.error.contains("every 5 minutes"),
        "{}",
        connection.error
    );
    process.stop().await;
}

/// Streams the beginning of the answer `turn-0`, and waits for what is shown of it.
async fn stream_beginning(world: &mut World) -> String {
    let delta = |seq, kind: DeltaKind, text: &str| Delta {
        turn_id: "turn".into(),
        session_key: "loopback:dm:c".into(),
        seq,
        text: text.into(),
        reply_to: Some(address("c")),
        kind: kind.into(),
        ..Delta::default()
    };
    let subject = subject::delta(&address("c"), "loopback:dm:c");
    world
        .bus
        .tell(&subject, &delta(1, DeltaKind::Start, ""))
        .await
        .unwrap();
    let typing = timeout(DEADLINE, world.asked.recv())
        .await
        .expect("typing")
        .unwrap();
    assert_eq!(typing.call, Call::Type);
    typing.answer(Answer::Done(String::new()));
    world
        .bus
        .tell(&subject, &delta(2, DeltaKind::Text, "Once upon"))
        .await
        .unwrap();
    let shown = world.asked().await;
    let text = shown.text().to_owned();
    shown.answer(Answer::Done("preview".into()));
    text
}

#[tokio::test]
async fn an_answer_grows_in_one_message() {
    let mut world = World::new().await;
    let process = world
        .start(Config {
            streaming: Streaming::Edit,
            ..config()
        })
        .await;
    // An account's first message proves to the process that it owns the account.
    world.publish("c", "hello", "hello").await;
    assert_eq!(world.done().await, "hello");
    assert_eq!(stream_beginning(&mut world).await, "Once upon …");
    let whole = Outbound {
        turn_id: "turn".into(),
        ..outbound("c", &id::of_outbound("turn", 0), "Once upon a time")
    };
    world.publish_all(whole).await;
    let request = world.asked().await;
    let change = Call::Change {
        message_id: "preview".into(),
        text: "Once upon a time".into(),
    };
    assert_eq!(request.call, change);
    request.answer(Answer::Done("preview".into()));
    process.stop().await;
}

#[tokio::test]
async fn a_new_owner_finishes_the_message_that_the_old_one_began_to_show() {
    let mut world = World::new().await;
    let config = Config {
        streaming: Streaming::Edit,
        ..config()
    };
    let process = world.start(config.clone()).await;
    world.publish("c", "hello", "hello").await;
    assert_eq!(world.done().await, "hello");
    stream_beginning(&mut world).await;
    let key = format!("{}.p", id::of_outbound("turn", 0));
    let intents = world.bus.bucket(Bucket::Intents);
    let (intents, key) = (&intents, key.as_str());
    eventually("the preview to be known", || async {
        let (intent, _) = intents.get::<proto::v1::Intent>(key).await.ok()??;
        (intent.platform_message_id == "preview").then_some(())
    })
    .await;
    process.crash().await;

    let process = world.start(config).await;
    let whole = Outbound {
        turn_id: "turn".into(),
        ..outbound("c", &id::of_outbound("turn", 0), "The end")
    };
    world.publish_all(whole).await;
    let request = world.asked().await;
    assert_eq!(
        request.call,
        Call::Change {
            message_id: "preview".into(),
            text: "The end".into()
        }
    );
    // Somebody has removed it meanwhile: the answer goes as a message of its own.
    request.answer(Answer::Refused("no such message".into()));
    let request = world.asked().await;
    assert_eq!(
        request.call,
        Call::Say {
            text: "The end".into(),
            reply_to: String::new()
        }
    );
    request.answer(Answer::Done("9".into()));
    process.stop().await;
}
