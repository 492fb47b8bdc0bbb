//! What is deployed with containers fits the program and the servers: settings, names of variables, configurations.

use std::{fs, process::Command};

use tests::{
    eventually::blocking,
    gateway::{openclaw, root},
    process::{Process, tool},
    servers::free_port,
};

/// A secret as people make them, of digits that a server could take for a number.
const DIGITS: &str = "1234567890123456789012345e6";

#[test]
fn the_settings_of_the_containers_are_good() {
    let compose =
        fs::read_to_string(root().join("docker-compose.yml")).expect("docker-compose.yml");
    let folder = super::private::folder();
    let mut command = openclaw(folder.path());
    command.args(["config", "check"]);
    let mut named = Vec::new();
    for line in compose
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
    {
        let text = match line.0 {
            "OPENCLAW_CONFIG" => root().join("deploy/openclaw.toml").display().to_string(),
            "REDIS_URL" => format!("redis://:{DIGITS}@redis:6379"),
            "OPENAI_BASE_URL" => "http://model:8080/v1".into(),
            "TELEGRAM_BOT_TOKEN" | "OPENAI_API_KEY" => DIGITS.into(),
            name if name.starts_with("OPENCLAW_") => DIGITS.into(),
            _ => continue,
        };
        command.env(line.0, text);
        named.push(line.0);
    }
    assert!(named.len() >= 7, "{named:?}");
    let output = command.output().expect("the program runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_shared_nats_server_takes_its_settings() {
    let settings = root().join("deploy/nats-server.conf");
    let test = |token: Option<&str>| {
        let mut command = Command::new(tool("nats-server", "OPENCLAW_NATS_SERVER"));
        command
            .arg("-t")
            .arg("--config")
            .arg(&settings)
            .env_remove("NATS_TOKEN");
        command.envs(token.map(|token| ("NATS_TOKEN", token)));
        command.output().expect("nats-server runs")
    };
    let good = test(Some(&format!("\"{DIGITS}\"")));
    assert!(
        good.status.success(),
        "{}",
        String::from_utf8_lossy(&good.stderr)
    );
    assert!(
        !test(None).status.success(),
        "nobody runs it without a token by mistake"
    );
}

#[test]
fn the_shared_redis_server_takes_its_settings() {
    let folder = super::private::folder();
    let mut command = Command::new(tool("redis-server", "OPENCLAW_REDIS_SERVER"));
    command.arg(root().join("deploy/redis.conf")).args([
        "--port",
        &free_port().to_string(),
        "--bind",
        "127.0.0.1",
    ]);
    command
        .arg("--dir")
        .arg(folder.path())
        .args(["--requirepass", DIGITS]);
    let redis = Process::start("redis-server", command, &folder.path().join("log"));
    blocking("redis-server to start", || {
        redis.assert_runs();
        redis
            .log()
            .contains("eady to accept connections")
            .then_some(())
    });
}
