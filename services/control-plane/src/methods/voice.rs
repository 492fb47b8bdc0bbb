//! Voice: the words that wake a device are kept for all devices; nothing here speaks or listens itself.

use bus::Bucket;
use proto::v1::VoiceWake;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::{Value, json};

use super::{Call, Method, method};
use crate::{clients::Audience, outbox::Worth, refusal::Refusal};

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("talk.config", Read, talk),
    method!("tts.status", Read, speech),
    method!("tts.providers", Read, speakers),
    method!("voicewake.get", Read, triggers),
    method!("voicewake.set", Write, set_triggers),
];

/// Key of the words in the bucket `config`.
const KEY: &str = "voicewake";
/// Most words.
const MOST: usize = 32;
/// Longest of them, in characters.
const MAX_CHARS: usize = 64;

/// The words that wake a device.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Triggers {
    triggers: Vec<String>,
}

/// No provider speaks or listens for talk mode; the session it would join is the main one.
async fn talk(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(json!({"config": {"session": {"mainKey": "main"}}}))
}

/// Nothing speaks.
async fn speech(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(json!({"enabled": false, "auto": "off", "provider": null, "providers": []}))
}

async fn speakers(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Ok(json!({"providers": [], "active": null}))
}

async fn triggers(call: &Call, _: IgnoredAny) -> Result<Triggers, Refusal> {
    let config = call.gateway.bus.bucket(Bucket::Config);
    let kept = config.get::<VoiceWake>(KEY).await?;
    let triggers = kept.map(|(kept, _)| kept.triggers).unwrap_or_default();
    Ok(Triggers { triggers })
}

/// Keeps the words and tells every device and operator.
async fn set_triggers(call: &Call, wanted: Triggers) -> Result<Triggers, Refusal> {
    let kept = VoiceWake {
        triggers: sound(wanted.triggers)?,
    };
    let config = call.gateway.bus.bucket(Bucket::Config);
    config.put(KEY, &kept).await?;
    let told = Triggers {
        triggers: kept.triggers,
    };
    let gateway = &call.gateway;
    gateway
        .announce("voicewake.changed", &told, Audience::ALL, Worth::Needed)
        .await;
    Ok(told)
}

/// The words without blanks around them, each once.
fn sound(words: Vec<String>) -> Result<Vec<String>, Refusal> {
    let mut sound: Vec<String> = Vec::new();
    for word in words {
        let word = word.trim();
        if word.chars().count() > MAX_CHARS {
            return Err(Refusal::Invalid(format!(
                "a trigger has {MAX_CHARS} characters at most; say a shorter one"
            )));
        }
        if !word.is_empty() && !sound.iter().any(|known| known == word) {
            sound.push(word.to_owned());
        }
    }
    match sound.len() {
        0..=MOST => Ok(sound),
        many => Err(Refusal::Invalid(format!(
            "{many} triggers are too many; say {MOST} or fewer"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_once_and_without_blanks() {
        let words = [" hey claw ", "", "hey claw", "computer"].map(String::from);
        assert_eq!(sound(words.to_vec()).unwrap(), ["hey claw", "computer"]);
        assert!(sound(vec!["x".repeat(65)]).is_err());
        assert!(sound((0..33).map(|n| n.to_string()).collect()).is_err());
    }
}
