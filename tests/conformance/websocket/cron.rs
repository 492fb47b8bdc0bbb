//! Jobs by the clock, as clients of both protocols make them and see them run.

use super::*;

mod running;

fn minutely() -> Value {
    json!({
        "name": "tea", "schedule": {"kind": "every", "everyMs": 60_000}, "sessionTarget": "main",
        "wakeMode": "now", "payload": {"kind": "systemEvent", "text": "the tea is ready"},
    })
}

fn isolated() -> Value {
    json!({
        "name": "news", "schedule": {"kind": "cron", "expr": "0 9 * * 1-5", "tz": "Europe/Berlin"},
        "sessionTarget": "isolated", "wakeMode": "now", "delivery": {"mode": "none"},
        "payload": {"kind": "agentTurn", "message": "what is new?", "model": "fast", "timeoutSeconds": 30},
    })
}

#[tokio::test]
async fn a_job_reads_in_the_words_of_each_protocol() {
    let gateway = Gateway::start().await;
    let (mut old, mut new) = (gateway.client(3).await, gateway.client(4).await);
    let at = |schedule: Value| {
        let mut job = minutely();
        job["schedule"] = schedule;
        job
    };
    let made = new
        .done(
            "cron.add",
            at(json!({"kind": "at", "at": "2099-01-02T03:04:05+01:00"})),
        )
        .await;
    assert_eq!(
        made["schedule"],
        json!({"kind": "at", "at": "2099-01-02T02:04:05.000Z"})
    );
    assert_eq!(made["deleteAfterRun"], true);
    assert_eq!(made["deliveryPreview"]["label"], "not requested");
    assert!(
        made["configRevision"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    let listed = old.done("cron.list", json!({})).await;
    let at_ms = listed["jobs"][0]["schedule"]["atMs"].as_i64().unwrap();
    assert_eq!(listed["jobs"][0]["state"]["nextRunAtMs"], at_ms);
    assert_eq!(
        listed.as_object().unwrap().len(),
        1,
        "protocol 3 has no pages"
    );

    let made = old
        .done("cron.add", at(json!({"kind": "at", "atMs": at_ms})))
        .await;
    assert_eq!(made["schedule"], json!({"kind": "at", "atMs": at_ms}));
    assert!(made.get("deleteAfterRun").is_none() && made.get("configRevision").is_none());
    let found = new.done("cron.get", json!({"id": made["id"]})).await;
    assert_eq!(found["schedule"]["at"], "2099-01-02T02:04:05.000Z");
}

#[tokio::test]
async fn jobs_are_listed_in_pages_with_the_heartbeat_among_them() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    for name in ["a", "b", "c"] {
        let mut job = minutely();
        job["name"] = name.into();
        job["enabled"] = (name != "b").into();
        client.done("cron.add", job).await;
    }
    let page = |offset: u64| json!({"includeDisabled": true, "query": "the", "sortBy": "name", "limit": 2, "offset": offset});
    let nothing = client.done("cron.list", page(0)).await;
    // The heartbeat's description is the only one that has the word.
    assert_eq!(nothing["total"], 1);
    assert_eq!(nothing["jobs"][0]["payload"], json!({"kind": "heartbeat"}));
    let all = json!({"includeDisabled": true, "sortBy": "name", "limit": 2});
    let first = client.done("cron.list", all).await;
    assert_eq!(
        (&first["total"], &first["hasMore"], &first["nextOffset"]),
        (&json!(4), &json!(true), &json!(2))
    );
    assert_eq!(first["jobs"][1]["name"], "b");
    let enabled = client
        .done("cron.list", json!({"enabled": "enabled"}))
        .await;
    assert_eq!(enabled["total"], 2);
    let status = client.done("cron.status", json!({})).await;
    assert_eq!(
        (&status["enabled"], &status["jobs"]),
        (&json!(true), &json!(4))
    );
    assert!(status["nextWakeAtMs"].is_u64());
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_with_what_would() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let cases = [
        (
            "/schedule",
            json!({"kind": "cron", "expr": "0 25 * * *"}),
            "\"0 25 * * *\" cannot be read",
        ),
        (
            "/schedule",
            json!({"kind": "cron", "expr": "0 9 * *"}),
            "has 4 fields; write five fields",
        ),
        (
            "/schedule",
            json!({"kind": "cron", "expr": "0 9 * * *", "tz": "Berlin"}),
            "IANA list such as Europe/Berlin",
        ),
        (
            "/schedule",
            json!({"kind": "cron", "expr": "0 0 30 2 *"}),
            "its time never comes",
        ),
        (
            "/schedule",
            json!({"kind": "at", "at": "tomorrow"}),
            "2026-12-24T18:00:00Z",
        ),
        (
            "/schedule",
            json!({"kind": "at", "at": "2001-01-01T00:00:00Z"}),
            "lies in the past",
        ),
        (
            "/schedule",
            json!({"kind": "every", "everyMs": 1}),
            "must be >= 1000",
        ),
        (
            "/schedule",
            json!({"kind": "on-exit", "command": "x"}),
            "starts no programs",
        ),
        (
            "/payload",
            json!({"kind": "command", "argv": ["ls"]}),
            "runs no commands",
        ),
        (
            "/payload",
            json!({"kind": "agentTurn", "message": "x"}),
            "for agentTurn use sessionTarget isolated",
        ),
        (
            "/delivery",
            json!({"mode": "webhook", "to": "http://x"}),
            "calls no webhooks",
        ),
        ("/trigger", json!({"script": "x"}), "trigger is not served"),
    ];
    for (place, value, expected) in cases {
        let mut job = minutely();
        job[&place[1..]] = value;
        let error = client.refused("cron.add", job).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected), "{place}: {message}");
    }
    let error = client.refused("cron.add", json!({"name": "x"})).await;
    assert_eq!(
        error["message"],
        "invalid cron.add params: must have required property 'schedule'"
    );
    for method in ["cron.get", "cron.update", "cron.remove", "cron.run"] {
        let error = client
            .refused(method, json!({"id": "none", "patch": {}}))
            .await;
        assert_eq!(error["code"], "CRON_JOB_NOT_FOUND", "{method}");
    }
    let mut old = gateway.client(3).await;
    assert_eq!(
        old.done("cron.remove", json!({"jobId": "none"})).await,
        json!({"ok": true, "removed": false})
    );
}

#[tokio::test]
async fn a_changed_job_keeps_what_was_not_named() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let job = client.done("cron.add", isolated()).await;
    let patch = json!({"name": "evening news", "payload": {"kind": "agentTurn", "timeoutSeconds": 60},
                       "schedule": {"kind": "every", "everyMs": 5000}});
    let params =
        json!({"id": job["id"], "patch": patch, "expectedConfigRevision": job["configRevision"]});
    let changed = client.done("cron.update", params.clone()).await;
    assert_eq!(changed["name"], "evening news");
    assert_eq!(
        changed["payload"],
        json!({"kind": "agentTurn", "message": "what is new?", "model": "fast", "timeoutSeconds": 60})
    );
    let stale = client.refused("cron.update", params).await;
    assert!(stale["message"].as_str().unwrap().contains("read it again"));
    let off = json!({"id": job["id"], "patch": {"enabled": false}});
    let off = client.done("cron.update", off).await;
    assert_eq!(
        (&off["enabled"], off["state"].get("nextRunAtMs")),
        (&json!(false), None)
    );
}
