//! What a client says of itself in `connect`.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Deserializer, de::Error as _, de::IgnoredAny};

use crate::schema::{NOT_ALLOWED, Text};

/// Programs that may connect: protocol 4's list, protocol 3's is part of it, and the names of 2026's first weeks.
const IDS: [&str; 22] = [
    "webchat-ui",
    "openclaw-control-ui",
    "openclaw-browser-copilot",
    "openclaw-tui",
    "webchat",
    "cli",
    "gateway-client",
    "openclaw-macos",
    "openclaw-linux",
    "openclaw-ios",
    "openclaw-watchos",
    "openclaw-android",
    "node-host",
    "openclaw-worker",
    "test",
    "fingerprint",
    "openclaw-probe",
    "clawdbot-control-ui",
    "clawdbot-macos",
    "clawdbot-ios",
    "clawdbot-android",
    "clawdbot-probe",
];

/// Ways in which a program may connect.
const MODES: [&str; 8] = [
    "webchat", "cli", "ui", "backend", "node", "worker", "probe", "test",
];

/// Parameters of `connect`. Closed, as in the reference; what is inside of its objects may grow.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Connect {
    pub(crate) min_protocol: u32,
    pub(crate) max_protocol: u32,
    pub(crate) client: Program,
    /// Of an operator, kinds of events that the program understands: all that are told need none. Of a node, what it
    /// can do in general.
    caps: Option<Vec<Text>>,
    pub(crate) role: Option<Text>,
    pub(crate) scopes: Option<Vec<Text>>,
    pub(crate) device: Option<Device>,
    #[serde(default)]
    pub(crate) auth: Auth,
    /// Of a node, what it can be asked for.
    commands: Option<Vec<Text>>,
    #[serde(rename = "computerUse")]
    _computer_use: Option<IgnoredAny>,
    #[serde(rename = "workerRuns")]
    _worker_runs: Option<IgnoredAny>,
    /// Of a node, what its person or system lets it do.
    permissions: Option<BTreeMap<String, bool>>,
    /// Of a node, where it looks for programs.
    path_env: Option<String>,
    #[serde(rename = "modelCatalog")]
    _model_catalog: Option<IgnoredAny>,
    #[serde(rename = "locale")]
    _locale: Option<String>,
    #[serde(rename = "userAgent")]
    _user_agent: Option<String>,
    /// Our own: the cursor up to which the client knows what happened, or an empty text to be told cursors from now on.
    pub(crate) resume: Option<String>,
}

/// The program that connects.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Program {
    #[serde(deserialize_with = "id")]
    pub(crate) id: String,
    #[serde(deserialize_with = "mode")]
    pub(crate) mode: String,
    pub(crate) version: Text,
    pub(crate) platform: Text,
    pub(crate) display_name: Option<Text>,
    pub(crate) device_family: Option<Text>,
    pub(crate) model_identifier: Option<Text>,
    pub(crate) time_zone: Option<Text>,
    pub(crate) instance_id: Option<Text>,
}

/// Proof of a device's identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    pub(crate) id: Text,
    pub(crate) public_key: Text,
    pub(crate) signature: Text,
    pub(crate) signed_at: u64,
    pub(crate) nonce: Option<Text>,
}

/// Secrets of the client. Not `Debug`: what holds it prints without them.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Auth {
    pub(crate) token: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) device_token: Option<String>,
    pub(crate) bootstrap_token: Option<String>,
}

impl Auth {
    /// The token that a device's signature covers.
    pub(crate) fn signed(&self) -> &str {
        let tokens = [&self.token, &self.device_token, &self.bootstrap_token];
        tokens
            .into_iter()
            .flatten()
            .next()
            .map_or("", String::as_str)
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Auth(***)")
    }
}

/// What a node says of itself, and where it says it from.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    pub(crate) caps: Vec<String>,
    pub(crate) commands: Vec<String>,
    pub(crate) permissions: BTreeMap<String, bool>,
    pub(crate) path_env: String,
    pub(crate) address: IpAddr,
    /// Nobody was asked about its device.
    pub(crate) silent: bool,
}

impl Connect {
    /// What it says of itself, if it is a node.
    pub(crate) fn claims(&self, address: IpAddr, silent: bool) -> Option<Claims> {
        let texts = |texts: &Option<Vec<Text>>| {
            let texts = texts.iter().flatten();
            texts.map(|text| text.0.clone()).collect()
        };
        (self.role() == Some(Role::Node)).then(|| Claims {
            caps: texts(&self.caps),
            commands: texts(&self.commands),
            permissions: self.permissions.clone().unwrap_or_default(),
            path_env: self.path_env.clone().unwrap_or_default(),
            address,
            silent,
        })
    }

    /// The role asked for; `None` for one that there is not.
    pub(crate) fn role(&self) -> Option<Role> {
        match self.role.as_deref() {
            None | Some("operator") => Some(Role::Operator),
            Some("node") => Some(Role::Node),
            Some(_) => None,
        }
    }

    /// The scopes asked for, as sent.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scopes.iter().flatten().map(|scope| &**scope)
    }
}

impl Program {
    /// A page in a browser.
    pub(crate) fn is_page(&self) -> bool {
        matches!(
            self.id.as_str(),
            "webchat" | "webchat-ui" | "openclaw-control-ui" | "clawdbot-control-ui"
        )
    }

    /// A program that a person looks at.
    pub(crate) fn is_ui(&self) -> bool {
        self.is_page()
            || self.id == "openclaw-tui"
            || matches!(self.mode.as_str(), "ui" | "webchat")
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A person's program.
    Operator,
    /// A machine that does what agents ask.
    Node,
}

impl Role {
    /// Its name on the wire.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Node => "node",
        }
    }
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    one_of(&IDS, deserializer)
}

fn mode<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    one_of(&MODES, deserializer)
}

fn one_of<'de, D: Deserializer<'de>>(list: &[&str], from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if list.contains(&text.as_str()) {
        Ok(text)
    } else {
        Err(D::Error::custom(NOT_ALLOWED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use serde_json::json;

    fn read(change: impl FnOnce(&mut serde_json::Value)) -> Result<Connect, String> {
        let mut params = json!({
            "minProtocol": 4, "maxProtocol": 4,
            "client": {"id": "cli", "version": "2026.9.6", "platform": "linux", "mode": "cli", "buildId": "x"},
            "caps": [], "auth": {"token": "canary"}, "role": "operator", "scopes": ["operator.read"],
            "locale": "en-US", "userAgent": "x", "permissions": {}, "commands": [], "pathEnv": "/bin",
        });
        change(&mut params);
        schema::read(Some(&serde_json::value::to_raw_value(&params).unwrap()))
    }

    #[test]
    fn what_clients_send_is_read_and_secrets_do_not_print() {
        let connect = read(|_| ()).unwrap();
        assert_eq!(connect.role(), Some(Role::Operator));
        assert_eq!(connect.auth.signed(), "canary");
        assert!(!format!("{connect:?}").contains("canary"));
    }

    #[test]
    fn mistakes_have_the_words_of_the_reference() {
        let why = |change: fn(&mut serde_json::Value)| read(change).unwrap_err();
        assert_eq!(
            why(|p| p["client"]["id"] = json!("toaster")),
            "at /client/id: must be equal to one of the allowed values"
        );
        assert_eq!(
            why(|p| p["bogus"] = json!(1)),
            "at root: unexpected property 'bogus'"
        );
        assert_eq!(
            why(|p| p["maxProtocol"] = json!("4")),
            "at /maxProtocol: must be integer"
        );
        assert_eq!(
            why(|p| p["client"].as_object_mut().unwrap().clear()),
            "at /client: must have required property 'id'"
        );
    }
}
