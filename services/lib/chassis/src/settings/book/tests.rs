//! A small book of settings, looked at and changed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// Where it is.
    place: Place,
    /// Bots by name.
    bots: BTreeMap<String, Bot>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Place {
    port: u16,
    urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_wait: Option<f64>,
    key: Secret,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Bot {
    token: Secret,
    loud: bool,
}

impl Check for Settings {
    fn check(&self, mistakes: &mut Mistakes) {
        if self.place.port == 1 {
            mistakes.add("place.port", "is 1", "another");
        }
    }
}

const FILE: &str = r#"# Ours.
[place]
port = 80 # the usual one
urls = ["nats://a:1", "nats://b:2"]
max_wait = 2.0

# The first bot.
[bots.main]
token = "canary-main"
loud = true
"#;

fn book(env: &[(&str, &str)]) -> Book {
    let env = env
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    Book::new::<Settings>(
        "openclaw.toml".into(),
        None,
        env.collect(),
        Names::default(),
    )
}

#[test]
fn what_is_shown_has_no_secret_and_written_back_changes_nothing() {
    let book = book(&[("OPENCLAW_PLACE_KEY", "canary-key")]);
    let shown = book.shown(Some(FILE));
    assert_eq!(
        shown,
        json!({
            "place": {"port": 80, "urls": ["nats://a:1", "nats://b:2"], "max_wait": 2.0},
            "bots": {"main": {"token": REDACTED, "loud": true}},
        })
    );
    assert_eq!(book.revised(Some(FILE), &shown).unwrap(), FILE);
    // Programs without floating points write 2.0 as 2.
    let text = shown.to_string().replace("2.0", "2");
    assert_eq!(
        book.revised(Some(FILE), &serde_json::from_str(&text).unwrap())
            .unwrap(),
        FILE
    );

    let effective = book.check(Some(FILE)).unwrap();
    assert_eq!(effective["place"]["key"], REDACTED);
    assert!(!effective.to_string().contains("canary"));
    assert_eq!(
        book.revised(Some(FILE), &effective).unwrap(),
        FILE,
        "what the environment sets stays there"
    );
}

#[test]
fn a_change_leaves_all_else_as_it_was_written() {
    let book = book(&[]);
    let mut wanted = book.shown(Some(FILE));
    wanted["place"]["port"] = json!(81);
    wanted["place"]["max_wait"] = json!(3);
    wanted["place"]["urls"].as_array_mut().unwrap().reverse();
    wanted["bots"]["shop"] = json!({"token": "new", "loud": null});
    let revised = book.revised(Some(FILE), &wanted).unwrap();
    assert_eq!(
        revised,
        r#"# Ours.
[place]
port = 81 # the usual one
urls = ["nats://b:2", "nats://a:1"]
max_wait = 3.0

# The first bot.
[bots.main]
token = "canary-main"
loud = true

[bots.shop]
token = "new"
"#
    );
    let none = book.revised(None, &wanted["place"].take()).unwrap_err();
    assert!(
        !none.is_empty(),
        "settings of a section are none of the whole"
    );
    assert_eq!(
        book.revised(None, &json!({"place": {"port": 7}})).unwrap(),
        "[place]\nport = 7\n"
    );
    assert_eq!(
        book.revised(Some("[place]\nport = 7\n"), &json!({}))
            .unwrap(),
        ""
    );
}

#[test]
fn all_mistakes_are_told_and_none_shows_a_secret() {
    let book = book(&[]);
    let wanted = json!({
        "place": {"port": 70000, "key": 5, "prt": "canary", "urls": [format!("nats://{REDACTED}@elsewhere")]},
        "bots": {"other": {"token": "canary", "loud": "yes"}},
    });
    let mistakes = book.revised(Some(FILE), &wanted).unwrap_err();
    assert!(
        mistakes
            .to_string()
            .contains("`place.urls[0]` holds the placeholder"),
        "{mistakes}"
    );
    let mut wanted = wanted;
    wanted["place"]["urls"] = json!([]);
    let mistakes = book.revised(Some(FILE), &wanted).unwrap_err();
    assert_eq!(mistakes.list().len(), 4, "{mistakes}");
    assert!(!mistakes.to_string().contains("canary"), "{mistakes}");
    let checked = book
        .revised(Some(FILE), &json!({"place": {"port": 1}}))
        .unwrap_err();
    assert!(
        checked.to_string().contains("`place.port` is 1"),
        "{checked}"
    );
}

#[test]
fn a_file_that_is_no_toml_shows_what_can_be_read_and_can_be_replaced() {
    let book = book(&[]);
    let broken = "[place]\nport = 80\nkey = \"canary\nrest";
    assert!(book.check(Some(broken)).is_err());
    assert!(!book.shown(Some(broken)).to_string().contains("canary"));
    assert_eq!(
        book.revised(Some(broken), &json!({"place": {"port": 8}}))
            .unwrap(),
        "[place]\nport = 8\n"
    );
    let address = "[place]\nurls = [\"nats://ada:canary@a\"]\n";
    assert_eq!(
        book.shown(Some(address)),
        json!({"place": {"urls": [format!("nats://{REDACTED}@a")]}})
    );
    let misspelt = "[place]\nkee = \"canary\"\n";
    assert_eq!(
        book.shown(Some(misspelt)),
        json!({"place": {"kee": REDACTED}})
    );
}

#[test]
fn every_secret_of_the_file_and_the_environment_is_known() {
    let folder = std::env::temp_dir().join(format!("openclaw-book-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("openclaw.toml");
    let env = vec![("OPENCLAW_PLACE_KEY".to_owned(), "canary-key".to_owned())];
    let book = Book::new::<Settings>(file.clone(), None, env, Names::default());
    assert_eq!(book.read().unwrap(), None);
    book.write(FILE).unwrap();
    assert_eq!(book.read().unwrap().as_deref(), Some(FILE));
    let secrets = book.secrets();
    let secrets: Vec<_> = secrets.iter().map(Secret::expose).collect();
    assert_eq!(secrets, ["canary-main", "canary-key"]);
    assert_eq!(
        fs::read_dir(&folder).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        book.write("").unwrap();
        assert_eq!(mode(&file), 0o640, "the rights are those that it had");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
        assert!(book.write(FILE).is_err());
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn forms_are_drawn_from_plain_types() {
    let book = book(&[]);
    let schema = book.schema();
    let place = &schema["properties"]["place"];
    assert_eq!(place["properties"]["port"]["maximum"], 65535);
    assert_eq!(place["description"], "Where it is.");
    assert_eq!(place["properties"]["max_wait"]["title"], "Max wait");
    let bots = &schema["properties"]["bots"]["additionalProperties"];
    assert_eq!(bots["properties"]["loud"]["type"], "boolean");
    let hints = book.hints();
    let hint = |path: &str| {
        hints
            .iter()
            .find(|(at, _)| at == path)
            .map(|(_, hint)| hint.clone())
    };
    assert!(hint("bots.*.token").unwrap().sensitive);
    let spot = book.spot("bots.main").unwrap();
    assert_eq!(spot.children.len(), 2);
    assert_eq!(book.spot("").unwrap().children[1].key, "place");
    assert_eq!(book.spot("bots").unwrap().children[0].key, "*");
    assert_eq!(book.spot("nowhere"), None);
}
