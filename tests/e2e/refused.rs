//! What keeps a gateway from starting, and what it says then: what is wrong, and what to do.

use std::{fs, net::TcpListener};

use tests::{
    eventually::eventually,
    gateway::Gateway,
    platforms::telegram::TOKEN,
    servers::Nats,
    stage::{Fakes, Hears, Stage},
};

/// Starts a gateway that cannot start and checks that it ends with code 1 and has said all of `words`.
fn refused(env: &[(&str, &str)], words: &[&str]) {
    let gateway = Gateway::start(env, &[]);
    refuses(&gateway, words);
}

fn refuses(gateway: &Gateway, words: &[&str]) {
    let (code, said) = gateway.ended();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("openclaw: "), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is missing in: {said}");
    }
}

#[test]
fn a_missing_nats_server_is_named_with_the_way_to_get_one() {
    let words = [
        "nats-server: OPENCLAW_NATS_SERVER names /nowhere/nats-server",
        "`./gateway up`",
    ];
    refused(&[("OPENCLAW_NATS_SERVER", "/nowhere/nats-server")], &words);
}

#[test]
fn a_missing_redis_server_is_named_with_the_way_to_get_one() {
    let words = [
        "redis-server: OPENCLAW_REDIS_SERVER names /nowhere/redis-server",
        "apt-get install redis-server",
    ];
    refused(
        &[("OPENCLAW_REDIS_SERVER", "/nowhere/redis-server")],
        &words,
    );
}

#[test]
fn a_server_that_does_not_run_shows_what_it_said() {
    refused(
        &[("OPENCLAW_NATS_SERVER", "/bin/false")],
        &["nats-server: ended while it started"],
    );
}

#[test]
fn a_taken_port_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let port = address.port().to_string();
    let whole = address.to_string();
    let ports = [
        ("OPENCLAW_GATEWAY_PORT", port.as_str(), "page"),
        ("OPENCLAW_GATEWAY_ADMIN_LISTEN", whole.as_str(), "admin API"),
        ("OPENCLAW_HEALTH_ADDRESS", whole.as_str(), "health"),
    ];
    for (variable, text, what) in ports {
        let sentence = format!("{address} for the {what} is taken by another program");
        refused(&[(variable, text)], &[&sentence, variable]);
    }
}

#[test]
fn all_mistakes_of_the_settings_are_told_at_once_and_none_is_shown() {
    let folder = super::private::folder();
    let file = folder.path().join("openclaw.toml");
    let text = "[gateway]\nprot = 1\n\n[agent]\nretries = \"many\"\n\n[bus]\nurls = [\"http://canary\"]\n\n[nonsense]\n";
    fs::write(&file, text).expect("settings file");
    let file = file.display().to_string();
    let env = [
        ("OPENCLAW_CONFIG", file.as_str()),
        ("OPENCLAW_LOG_LEVLE", "info"),
        ("OPENCLAW_GATEWAY_PORT", "canary"),
    ];
    let gateway = Gateway::start(&env, &[]);
    let lines = ["2", "5", "8", "10"].map(|line| format!("{file}:{line}: "));
    let mut words = vec![
        "6 mistakes in the settings",
        "`port`",
        "environment OPENCLAW_GATEWAY_PORT",
        "OPENCLAW_LOG_LEVEL",
    ];
    words.extend(lines.iter().map(String::as_str));
    refuses(&gateway, &words);
    assert!(
        !gateway.ended().1.contains("canary"),
        "a value may be a secret"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_without_a_good_secret_is_refused() {
    let fakes = Fakes::set(Hears::Webhook, "").await;
    let folder = super::private::folder();
    let weak = [("OPENCLAW_TELEGRAM_MAIN_WEBHOOK_SECRET", "15-chars-secret")];
    let gateway = fakes.gateway_in(folder.path(), &weak);
    refuses(
        &gateway,
        &[
            "`telegram.main.webhook_secret`",
            "16 to 256 characters",
            "openssl rand",
        ],
    );
    assert!(!gateway.ended().1.contains("15-chars-secret"));
    assert_eq!(
        fakes.telegram.calls("setWebhook").len(),
        0,
        "Telegram was told nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_gateway_on_the_same_folder_is_refused_and_the_first_goes_on() {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let folder = super::private::folder();
    let first = fakes.gateway_in(folder.path(), &[]);
    first.ready().await;
    let second = fakes.gateway_in(folder.path(), &[]);
    let holder = format!("another gateway (process {}) uses", first.process().pid());
    refuses(
        &second,
        &[
            &holder,
            &format!("kill {}", first.process().pid()),
            "--data <folder>",
        ],
    );
    fakes.say(&[7], 0..1);
    fakes.answered(&[7], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_comes_later_is_waited_for() {
    let nats = Nats::start();
    nats.kill();
    let gateway = Gateway::start(
        &[
            ("NATS_URL", &nats.url()),
            ("REDIS_URL", "redis://127.0.0.1:1"),
        ],
        &[],
    );
    let sentence = format!(
        "no bus answers at {}: start nats-server there, or set bus.urls",
        nats.addr()
    );
    eventually("a word about the bus", || async {
        gateway.process().log().contains(&sentence).then_some(())
    })
    .await;
    let health = gateway.health().await;
    let status = async |path| {
        reqwest::get(format!("{health}{path}"))
            .await
            .expect("health")
            .status()
            .as_u16()
    };
    assert_eq!((status("/live").await, status("/ready").await), (200, 503));
    nats.restart();
    gateway.ready().await;
    assert!(gateway.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_still_looks_for_its_bus_ends_when_told() {
    let gateway = Gateway::start(
        &[
            ("NATS_URL", "nats://127.0.0.1:1"),
            ("REDIS_URL", "redis://127.0.0.1:1"),
        ],
        &[],
    );
    gateway.health().await;
    assert!(gateway.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_people_are_answered_all_the_same() {
    let stage = Stage::set(Hears::Polling, "").await;
    stage.redis.kill();
    let gateway = stage.gateway();
    gateway.ready().await;
    stage.say(&[7, 8], 0..3);
    stage.answered(&[7, 8], 3).await;
    stage.redis.restart();
    assert!(gateway.terminate().success());
    assert!(!gateway.process().log().contains(TOKEN));
}
