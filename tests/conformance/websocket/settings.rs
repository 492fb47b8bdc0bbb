//! The settings and the log, looked at and changed by operators.

use std::{fs, path::PathBuf};

use chassis::settings::{Book, REDACTED};
use control_plane::Host;
use openclaw::{Settings, home::Home};
use tests::{eventually::eventually, official::assert_official, stage};

use super::*;

const FILE: &str = "# Ours.\n[gateway]\ntoken = \"canary-token-of-the-gateway-012345\"\n\n[agent]\nmodel = \"one\" # the cheap one\n";

/// A gateway whose settings stand in a file of its own.
async fn gateway(frozen: Option<&str>) -> (Gateway, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let (file, home) = (
        folder.path().join("openclaw.toml"),
        Home::at(Some(folder.path().into())).unwrap(),
    );
    fs::write(&file, FILE).unwrap();
    let book: Book = Settings::book(Some(&file), &home, frozen.map(Into::into));
    let host = Host {
        settings: Some(book),
        ..Host::default()
    };
    (
        Gateway::start_in(Arc::new(Nats::start()), |_| (), host).await,
        file,
        folder,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_shown_without_secrets_and_with_all_there_is_to_set() {
    let (gateway, file, _folder) = gateway(None).await;
    for protocol in [3, 4] {
        let mut client = gateway.client(protocol).await;
        let got = client.done("config.get", json!({})).await;
        assert_eq!(got["path"], file.display().to_string());
        assert_eq!(
            (&got["exists"], &got["valid"], &got["issues"]),
            (&json!(true), &json!(true), &json!([]))
        );
        assert_eq!(
            got["config"],
            json!({"gateway": {"token": REDACTED}, "agent": {"model": "one"}})
        );
        let raw: Value = serde_json::from_str(got["raw"].as_str().unwrap()).unwrap();
        assert_eq!(raw, got["config"]);
        assert_eq!(got["runtimeConfig"]["gateway"]["port"], 18789);
        assert!(!got.to_string().contains("canary"));

        let schema = client.done("config.schema", json!({})).await;
        assert_official(protocol, "ConfigSchemaResponse", &schema);
        assert_eq!(
            schema["schema"]["properties"]["gateway"]["properties"]["port"]["type"],
            "integer"
        );
        assert_eq!(schema["uiHints"]["telegram.*.token"]["sensitive"], true);
        let found = client
            .done("config.schema.lookup", json!({"path": "gateway"}))
            .await;
        assert_official(4, "ConfigSchemaLookupResult", &found);
        let found = client
            .done(
                "config.schema.lookup",
                json!({"path": "telegram.main.token"}),
            )
            .await;
        assert_official(4, "ConfigSchemaLookupResult", &found);
        let error = client
            .refused("config.schema.lookup", json!({"path": "no.such"}))
            .await;
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .contains("not found: no.such"),
            "{error}"
        );
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_keeps_secrets_and_comments_and_needs_the_newest_hash() {
    let (gateway, file, _folder) = gateway(None).await;
    let mut client = gateway.client(4).await;
    let got = client.done("config.get", json!({})).await;
    let mut wanted = got["config"].clone();
    wanted["agent"]["model"] = json!("two");
    let raw = wanted.to_string();
    let error = client.refused("config.set", json!({"raw": raw})).await;
    let message = error["message"].as_str().unwrap();
    assert!(
        message.starts_with("config base hash required")
            && message.ends_with("re-run config.get and retry")
    );
    let set = client
        .done("config.set", json!({"raw": raw, "baseHash": got["hash"]}))
        .await;
    assert_eq!(
        (&set["ok"], &set["changedPaths"]),
        (&json!(true), &json!(["agent.model"]))
    );
    assert_eq!(
        (&set["restartRequired"], &set["restart"]["ok"]),
        (&json!(true), &json!(false))
    );
    assert!(!set.to_string().contains("canary"));
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        FILE.replace("\"one\"", "\"two\"")
    );

    let error = client
        .refused("config.set", json!({"raw": raw, "baseHash": got["hash"]}))
        .await;
    assert_eq!(
        error["message"],
        "config changed since last load; re-run config.get and retry"
    );
    let patch = "{ agent: { model: null, max_output_chars: 100, }, /* mine */ }";
    let patched = client
        .done(
            "config.patch",
            json!({"raw": patch, "baseHash": set["hash"]}),
        )
        .await;
    assert_eq!(
        patched["changedPaths"],
        json!(["agent.model", "agent.max_output_chars"])
    );
    assert!(
        patched["restart"]["reason"]
            .as_str()
            .unwrap()
            .contains("by hand"),
        "{patched}"
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("canary-token") && text.contains("max_output_chars = 100"),
        "{text}"
    );
    // TOML is taken as well.
    let toml = format!("[gateway]\ntoken = \"{REDACTED}\"\n");
    let set = client
        .done(
            "config.set",
            json!({"raw": toml, "baseHash": patched["hash"]}),
        )
        .await;
    assert_eq!(set["config"], json!({"gateway": {"token": REDACTED}}));
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_change_is_refused_with_every_mistake_and_changes_nothing() {
    let (gateway, file, _folder) = gateway(None).await;
    let mut client = gateway.client(4).await;
    let hash = client.done("config.get", json!({})).await["hash"].clone();
    let raw = json!({"gateway": {"prt": 5, "port": "x"}, "agent": {"url": REDACTED}}).to_string();
    for verb in ["set", "apply", "patch"] {
        let params = json!({"raw": raw, "baseHash": hash});
        let error = client.refused(&format!("config.{verb}"), params).await;
        assert!(
            error["message"]
                .as_str()
                .unwrap()
                .starts_with("invalid config: "),
            "{error}"
        );
        assert_eq!(error["details"]["issues"][0]["path"], "agent.url");
    }
    let raw = json!({"gateway": {"prt": 5, "port": "canary"}}).to_string();
    let error = client
        .refused("config.set", json!({"raw": raw, "baseHash": hash}))
        .await;
    assert_eq!(
        error["details"]["issues"].as_array().unwrap().len(),
        2,
        "{error}"
    );
    assert!(!error.to_string().contains("canary"));
    for (raw, why) in [
        ("[]", "config.set raw is neither a JSON5 object nor TOML"),
        ("{", "config.set raw is no JSON5: line 1, column 2"),
        (
            "",
            "invalid config.set params: at /raw: must NOT have fewer than 1 characters",
        ),
    ] {
        let error = client
            .refused("config.set", json!({"raw": raw, "baseHash": hash}))
            .await;
        assert!(
            error["message"].as_str().unwrap().starts_with(why),
            "{error}"
        );
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
    fs::write(&file, "[agent]\nmodel = 5\n").unwrap();
    let got = client.done("config.get", json!({})).await;
    assert_eq!(
        (&got["valid"], &got["issues"][0]["path"]),
        (&json!(false), &json!("agent.model"))
    );
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_admin_of_a_gateway_in_one_process_changes_settings() {
    let (gateway, file, _folder) = gateway(Some("change them elsewhere")).await;
    let mut client = gateway.client(4).await;
    let got = client.done("config.get", json!({})).await;
    assert_eq!(got["writable"], false);
    let params = json!({"raw": "{}", "baseHash": got["hash"]});
    let error = client.refused("config.set", params.clone()).await;
    assert_eq!(error["message"], "change them elsewhere");
    let mut writer = Client::open(gateway.at, "/", &[]).await;
    let scopes = json!(["operator.read", "operator.write", "operator.approvals"]);
    writer
        .shake(connect_with(4, |params| params["scopes"] = scopes))
        .await;
    for verb in ["set", "patch", "apply"] {
        let error = writer
            .refused(&format!("config.{verb}"), params.clone())
            .await;
        assert_eq!(error["details"]["missingScope"], "operator.admin");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), FILE);
    gateway.stop().await;
    let bare = Gateway::start().await;
    let error = bare.client(4).await.refused("config.get", json!({})).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("how it is started"),
        "{error}"
    );
    bare.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn applied_settings_hold_after_the_gateway_began_anew_and_its_log_is_read_from_afar() {
    let fakes = stage::Fakes::set(stage::Hears::Polling, "").await;
    let program = fakes.gateway();
    program.ready().await;
    let at: SocketAddr = program.ws().trim_start_matches("ws://").parse().unwrap();
    let mut client = Client::open(at, "/", &[]).await;
    client.shake(connect(4)).await;
    let tail = client
        .done("logs.tail", json!({"limit": 5, "maxBytes": 250_000}))
        .await;
    assert_official(4, "LogsTailResult", &tail);
    assert_official(3, "LogsTailResult", &tail);
    assert_eq!(
        (tail["lines"].as_array().unwrap().len(), &tail["reset"]),
        (5, &json!(false))
    );
    let line: Value = serde_json::from_str(tail["lines"][4].as_str().unwrap()).unwrap();
    assert!(
        line["1"].is_string() && line["_meta"]["logLevelName"].is_string(),
        "{line}"
    );
    let since = client
        .done("logs.tail", json!({"cursor": tail["cursor"]}))
        .await;
    assert_eq!(since["reset"], false);
    let all = client
        .done("logs.tail", json!({"limit": 5000, "maxBytes": 1_000_000}))
        .await;
    for secret in [tests::platforms::telegram::TOKEN, stage::GATEWAY_TOKEN] {
        assert!(!all.to_string().contains(secret));
    }

    let got = client.done("config.get", json!({})).await;
    assert_eq!(got["config"]["agent"]["model"], "fake");
    let params = json!({"raw": r#"{"agent": {"model": "anew"}}"#, "baseHash": got["hash"], "restartDelayMs": 0});
    let patched = client.done("config.patch", params).await;
    assert_eq!(patched["restart"]["ok"], true, "{patched}");
    while !matches!(client.next().await, Heard::Close(1012, _)) {}
    let models = eventually("the gateway to serve anew", || async {
        let stream = TcpStream::connect(at).await.ok()?;
        drop(stream);
        let mut client = Client::try_open(at, "/", &[]).await.ok()?;
        client.shake(connect(4)).await;
        let answer = client.call("models.list", json!({})).await;
        (answer["ok"] == true).then(|| answer["payload"].clone())
    })
    .await;
    assert_eq!(models["models"][0]["id"], "anew");
    assert!(
        program.terminate().success(),
        "it is still the process that was started"
    );
}
