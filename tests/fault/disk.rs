//! A full disk under the bus: what it cannot take stays with the platform.

use std::{fs, io::Write, path::Path, time::Duration};

use tests::{
    chaos::{load::Load, round::judged, system::System, table::Row},
    eventually::eventually,
    servers::Nats,
    stage::Hears,
};

use crate::mount::Mount;

/// Size of the disk.
const DISK_BYTES: u64 = 48 << 20;
/// People who write.
const CHATS: i64 = 25;
/// Messages of each of them.
const EACH: usize = 8;
/// Messages said while the disk is full, until none is taken any more.
const MANY: usize = 2000;

/// Fills the disk, sees that updates stay with the platform, frees it, and sees that all are answered.
///
/// No row where this may not mount anything.
pub(crate) async fn full() -> Option<Row> {
    let Some(disk) = Mount::in_memory(DISK_BYTES) else {
        eprintln!("SKIPPED: a full disk needs root, who may mount a small one");
        return None;
    };
    // The server would not make streams that could grow beyond the disk; here it is to be surprised.
    let jetstream = "sync_interval: always\nmax_file_store: 100GB";
    let nats = Nats::start_at(&disk.path().join("store"), jetstream);
    let system = System::start_on(nats, Hears::Polling, None).await;
    let (load, chats) = (Load::default(), system.fresh_chats(CHATS));
    let before = system.stage.telegram.sent_in_all();
    load.burst(&system, &chats, 0..2);
    load.under_way(&system, before, EACH).await;

    let ballast = disk.path().join("ballast");
    fill(&ballast);
    load.talk(&system, &chats, 2..EACH, Duration::from_millis(5))
        .await;
    let kept = kept_by_the_platform(&system, &load).await;
    eprintln!("full disk: the platform keeps {kept} updates");

    fs::remove_file(ballast).expect("the ballast can be thrown off");
    // A server that ran out of space has switched its streams off until it is started again.
    system.stage.nats.restart();
    Some(
        judged(
            &system,
            &load,
            "full disk under nats-server, freed, restarted".into(),
            false,
        )
        .await,
    )
}

/// Writes until there is no space left.
fn fill(ballast: &Path) {
    let mut file = fs::File::create(ballast).expect("a file on the small disk");
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
}

/// Says more until the bus takes nothing more, and returns how many updates the platform still has.
async fn kept_by_the_platform(system: &System, load: &Load) -> usize {
    let telegram = &system.stage.telegram;
    let chat = system.fresh_chats(1)[0];
    let mut n = 0;
    eventually("updates to stay with the platform", || {
        if n < MANY {
            load.say(system, chat, n);
            n += 1;
        }
        async { (telegram.waiting() > 10).then_some(()) }
    })
    .await;
    telegram.waiting()
}
