//! The settings of a session by their names on the wire: what each takes, who may set it, and what it does.

use proto::v1::SessionSettings;
use serde_json::Value;

/// Longest label or group, in characters.
const MAX_LABEL_CHARS: usize = 512;
/// Longest name of a model, its provider included.
const MAX_MODEL_CHARS: usize = 200;
/// Longest text that only clients show.
const MAX_SHOWN_CHARS: usize = 512;

/// A setting, by what it does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Setting {
    Label,
    Model,
    SendPolicy,
    GroupActivation,
    Archived,
    Pinned,
    Unread,
    Category,
    /// Kept for clients, which show it. The words it takes; none means any.
    Shown(&'static [&'static str]),
    /// True or false, or this word; only shown.
    Switch(&'static str),
    /// Nothing here could act on it.
    Idle,
}

/// A setting and its value; empty takes it back.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::methods::sessions) enum Field {
    Label(String),
    Model(String),
    SendPolicy(String),
    GroupActivation(String),
    Archived(bool),
    Pinned(bool),
    Unread(bool),
    Category(String),
    Shown(String, Option<Value>),
}

/// Why a value cannot be set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// In the words of a schema: where and what.
    Shape(String, String),
    /// A sentence of its own.
    Sentence(String),
}

impl Wrong {
    pub(super) fn say(self, method: &str) -> String {
        match self {
            Self::Shape(name, what) => format!("invalid {method} params: at /{name}: {what}"),
            Self::Sentence(sentence) => sentence,
        }
    }
}

/// The setting `name`.
pub(super) fn named(name: &str) -> Option<Setting> {
    use Setting::*;
    Some(match name {
        "label" => Label,
        "model" => Model,
        "sendPolicy" => SendPolicy,
        "groupActivation" => GroupActivation,
        "archived" => Archived,
        "pinned" => Pinned,
        "unread" => Unread,
        "category" => Category,
        "thinkingLevel" => Shown(&["off", "minimal", "low", "medium", "high"]),
        "verboseLevel" => Shown(&["off", "on", "full"]),
        "reasoningLevel" => Shown(&["off", "on", "stream"]),
        "responseUsage" => Shown(&["off", "tokens", "full", "on"]),
        "boardFace" => Shown(&["chat", "dashboard"]),
        "boardPresentation" => Shown(&["split", "expanded"]),
        "traceLevel" | "icon" | "color" | "autoLabel" => Shown(&[]),
        "fastMode" => Switch("auto"),
        "elevatedLevel"
        | "execHost"
        | "execSecurity"
        | "execAsk"
        | "execNode"
        | "permissionMode"
        | "sandboxMode"
        | "nativeRuntimeConsent"
        | "toolOverrides"
        | "inheritedToolPolicyVersion"
        | "inheritedToolAllow"
        | "inheritedToolDeny"
        | "agentRuntime"
        | "contextWindow"
        | "completionOwnerSessionKey"
        | "spawnedBy"
        | "statusNote"
        | "attention"
        | "ttlMinutes"
        | "expectedLifecycleRevision"
        | "expectedPermissionMode"
        | "expectedSandboxMode"
        | "expectedNativeRuntimeConsent"
        | "expectedToolOverrides" => Idle,
        _ => return None,
    })
}

impl Setting {
    /// Whether who may write may set it in protocol 4; the rest takes admin.
    pub(super) fn is_of_writers(self) -> bool {
        !matches!(self, Self::SendPolicy | Self::GroupActivation | Self::Idle)
    }

    /// Reads its value; `None` where there is nothing to do.
    pub(super) fn read(
        self,
        name: &str,
        value: &Value,
        group: bool,
    ) -> Result<Option<Field>, Wrong> {
        let sentence = |text: String| Err(Wrong::Sentence(text));
        let field = match self {
            Self::Label => Field::Label(text(name, value, MAX_LABEL_CHARS)?),
            Self::Category => Field::Category(text(name, value, MAX_LABEL_CHARS)?),
            Self::Model => Field::Model(text(name, value, MAX_MODEL_CHARS)?),
            Self::SendPolicy => Field::SendPolicy(one_of(name, value, &["allow", "deny"])?),
            Self::GroupActivation => {
                let chosen = one_of(name, value, &["mention", "always"])?;
                if !chosen.is_empty() && !group {
                    return sentence(
                        "groupActivation says when a group is answered, and this session is no group"
                            .into(),
                    );
                }
                Field::GroupActivation(chosen)
            }
            Self::Archived => Field::Archived(truth(name, value)?),
            Self::Pinned => Field::Pinned(truth(name, value)?),
            Self::Unread => Field::Unread(truth(name, value)?),
            Self::Shown(words) => {
                let chosen = text(name, value, MAX_SHOWN_CHARS)?;
                if !chosen.is_empty() && !words.is_empty() && !words.contains(&&*chosen) {
                    return sentence(format!("invalid {name} (use {})", words.join("|")));
                }
                let chosen = (!chosen.is_empty()).then(|| chosen.into());
                Field::Shown(name.to_owned(), chosen)
            }
            Self::Switch(word) => match value {
                Value::Null => Field::Shown(name.to_owned(), None),
                Value::Bool(_) => Field::Shown(name.to_owned(), Some(value.clone())),
                Value::String(text) if text == word => {
                    Field::Shown(name.to_owned(), Some(value.clone()))
                }
                _ => return sentence(format!("invalid {name} (use true|false|{word})")),
            },
            Self::Idle if value.is_null() => return Ok(None),
            Self::Idle => {
                return sentence(format!(
                    "{name} is not served: agents of this gateway run no commands and no tools, so it would change \
                     nothing; leave it out"
                ));
            }
        };
        Ok(Some(field))
    }
}

impl Field {
    /// Sets it.
    pub(in crate::methods::sessions) fn set(&self, set: &mut SessionSettings, now_ms: i64) {
        let time = |is: bool| if is { now_ms } else { 0 };
        match self {
            Self::Label(label) => set.label = label.trim().to_owned(),
            Self::Model(model) => set.model = model.trim().to_owned(),
            Self::SendPolicy(policy) => set.send_policy.clone_from(policy),
            Self::GroupActivation(when) => set.group_activation.clone_from(when),
            Self::Archived(is) => set.archived_at_ms = time(*is),
            Self::Pinned(is) => set.pinned_at_ms = time(*is),
            Self::Unread(true) => set.marked_unread_at_ms = now_ms,
            Self::Unread(false) => (set.marked_unread_at_ms, set.read_at_ms) = (0, now_ms),
            Self::Category(category) => set.category = category.trim().to_owned(),
            Self::Shown(name, Some(value)) => {
                set.shown.insert(name.clone(), value.to_string());
            }
            Self::Shown(name, None) => {
                set.shown.remove(name);
            }
        }
    }
}

/// A text; null is empty.
fn text(name: &str, value: &Value, most_chars: usize) -> Result<String, Wrong> {
    let wrong = |what: String| Err(Wrong::Shape(name.to_owned(), what));
    match value {
        Value::Null => Ok(String::new()),
        Value::String(text) if text.trim().is_empty() => {
            wrong("must NOT have fewer than 1 characters".into())
        }
        Value::String(text) if text.chars().count() > most_chars => {
            wrong(format!("must NOT have more than {most_chars} characters"))
        }
        Value::String(text) => Ok(text.clone()),
        _ => wrong("must be string".into()),
    }
}

fn one_of(name: &str, value: &Value, words: &[&str]) -> Result<String, Wrong> {
    let chosen = text(name, value, MAX_SHOWN_CHARS)?;
    match chosen.is_empty() || words.contains(&&*chosen) {
        true => Ok(chosen),
        false => Err(Wrong::Shape(
            name.to_owned(),
            crate::schema::NOT_ALLOWED.into(),
        )),
    }
}

fn truth(name: &str, value: &Value) -> Result<bool, Wrong> {
    let wrong = || Wrong::Shape(name.to_owned(), "must be boolean".into());
    value.as_bool().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, value: Value) -> Result<Option<Field>, String> {
        let setting = named(name).unwrap();
        setting
            .read(name, &value, false)
            .map_err(|why| why.say("sessions.patch"))
    }

    #[test]
    fn what_acts_and_what_is_shown_is_set_and_taken_back() {
        let mut set = SessionSettings::default();
        for (name, value) in [
            ("label", json!(" Plans ")),
            ("model", json!("local/tiny")),
            ("thinkingLevel", json!("low")),
            ("fastMode", json!("auto")),
            ("unread", json!(true)),
        ] {
            read(name, value).unwrap().unwrap().set(&mut set, 7);
        }
        assert_eq!(
            (set.label.as_str(), set.model.as_str()),
            ("Plans", "local/tiny")
        );
        assert_eq!(set.shown["thinkingLevel"], "\"low\"");
        assert_eq!(set.marked_unread_at_ms, 7);
        for name in ["label", "model", "thinkingLevel", "fastMode"] {
            let nothing = read(name, Value::Null).unwrap().unwrap();
            nothing.set(&mut set, 8);
        }
        read("unread", json!(false))
            .unwrap()
            .unwrap()
            .set(&mut set, 9);
        let only_read = SessionSettings {
            read_at_ms: 9,
            ..SessionSettings::default()
        };
        assert_eq!(set, only_read);
    }

    #[test]
    fn what_cannot_be_set_says_why() {
        let why = |name, value| read(name, value).unwrap_err();
        assert_eq!(
            why("thinkingLevel", json!("huge")),
            "invalid thinkingLevel (use off|minimal|low|medium|high)"
        );
        assert_eq!(
            why("sendPolicy", json!("maybe")),
            "invalid sessions.patch params: at /sendPolicy: must be equal to one of the allowed values"
        );
        assert_eq!(
            why("label", json!(5)),
            "invalid sessions.patch params: at /label: must be string"
        );
        assert!(why("groupActivation", json!("always")).contains("no group"));
        assert!(why("execHost", json!("node")).contains("execHost is not served"));
        assert_eq!(read("execHost", Value::Null), Ok(None));
        assert!(named("nonsense").is_none());
    }
}
