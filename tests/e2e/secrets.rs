//! What nobody may read: secrets and people's words stand in no log, no command line and no open file.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use tests::{
    platforms::telegram::TOKEN,
    stage::{Fakes, Hears},
};

const MODEL_KEY: &str = "canary-of-the-model-key-0123456789";
const WORDS: &str = "canary of a persons words";

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_and_no_word_of_a_person_is_written_where_others_read() {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let folder = super::private::folder();
    let env = [
        ("OPENCLAW_GATEWAY_TOKEN", ""),
        ("OPENAI_API_KEY", MODEL_KEY),
        ("OPENCLAW_LOG_LEVEL", "debug"),
    ];
    let gateway = fakes.gateway_in(folder.path(), &env);
    gateway.ready().await;
    fakes.telegram.say(7, WORDS);
    fakes.telegram.wait_sent(7, 1).await;
    assert!(
        fakes.model.requests()[0].authorization.ends_with(MODEL_KEY),
        "the key is in use"
    );

    let own = gateway.token().await;
    let of = |file: &str, word: &str, mark: char| {
        let text = fs::read_to_string(folder.path().join(file)).expect(file);
        let rest = text
            .split_once(word)
            .expect(file)
            .1
            .trim_start_matches([' ', mark]);
        rest.split([mark, '\n'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let secrets = [
        TOKEN.to_owned(),
        MODEL_KEY.to_owned(),
        WORDS.to_owned(),
        own,
        of("nats/nats-server.conf", "token:", '"'),
        of("redis/redis-server.conf", "requirepass", ' '),
    ];
    assert!(
        secrets.iter().all(|secret| secret.len() >= 16),
        "each is worth looking for"
    );

    let metrics = reqwest::get(format!("{}/metrics", gateway.health().await))
        .await
        .expect("metrics");
    let mut seen = vec![("metrics".to_owned(), metrics.text().await.expect("metrics"))];
    assert!(gateway.terminate().success());
    seen.extend(logs(folder.path()));
    assert!(
        seen.len() >= 4,
        "logs of the gateway and of both servers: {seen:?}"
    );
    assert!(
        seen.iter()
            .any(|(_, text)| text.contains("\"level\":\"DEBUG\"")),
        "all is told that can be"
    );
    for (place, text) in &seen {
        for secret in &secrets {
            assert!(!text.contains(secret), "{place} holds `{secret}`");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn command_lines_hold_no_secret() {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let folder = super::private::folder();
    let gateway = fakes.gateway_in(folder.path(), &[("OPENAI_API_KEY", MODEL_KEY)]);
    gateway.ready().await;
    let conf =
        fs::read_to_string(gateway.folder().join("nats/nats-server.conf")).expect("settings");
    let nats = conf
        .split_once("token: \"")
        .expect("a token")
        .1
        .split('"')
        .next()
        .unwrap_or_default()
        .to_owned();
    let processes = fs::read_dir("/proc")
        .expect("processes")
        .filter_map(Result::ok);
    for process in processes {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        for secret in [TOKEN, MODEL_KEY, tests::stage::GATEWAY_TOKEN, &nats] {
            assert!(!line.contains(secret), "{line} holds `{secret}`");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_holds_a_secret_is_for_the_user_alone() {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let folder = super::private::folder();
    let gateway = fakes.gateway_in(folder.path(), &[("OPENCLAW_GATEWAY_TOKEN", "")]);
    gateway.ready().await;
    let mode = |part: &str| {
        let file = gateway.folder().join(part);
        fs::metadata(&file)
            .unwrap_or_else(|error| panic!("{part}: {error}"))
            .permissions()
            .mode()
            & 0o777
    };
    for file in ["token", "nats/nats-server.conf", "redis/redis-server.conf"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    for folder in ["nats", "redis"] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
}

/// All files of logs below `folder`, with what stands in them.
fn logs(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)
        .expect("readable folder")
        .filter_map(Result::ok)
    {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(logs(&path));
        } else if name.ends_with(".log") || name.starts_with("log.") {
            let text = fs::read(&path).expect("readable log");
            found.push((
                path.display().to_string(),
                String::from_utf8_lossy(&text).into_owned(),
            ));
        }
    }
    found
}
