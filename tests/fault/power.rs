//! A power cut: what the bus acknowledged is on the disk, and without `sync_interval: always` it is not.

use std::{fs, path::Path, process::Command};

use bus::{Bus, Settings};
use proto::{
    subject,
    v1::{Inbound, Priority},
};
use tests::servers::Nats;

use crate::mount::{Mount, ext4};

/// Messages that are acknowledged before the cut.
const MESSAGES: usize = 300;
/// Size of the disk, MiB.
const DISK_MIB: u64 = 64;

/// Publishes, cuts the power, and returns how many acknowledged messages are gone; `None` where this may not mount.
async fn lost(sync: &str) -> Option<usize> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let image = ext4(folder.path(), DISK_MIB)?;
    let disk = Mount::of_image(&image)?;
    let jetstream = format!("max_file_store: 100GB\n{sync}");
    let nats = Nats::start_at(&disk.path().join("store"), &jetstream);
    let bus = connect(&nats).await;
    for n in 0..MESSAGES {
        let inbound = Inbound {
            id: format!("m{n}"),
            raw: vec![7; 500],
            ..Inbound::default()
        };
        let subject = subject::inbound(
            bus.partitions(),
            Priority::Normal,
            "telegram",
            &format!("chat {n}"),
        );
        bus.publish(&subject, &inbound.id, &inbound)
            .await
            .expect("stored");
    }
    nats.kill();
    // What the device has at this moment; what only the kernel has is gone with the power.
    let copy = folder.path().join("copy");
    copy_image(&image, &copy);
    drop(disk);
    drop(nats);

    let disk = Mount::of_image(&copy).expect("what the device had can be mounted");
    let nats = Nats::start_at(&disk.path().join("store"), &jetstream);
    let bus = connect(&nats).await;
    let kept = bus.stream_state("IN").await.expect("the stream").messages;
    Some(MESSAGES - usize::try_from(kept).expect("a small number"))
}

async fn connect(nats: &Nats) -> Bus {
    Bus::connect(Settings {
        name: "power".into(),
        ..nats.settings()
    })
    .await
    .expect("the bus")
}

fn copy_image(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg("--sparse=always")
        .args([from, to])
        .status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "{} copied",
        from.display()
    );
    assert!(fs::metadata(to).is_ok_and(|copy| copy.len() == DISK_MIB << 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_that_was_acknowledged_unless_the_server_is_told_to_be_lazy() {
    let Some(lost_by_us) = lost("sync_interval: always").await else {
        eprintln!("SKIPPED: a power cut needs root, who may mount an image");
        return;
    };
    let lost_by_default = lost("").await.expect("it could be mounted a moment ago");
    eprintln!(
        "power cut: of {MESSAGES} acknowledged messages {lost_by_us} lost, by the server's default {lost_by_default}"
    );
    assert_eq!(lost_by_us, 0);
    assert!(
        lost_by_default > 0,
        "nothing was lost with lazy writing either: the test shows nothing"
    );
}
