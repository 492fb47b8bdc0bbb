//! Runs of jobs: asked once, told, kept, and sent where the job says.

use bus::{Bucket, Outcome, Source};
use proto::{
    subject,
    v1::{Connection, Intent, IntentState, Outbound, inbound::Body, outbound::Action},
};
use tests::eventually::eventually;
use tokio::sync::mpsc;

use super::{
    super::{
        chat::{answered, happen, route, routed},
        *,
    },
    isolated, minutely,
};

fn text(inbound: &proto::v1::Inbound) -> &str {
    match &inbound.body {
        Some(Body::Said(said)) => &said.parts[0].text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_by_hand_asks_the_agent_once_and_is_told_and_kept() {
    let gateway = Gateway::start().await;
    let (mut client, mut told) = (gateway.client(4).await, route(&gateway));
    let job = client.done("cron.add", isolated()).await;
    let id = job["id"].as_str().unwrap();
    assert_eq!(client.event("cron").await["payload"]["action"], "added");
    let ran = client
        .done("cron.run", json!({"id": id, "mode": "force"}))
        .await;
    assert_eq!(
        (&ran["ran"], &ran["enqueued"]),
        (&json!(true), &json!(true))
    );
    let run_id = ran["runId"].as_str().unwrap().to_owned();
    let again = client.done("cron.run", json!({"id": id})).await;
    assert_eq!(
        (&again["ran"], &again["reason"]),
        (&json!(false), &json!("already-running"))
    );
    let (_, inbound) = routed(&mut told).await;
    assert!(
        text(&inbound).starts_with("[cron: news, ") && text(&inbound).ends_with("what is new?")
    );
    assert_eq!(inbound.session_key, format!("cron:job:{id}"));
    let wish = inbound.wish.as_ref().unwrap();
    assert!(wish.fresh && wish.allowed_ms == 30_000);
    assert_eq!(
        (wish.run_id.as_str(), wish.preferences["model"].as_str()),
        (&*run_id, "fast")
    );
    let started = client.event("cron").await["payload"].clone();
    assert_eq!(
        (&started["action"], &started["runId"]),
        (&json!("started"), &ran["runId"])
    );
    happen(&gateway, &inbound.id, answered("nothing new")).await;
    let finished = client.event("cron").await["payload"].clone();
    assert_eq!(
        (
            &finished["action"],
            &finished["status"],
            &finished["summary"]
        ),
        (&json!("finished"), &json!("ok"), &json!("nothing new"))
    );
    let runs = client.done("cron.runs", json!({"id": id})).await;
    assert_eq!(
        (&runs["total"], &runs["entries"][0]["runId"]),
        (&json!(1), &ran["runId"])
    );
    let mut old = gateway.client(3).await;
    let runs = old.done("cron.runs", json!({"jobId": id})).await;
    assert!(
        runs["entries"][0].get("runId").is_none(),
        "protocol 3 knows no such field"
    );
    let listed = old
        .done("cron.list", json!({"includeDisabled": true}))
        .await;
    let state = &listed["jobs"][0]["state"];
    assert_eq!(
        (&state["lastStatus"], state.get("runningAtMs")),
        (&json!("ok"), None)
    );
}

#[tokio::test]
async fn a_job_for_once_runs_by_the_clock_and_is_gone() {
    let gateway = Gateway::start().await;
    let (mut client, mut told) = (gateway.client(4).await, route(&gateway));
    let mut job = minutely();
    let soon = chassis::clock::now_ms() + 300;
    job["schedule"] = json!({"kind": "at", "atMs": soon});
    let id = client.done("cron.add", job).await["id"].clone();
    let (_, inbound) = routed(&mut told).await;
    assert!(chassis::clock::now_ms() >= soon, "never before its time");
    assert_eq!(
        (text(&inbound), inbound.session_key.as_str()),
        ("[cron: tea] the tea is ready", "webchat:main")
    );
    happen(&gateway, &inbound.id, answered("thank you")).await;
    while client.event("cron").await["payload"]["action"] != "removed" {}
    client.refused("cron.get", json!({"id": id})).await;
    let runs = client.done("cron.runs", json!({"id": id})).await;
    assert_eq!(
        runs["entries"][0]["status"], "ok",
        "what became of it is kept"
    );
}

#[tokio::test]
async fn a_failed_run_says_why_and_counts() {
    let gateway = Gateway::start().await;
    let (mut client, mut told) = (gateway.client(4).await, route(&gateway));
    let id = client.done("cron.add", isolated()).await["id"].clone();
    client.done("cron.run", json!({"id": id})).await;
    let (_, inbound) = routed(&mut told).await;
    let failed = proto::v1::Failed {
        message: "the model is away".into(),
        ..Default::default()
    };
    happen(
        &gateway,
        &inbound.id,
        proto::v1::event::What::Failed(failed),
    )
    .await;
    while client.event("cron").await["payload"]["action"] != "finished" {}
    let job = client.done("cron.get", json!({"id": id})).await;
    assert_eq!(
        (
            &job["state"]["lastError"],
            &job["state"]["consecutiveErrors"]
        ),
        (&json!("the model is away"), &json!(1))
    );
}

#[tokio::test]
async fn an_answer_is_sent_where_the_job_says_and_what_says_nothing_is_not() {
    let gateway = Gateway::start().await;
    let connection = Connection {
        platform: "telegram".into(),
        account: "main".into(),
        ..Connection::default()
    };
    let connections = gateway.bus.bucket(Bucket::Connections);
    connections.put("telegram.main", &connection).await.unwrap();
    let (mut client, mut told) = (gateway.client(4).await, route(&gateway));
    let mut out = adapt(&gateway);
    let mut job = isolated();
    job["delivery"] = json!({"mode": "announce", "channel": "telegram", "to": "77"});
    let id = client.done("cron.add", job).await["id"].clone();
    for (answer, sent) in [("rain at noon", true), ("HEARTBEAT_OK", false)] {
        client.done("cron.run", json!({"id": id})).await;
        let (_, inbound) = routed(&mut told).await;
        happen(&gateway, &inbound.id, answered(answer)).await;
        if sent {
            let outbound = tokio::time::timeout(DEADLINE, out.recv());
            let outbound = outbound.await.expect("the answer is sent").unwrap();
            assert_eq!(outbound.to.unwrap().conversation, "77");
            let Some(Action::Text(text)) = outbound.action else {
                panic!("no text")
            };
            assert_eq!(text.markdown, answer);
            // Plays the adapter.
            let mut intent = Intent {
                chunks: 1,
                ..Intent::default()
            };
            intent.set_state(IntentState::Sent);
            let key = proto::id::of_chunk(&outbound.id, 0);
            gateway
                .bus
                .bucket(Bucket::Intents)
                .put(&key, &intent)
                .await
                .unwrap();
        }
        while client.event("cron").await["payload"]["action"] != "finished" {}
        let job = client.done("cron.get", json!({"id": id})).await;
        let delivery = if sent { "delivered" } else { "not-requested" };
        assert_eq!(job["state"]["lastDeliveryStatus"], delivery, "{answer}");
    }
    assert!(out.try_recv().is_err(), "nothing else is sent");
}

/// Plays the adapter: takes what is on its way out.
fn adapt(gateway: &Gateway) -> mpsc::UnboundedReceiver<Outbound> {
    let (tell, told) = mpsc::unbounded_channel();
    let (bus, stop) = (gateway.bus.clone(), gateway.stop.clone());
    tokio::spawn(async move {
        let source = Source {
            stream: "OUT",
            group: "adapter".into(),
            shards: vec![subject::account("telegram", "main")],
            in_hand: 8,
        };
        let handle = |delivery: bus::Delivery<Outbound>| {
            let _ = tell.send(delivery.message);
            async { Outcome::Ack }
        };
        let lane = |outbound: &Outbound| outbound.id.clone();
        let _ = bus::consume(&bus, source, &stop, lane, handle).await;
    });
    told
}

#[tokio::test]
async fn jobs_outlive_the_gateway_and_one_that_was_missed_runs_once() {
    let nats = std::sync::Arc::new(Nats::start());
    let bus = Bus::connect(nats.settings()).await.unwrap();
    let long_ago = chassis::clock::now_ms() - 600_000;
    for (id, grace) in [("recent", 600_000), ("old", 86_400_000)] {
        let job = proto::v1::Job {
            id: id.into(),
            name: id.into(),
            enabled: true,
            when: Some(proto::v1::job::When::Every(proto::v1::JobEvery {
                every_ms: 2 * grace,
                anchor_ms: chassis::clock::now_ms() - grace,
            })),
            what: Some(proto::v1::job::What::Event(proto::v1::JobEvent {
                text: id.into(),
            })),
            session_target: "main".into(),
            wake_mode: "now".into(),
            next_at_ms: long_ago.min(chassis::clock::now_ms() - grace),
            ..Default::default()
        };
        bus.bucket(Bucket::Jobs).put(id, &job).await.unwrap();
    }
    let gateway = Gateway::start_on(nats, |_| ()).await;
    let (mut client, mut told) = (gateway.client(4).await, route(&gateway));
    let (_, inbound) = routed(&mut told).await;
    assert_eq!(text(&inbound), "[cron: recent] recent");
    happen(&gateway, &inbound.id, answered("ok")).await;
    eventually("the old one to be noted", || async {
        let runs = gateway.bus.bucket(Bucket::Runs);
        let noted = runs.under::<proto::v1::JobRun>("old").await.ok()?;
        (!noted.is_empty()).then_some(())
    })
    .await;
    let runs = client.done("cron.runs", json!({"id": "old"})).await;
    let skipped = &runs["entries"][0];
    assert_eq!(skipped["status"], "skipped");
    assert!(
        skipped["error"]
            .as_str()
            .unwrap()
            .contains("missed_grace_s")
    );
    assert!(told.try_recv().is_err(), "nothing else was run");
}
