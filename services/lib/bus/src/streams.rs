//! Every stream and bucket with its limits, and the proof that the server took them as asked.

use std::{collections::HashMap, time::Duration};

use async_nats::jetstream::{
    Context,
    stream::{Config, DiscardPolicy, Republish, RetentionPolicy, StorageType},
};
use futures_util::future::try_join_all;

use crate::{Bucket, Error, Settings};

/// Streams that hold work until it is acknowledged.
pub(crate) const QUEUES: [(&str, &str); 3] = [("IN", "in.>"), ("TURN", "turn.>"), ("OUT", "out.>")];
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Far longer than any message lives, so that whoever handles it gives it up, and no stream drops it silently.
const QUEUED: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The server sets all of these aside when it starts, and refuses where three quarters of the free disk are less.
pub(crate) const MIB: i64 = 1 << 20;
/// A text of 5 MB with its envelope fits; the server's `max_payload` must be as large.
const MAX_MESSAGE_BYTES: i32 = 7 << 20;
/// How long a stream knows the ids it has stored, at about 200 bytes each: longer than a hand-over takes, after which
/// work is repeated. Buckets only need it for a call that is repeated within the patience.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Where the number of partitions is written down, so that two processes never disagree on it.
const PARTITIONS: &str = "partitions";

/// Makes what is missing, mends what differs, and checks the answers.
///
/// # Errors
/// [`Error::Refused`] when the server dropped a setting, or the number of partitions differs while messages wait.
pub(crate) async fn prepare(context: &Context, settings: &Settings) -> Result<(), Error> {
    let wishes = wishes(settings);
    try_join_all(wishes.iter().map(|wish| settle(context, wish))).await?;
    Ok(())
}

async fn settle(context: &Context, wish: &Config) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    if let Ok(stream) = context.get_stream(&wish.name).await {
        let info = stream.cached_info();
        if differences(wish, &info.config).is_empty() {
            return Ok(());
        }
        let before = info.config.metadata.get(PARTITIONS);
        if info.state.messages > 0 && before.is_some() && before != wish.metadata.get(PARTITIONS) {
            return Err(Error::Refused(format!(
                "stream {} has {} waiting messages in {} partitions; set [bus] partitions back to that, \
                 let them drain, then change it",
                wish.name,
                info.state.messages,
                before.map_or("", String::as_str),
            )));
        }
    }
    // A replicated stream may need an election first, and another process may be making the same stream.
    let info = loop {
        match context.create_or_update_stream(wish.clone()).await {
            Ok(info) => break info,
            Err(error) if tokio::time::Instant::now() >= deadline => {
                return Err(Error::Refused(format!(
                    "stream {} cannot be made: {error}; is JetStream enabled, and is there disk space?",
                    wish.name
                )));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    match differences(wish, &info.config).as_slice() {
        [] => Ok(()),
        dropped => Err(Error::Refused(format!(
            "the server dropped {} of stream {}; use nats-server 2.12 or newer",
            dropped.join(", "),
            wish.name
        ))),
    }
}

/// Names of the fields in which what the server has differs from what was asked.
fn differences(wish: &Config, has: &Config) -> Vec<&'static str> {
    let partitions = |config: &Config| config.metadata.get(PARTITIONS).cloned();
    let same = [
        ("subjects", wish.subjects == has.subjects),
        ("retention", wish.retention == has.retention),
        ("storage", wish.storage == has.storage),
        ("num_replicas", wish.num_replicas == has.num_replicas),
        ("max_age", wish.max_age == has.max_age),
        ("max_bytes", wish.max_bytes == has.max_bytes),
        (
            "max_msg_size",
            wish.max_message_size == has.max_message_size,
        ),
        (
            "max_msgs_per_subject",
            wish.max_messages_per_subject == has.max_messages_per_subject,
        ),
        ("max_consumers", wish.max_consumers == has.max_consumers),
        ("discard", wish.discard == has.discard),
        (
            "duplicate_window",
            wish.duplicate_window == has.duplicate_window,
        ),
        (
            "republish",
            wish.republish.is_some() == has.republish.is_some(),
        ),
        ("allow_direct", wish.allow_direct == has.allow_direct),
        ("allow_rollup_hdrs", wish.allow_rollup == has.allow_rollup),
        (
            "allow_msg_ttl",
            wish.allow_message_ttl == has.allow_message_ttl,
        ),
        (
            "allow_msg_schedules",
            wish.allow_message_schedules == has.allow_message_schedules,
        ),
        ("partitions", partitions(wish) == partitions(has)),
    ];
    same.into_iter()
        .filter_map(|(name, same)| (!same).then_some(name))
        .collect()
}

fn wishes(settings: &Settings) -> Vec<Config> {
    let base = Config {
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_age: DAY,
        max_bytes: 512 * MIB,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_message_size: MAX_MESSAGE_BYTES,
        max_consumers: 4096,
        duplicate_window: REMEMBERED,
        ..Config::default()
    };
    let queues = QUEUES.map(|(name, subject)| Config {
        name: name.into(),
        subjects: vec![subject.into()],
        max_age: QUEUED,
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        allow_message_ttl: true,
        metadata: HashMap::from([(PARTITIONS.into(), settings.partitions.to_string())]),
        ..base.clone()
    });
    // Schedules exclude refusal of new messages, so this one has no bound that could push an old one out.
    let later = Config {
        name: crate::later::STREAM.into(),
        subjects: vec!["later.>".into()],
        retention: RetentionPolicy::WorkQueue,
        max_age: Duration::ZERO,
        max_bytes: -1,
        allow_message_schedules: true,
        allow_rollup: true,
        ..base.clone()
    };
    let event = Config {
        name: "EVENT".into(),
        subjects: vec!["event.>".into()],
        max_age: 30 * DAY,
        max_bytes: 1024 * MIB,
        republish: Some(Republish {
            source: "event.>".into(),
            destination: "live.event.>".into(),
            headers_only: false,
        }),
        ..base.clone()
    };
    let dead = Config {
        name: "DEAD".into(),
        subjects: vec!["dead.>".into()],
        max_age: 30 * DAY,
        ..base.clone()
    };
    let buckets = Bucket::ALL.map(|bucket| Config {
        name: bucket.stream(),
        subjects: vec![format!("$KV.{}.>", bucket.name())],
        max_age: bucket.lifetime(),
        max_messages_per_subject: 1,
        max_bytes: bucket.most_bytes(),
        discard: DiscardPolicy::New,
        allow_rollup: true,
        allow_direct: true,
        max_consumers: -1,
        duplicate_window: 2 * settings.patience,
        ..base.clone()
    });
    queues
        .into_iter()
        .chain([later, event, dead])
        .chain(buckets)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_setting_is_seen() {
        let wish = wishes(&Settings::default()).remove(QUEUES.len());
        let dropped = Config {
            allow_message_schedules: false,
            ..wish.clone()
        };
        assert_eq!(differences(&wish, &dropped), ["allow_msg_schedules"]);
        assert!(differences(&wish, &wish).is_empty());
    }

    #[test]
    fn another_number_of_partitions_is_seen() {
        let few = wishes(&Settings {
            partitions: 8,
            ..Settings::default()
        })
        .remove(0);
        let many = wishes(&Settings::default()).remove(0);
        assert_eq!(differences(&few, &many), ["partitions"]);
    }
}
