//! What a person who makes mistakes in the settings sees.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::*;
use crate::Secret;

/// Everything there is to set.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Where operators connect.
    gateway: Gateway,
    /// Accounts on Telegram.
    telegram: BTreeMap<String, Account>,
    /// What is logged.
    log: Log,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Gateway {
    /// The port.
    port: u16,
    /// What operators prove themselves with.
    token: Secret,
    /// Origins let in.
    allowed_origins: Vec<String>,
    /// Longest pause in s.
    patience_s: Option<f64>,
    /// Where people look.
    public_url: Option<String>,
    /// Where it listens.
    listen: std::net::IpAddr,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Account {
    /// From BotFather.
    token: Secret,
    /// Off switch.
    enabled: bool,
    /// Ports, for the sake of it.
    ports: Vec<u16>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Log {
    /// How lines look.
    format: Format,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    /// For people.
    #[default]
    Human,
    /// For machines.
    Json,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            port: 18789,
            token: Secret::default(),
            allowed_origins: Vec::new(),
            patience_s: None,
            public_url: None,
            listen: std::net::Ipv4Addr::LOCALHOST.into(),
        }
    }
}

impl Check for Settings {
    fn check(&self, mistakes: &mut Mistakes) {
        mistakes.within("gateway", |mistakes| {
            let length = self.gateway.token.expose().chars().count();
            if (1..24).contains(&length) {
                mistakes.add("token", "is shorter than 24 characters", "a longer one");
            }
        });
    }
}

const NAMES: Names<'_> = Names {
    aliases: &[
        ("TELEGRAM_BOT_TOKEN", "telegram.main.token"),
        ("OPENCLAW_GATEWAY_PORT", "gateway.port"),
    ],
    others: &["OPENCLAW_HOME"],
};

fn read(toml: &str, env: &[(&str, &str)]) -> Result<Settings, Mistakes> {
    let folder = std::env::temp_dir().join(format!("chassis-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file: PathBuf = folder.join(format!("{:?}.toml", std::thread::current().id()));
    std::fs::write(&file, toml).unwrap();
    let env = env.iter().map(|&(name, text)| (name.into(), text.into()));
    let settings = load(Some(&file), env, &NAMES);
    std::fs::remove_file(&file).unwrap();
    settings.map_err(|mut mistakes| {
        let name = file.display().to_string();
        for mistake in &mut mistakes.list {
            if let Place::Line { file, .. } = &mut mistake.place {
                *file = file.replace(&name, "openclaw.toml");
            }
        }
        mistakes
    })
}

fn mistakes(toml: &str, env: &[(&str, &str)]) -> Vec<String> {
    let mistakes = read(toml, env).unwrap_err();
    mistakes.list().iter().map(ToString::to_string).collect()
}

#[test]
fn without_a_file_and_environment_the_defaults_hold() {
    let settings: Settings = load(None, std::iter::empty(), &NAMES).unwrap();
    assert_eq!(settings.gateway.port, 18789);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one_and_its_line() {
    assert_eq!(
        mistakes("[gateway]\n\nprot = 1\n[telegramm.main]\n", &[]),
        [
            "openclaw.toml:3: `gateway.prot` is not a setting; write `port`",
            "openclaw.toml:4: `telegramm` is not a setting; write `telegram`",
        ]
    );
}

#[test]
fn all_mistakes_are_reported_together() {
    let toml = "[gateway]\nport = 70000\nallowed_origins = [1]\npatience_s = \"x\"\n\
                [telegram.main]\nenabled = \"yes\"\n[log]\nformat = \"jsno\"\n";
    assert_eq!(
        mistakes(toml, &[("OPENCLAW_GATEWAY_TOKEN", "short")]),
        [
            "openclaw.toml:3: `gateway.allowed_origins[0]` is a number; write a text in quotes",
            "openclaw.toml:4: `gateway.patience_s` is a text; write a number",
            "openclaw.toml:2: `gateway.port` is out of range; write a whole number from 0 to 65535",
            "openclaw.toml:8: `log.format` is none of the choices; write \"json\"",
            "openclaw.toml:6: `telegram.main.enabled` is a text; write true or false",
            "environment OPENCLAW_GATEWAY_TOKEN: `gateway.token` is shorter than 24 characters; \
             write a longer one",
        ]
    );
}

#[test]
fn what_is_not_toml_is_said_with_its_line_and_the_rest_is_still_checked() {
    let found = mistakes("[gateway]\nport = = 1\n[log]\nformt = 1\n", &[]);
    assert!(
        found[0].starts_with("openclaw.toml:2: this is not TOML"),
        "{found:?}"
    );
    assert!(
        found.iter().any(|one| one.contains("`log.formt`")),
        "{found:?}"
    );
}

#[test]
fn the_environment_wins_over_the_file_and_the_full_name_over_its_alias() {
    let env = [
        ("TELEGRAM_BOT_TOKEN", "from the alias"),
        ("OPENCLAW_TELEGRAM_MAIN_TOKEN", "from the full name"),
        ("OPENCLAW_TELEGRAM_SECOND_BOT_ENABLED", "true"),
        ("OPENCLAW_TELEGRAM_MAIN_PORTS", "1, 2"),
        ("OPENCLAW_GATEWAY_PORT", "1234"),
        (
            "OPENCLAW_GATEWAY_ALLOWED_ORIGINS",
            "https://a.example,https://b.example",
        ),
        ("OPENCLAW_GATEWAY_PATIENCE_S", ""),
        ("OPENCLAW_HOME", "/somewhere"),
        ("UNRELATED", "x"),
    ];
    let file = "[gateway]\nport = 1\npatience_s = 2.5\n[telegram.main]\nenabled = true";
    let settings = read(file, &env).unwrap();
    assert_eq!(settings.gateway.port, 1234);
    assert_eq!(
        settings.gateway.patience_s,
        Some(2.5),
        "an empty variable is not set"
    );
    assert_eq!(settings.gateway.allowed_origins.len(), 2);
    let main = &settings.telegram["main"];
    assert_eq!(main.token.expose(), "from the full name");
    assert_eq!((main.enabled, main.ports.as_slice()), (true, &[1, 2][..]));
    assert!(settings.telegram["second_bot"].enabled);
}

#[test]
fn a_variable_that_is_wrong_is_named_with_the_nearest_known_one() {
    let env = [
        ("OPENCLAW_GATEWAY_PROT", "1"),
        ("OPENCLAW_GATEWAY_PORT", "many"),
    ];
    assert_eq!(
        mistakes("", &env),
        [
            "environment OPENCLAW_GATEWAY_PORT: `gateway.port` does not fit; \
             write a whole number from 0 to 65535",
            "environment OPENCLAW_GATEWAY_PROT: `OPENCLAW_GATEWAY_PROT` is not a setting; \
             write OPENCLAW_GATEWAY_PORT",
        ]
    );
}

#[test]
fn a_value_that_only_its_type_refuses_is_found_and_not_quoted() {
    let found = mistakes("[gateway]\nport = 1\nlisten = \"canary\"", &[]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("openclaw.toml:3: `gateway.listen` has a value"),
        "{found:?}"
    );
}

#[test]
fn an_account_without_a_name_is_told_where_to_go() {
    assert_eq!(
        mistakes("[telegram]\ntoken = \"canary\"", &[]),
        [
            "openclaw.toml:2: `telegram.token` stands outside of a named section; \
          write it under `[telegram.main]`"
        ]
    );
}

#[test]
fn a_secret_is_printed_nowhere() {
    let toml = "[telegram.main]\ntoken = \"canary\"\n";
    let settings = read(toml, &[]).unwrap();
    let shown = show(&settings).unwrap();
    assert!(shown.contains("token = \"***\""), "{shown}");
    assert!(!format!("{shown}{settings:?}").contains("canary"));
    for wrong in [
        "[telegram.main]\ntoken = [\"canary\"]\n",
        "[telegram.main]\ntokn = \"canary\"\n",
        "[telegram.main]\ntoken = canary\n",
        "[telegram.main]\nenabled = \"canary\"\n",
        "[gateway]\ntoken = \"canary\"\n",
        "[gateway]\npublic_url = \"https://me:canary@example.com\"\n",
        "[log]\nformat = \"canary\"\n",
        "[gateway]\nport = \"canary\"\n",
    ] {
        let found = read(wrong, &[("OPENCLAW_GATEWAY_PATIENCE_S", "canary")]).unwrap_err();
        assert!(!format!("{found}{found:?}").contains("canary"), "{found}");
    }
}

#[test]
fn the_reference_names_each_setting_its_default_and_its_variable() {
    let page = markdown::<Settings>();
    let row = "| `port` | a whole number from 0 to 65535 | `18789` | The port. | \
               `OPENCLAW_GATEWAY_PORT` |";
    assert!(page.contains(row), "{page}");
    assert!(page.contains("## `[telegram.<name>]`"), "{page}");
}
