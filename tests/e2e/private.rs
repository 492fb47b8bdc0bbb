//! `openclaw gateway` with servers of its own: whatever dies, each message is answered once and in order.

use std::{collections::HashSet, fs, path::Path};

use bus::{Bucket, Bus};
use proto::v1::{Intent, IntentState};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tests::{
    eventually::eventually,
    gateway::Gateway,
    stage::{Fakes, Hears, answer, chats},
};

/// Messages of each chat.
const EACH: usize = 10;

pub(crate) fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("gateway-")
        .tempdir()
        .expect("temporary folder")
}

/// The process that serves from the gateway's folder `name`.
fn server(gateway: &Gateway, name: &str) -> i32 {
    let id = fs::read_to_string(gateway.folder().join(name).join("pid")).unwrap_or_default();
    id.parse().unwrap_or_else(|_| panic!("{name} runs: `{id}`"))
}

/// Command lines of the processes that work in `folder` or were started for it.
fn processes(folder: &Path) -> Vec<String> {
    let all = fs::read_dir("/proc")
        .expect("processes")
        .filter_map(Result::ok);
    let works = all.filter_map(|process| {
        let line = fs::read(process.path().join("cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let place = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        (line.contains(&*folder.to_string_lossy()) || place.starts_with(folder)).then_some(line)
    });
    works.collect()
}

/// Has fifty people write, half of it before and half after a server is killed.
async fn heals(name: &str) {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let gateway = fakes.gateway();
    gateway.ready().await;
    let chats = chats(50);
    let before = server(&gateway, name);
    fakes.say(&chats, 0..EACH / 2);
    fakes.telegram.wait_sent_in_all(20).await;
    kill_process(Pid::from_raw(before).expect("a process id"), Signal::KILL).expect("it runs");
    fakes.say(&chats, EACH / 2..EACH);
    fakes.answered(&chats, EACH).await;
    fakes.telegram.wait_confirmed().await;
    assert_ne!(server(&gateway, name), before, "{name} was started again");
    assert_eq!(fakes.telegram.repeated(), []);
    assert!(gateway.terminate().success(), "it ends cleanly");
    assert_eq!(
        processes(gateway.folder()),
        [""; 0],
        "nobody is left behind"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_bus_is_started_again_and_nothing_is_lost() {
    heals("nats").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_redis_is_started_again_and_nothing_is_lost() {
    heals("redis").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_goes_on_where_it_was() {
    let (fakes, folder) = (Fakes::set(Hears::Polling, "").await, folder());
    let chats = chats(50);
    let first = fakes.gateway_in(folder.path(), &[]);
    first.ready().await;
    fakes.say(&chats, 0..EACH / 2);
    fakes.telegram.wait_sent_in_all(60).await;
    first.kill9();
    fakes.say(&chats, EACH / 2..EACH);

    let second = fakes.gateway_in(folder.path(), &[]);
    second.ready().await;
    let bus = Bus::connect(bus_of(folder.path()))
        .await
        .expect("the gateway's own bus");
    let unknown = settled(&fakes, &bus, &chats).await;
    eprintln!("the gateway killed: {unknown} unknown");
    assert!(
        unknown <= chats.len(),
        "at most one a conversation was under way: {unknown}"
    );
    assert_eq!(fakes.telegram.repeated(), []);
    drop(bus);
    assert!(second.terminate().success(), "it ends cleanly");
    assert_eq!(
        processes(folder.path()),
        [""; 0],
        "nobody is left behind, not even by the first"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_leaves_no_server_behind() {
    let (fakes, folder) = (Fakes::set(Hears::Polling, "").await, folder());
    let gateway = fakes.gateway_in(folder.path(), &[]);
    gateway.ready().await;
    assert_eq!(processes(folder.path()).len(), 3);
    gateway.kill9();
    eventually("its servers to end with it", || async {
        processes(folder.path()).is_empty().then_some(())
    })
    .await;
}

/// Waits until each answer is on the platform or marked unknown; returns how many are marked.
async fn settled(fakes: &Fakes, bus: &Bus, chats: &[i64]) -> usize {
    let mut open = usize::MAX;
    loop {
        let missing = missing(fakes, chats);
        let unknown = unknown(bus).await;
        if missing.len() <= unknown && fakes.telegram.waiting() == 0 {
            chats.iter().for_each(|chat| fakes.in_order(*chat, EACH));
            return unknown;
        }
        assert!(missing.len() < open, "lost {missing:?}");
        open = missing.len();
        let fewer =
            || async { (self::missing(fakes, chats).len() < open || open == 0).then_some(()) };
        eventually(&format!("the next of {open} answers"), fewer).await;
    }
}

fn missing(fakes: &Fakes, chats: &[i64]) -> Vec<String> {
    let of = |chat: &i64| {
        let sent: HashSet<String> = fakes
            .telegram
            .sent(*chat)
            .into_iter()
            .map(|sent| sent.text)
            .collect();
        (0..EACH)
            .map(|n| answer(*chat, n))
            .filter(|answer| !sent.contains(answer))
            .collect::<Vec<_>>()
    };
    chats.iter().flat_map(of).collect()
}

async fn unknown(bus: &Bus) -> usize {
    let intents = bus
        .bucket(Bucket::Intents)
        .all::<Intent>()
        .await
        .expect("intents");
    intents
        .iter()
        .filter(|(_, intent, _)| intent.state() == IntentState::Unknown)
        .count()
}

/// How to reach the bus of the gateway in `folder`, as its settings file says.
fn bus_of(folder: &Path) -> bus::Settings {
    let text =
        fs::read_to_string(folder.join("nats/nats-server.conf")).expect("settings of nats-server");
    let quoted = |key: &str| {
        text.split_once(key)
            .and_then(|(_, rest)| rest.split('"').nth(1))
            .expect(key)
            .to_owned()
    };
    bus::Settings {
        servers: vec![format!("nats://{}", quoted("listen:"))],
        name: "test".into(),
        token: Some(quoted("token:").into()),
        ..bus::Settings::default()
    }
}
