//! `agent` and `agent.wait`: two answers under one id, real turns, and no turn twice.

use std::time::Duration;

use tests::model::{Answer, Fault};

use super::{services::Services, *};

mod delivery;

impl Client {
    /// Calls `agent`; the first answer.
    pub(super) async fn ask_agent(&mut self, id: &str, params: Value) -> Value {
        self.send(&json!({"type": "req", "id": id, "method": "agent", "params": params}))
            .await;
        self.answer(id).await
    }

    /// The next answer, which is to the request `id`.
    pub(super) async fn answer(&mut self, id: &str) -> Value {
        let Heard::Frame(frame) = self.next_answer().await else {
            panic!("closed")
        };
        assert_eq!(frame["id"], id, "{frame}");
        frame
    }

    /// Names and payloads of the `agent` and `chat` events up to the end of the run `id`.
    async fn told_of(&mut self, id: &str) -> Vec<(String, Value)> {
        let mut told = Vec::new();
        loop {
            let event = match self.events.pop_front() {
                Some(event) => event,
                None => match self.next().await {
                    Heard::Frame(frame) => frame,
                    close => panic!("{close:?}"),
                },
            };
            let name = event["event"].as_str().unwrap_or_default().to_owned();
            let payload = &event["payload"];
            if !matches!(name.as_str(), "agent" | "chat") || payload["runId"] != id {
                continue;
            }
            let last = ["final", "aborted", "error"]
                .iter()
                .any(|it| payload["state"] == *it);
            told.push((name, payload.clone()));
            if last {
                return told;
            }
        }
    }
}

fn question(key: &str) -> Value {
    json!({"message": "hello", "agentId": "main", "deliver": false, "timeout": 600, "idempotencyKey": key})
}

#[tokio::test]
async fn an_agent_is_asked_once_and_answers_twice_under_one_id() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    for protocol in [3, 4] {
        let key = format!("key-{protocol}");
        let mut client = gateway.client(protocol).await;
        let first = client.ask_agent("a", question(&key)).await["payload"].clone();
        assert_eq!(
            (&first["runId"], &first["status"]),
            (&json!(key), &json!("accepted"))
        );
        assert!(first["acceptedAt"].as_i64().unwrap() > 0);
        let session = (protocol == 4).then_some("agent:main:main");
        assert_eq!(first["sessionKey"].as_str(), session);
        let last = client.answer("a").await["payload"].clone();
        assert_eq!(
            (&last["status"], &last["summary"]),
            (&json!("ok"), &json!("completed"))
        );
        let payloads = json!([{"text": "you said: hello", "mediaUrl": null}]);
        assert_eq!(last["result"]["payloads"], payloads);
        let meta = &last["result"]["meta"]["agentMeta"];
        assert!(meta["usage"]["total"].as_u64().unwrap() > 0, "{meta}");
        let again = client.ask_agent("b", question(&key)).await["payload"].clone();
        let status = if protocol == 4 {
            "in_flight"
        } else {
            "accepted"
        };
        assert_eq!(again["status"], status);
        assert_eq!(
            client.answer("b").await["payload"]["result"]["payloads"],
            payloads
        );
        let other = json!({"message": "other", "agentId": "main", "idempotencyKey": key});
        let refused = client.ask_agent("c", other).await["error"].clone();
        assert_eq!(refused["details"]["reason"], "chat-request-conflict");
    }
    assert_eq!(house.model.asked(), 2);
}

#[tokio::test]
async fn a_run_is_told_as_both_protocols_know_it() {
    let gateway = Gateway::start().await;
    let _house = Services::around(&gateway).await;
    let (mut old, mut new) = (gateway.client(3).await, gateway.client(4).await);
    new.ask_agent("a", question("key-1")).await;
    for (client, protocol) in [(&mut old, 3), (&mut new, 4)] {
        let told = client.told_of("key-1").await;
        let of = |name: &str, key: &str, value: &str| {
            told.iter()
                .filter(move |(event, payload)| event == name && payload[key] == value)
                .map(|(_, payload)| payload.clone())
                .collect::<Vec<_>>()
        };
        let numbers: Vec<_> = told
            .iter()
            .map(|(_, it)| it["seq"].as_u64().unwrap())
            .collect();
        assert!(
            numbers.windows(2).all(|pair| pair[0] < pair[1]),
            "{numbers:?}"
        );
        assert_eq!(
            of("chat", "state", "status").len(),
            usize::from(protocol == 4)
        );
        assert_eq!(
            of("agent", "stream", "usage").len(),
            usize::from(protocol == 4)
        );
        let phases: Vec<_> = of("agent", "stream", "lifecycle")
            .iter()
            .map(|it| it["data"]["phase"].clone())
            .collect();
        assert_eq!(phases, ["start", "end"]);
        let pieces = of("agent", "stream", "assistant");
        let deltas = of("chat", "state", "delta");
        assert_eq!(pieces.len(), deltas.len());
        let joined: String = deltas
            .iter()
            .map(|it| it["deltaText"].as_str().unwrap())
            .collect();
        assert_eq!(joined, "you said: hello");
        let whole = &deltas.last().unwrap()["message"]["content"][0]["text"];
        assert_eq!(
            (whole, &pieces.last().unwrap()["data"]["text"]),
            (&json!(joined), &json!(joined))
        );
        let last = &of("chat", "state", "final")[0];
        assert_eq!(last["message"]["content"][0]["text"], joined.as_str());
        assert_eq!(last["stopReason"], "stop");
    }
}

#[tokio::test]
async fn a_failure_is_the_last_answer_and_an_event() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(Answer::fault(Fault::Status(401)));
    let mut client = gateway.client(4).await;
    client.ask_agent("a", question("key-1")).await;
    let last = client.answer("a").await;
    assert_eq!(
        (&last["ok"], &last["error"]["code"]),
        (&json!(false), &json!("UNAVAILABLE"))
    );
    let why = last["error"]["message"].as_str().unwrap().to_owned();
    let told = client.told_of("key-1").await;
    let (_, end) = told.last().unwrap();
    assert_eq!(
        (&end["state"], &end["errorMessage"]),
        (&json!("error"), &json!(why))
    );
    let (_, life) = told
        .iter()
        .rfind(|(_, it)| it["stream"] == "lifecycle")
        .unwrap();
    assert_eq!(
        (&life["data"]["phase"], &life["data"]["error"]),
        (&json!("error"), &json!(why))
    );
    let waited = client.done("agent.wait", json!({"runId": "key-1"})).await;
    assert_eq!(
        (&waited["status"], &waited["error"]),
        (&json!("error"), &json!(why))
    );
}

#[tokio::test]
async fn a_run_is_waited_for_on_another_replica_while_it_runs_and_after_it() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let other = gateway.replica().await;
    house.model.always(Answer {
        between: Duration::from_millis(50),
        ..Answer::default()
    });
    let (mut client, mut elsewhere) = (gateway.client(4).await, other.client(4).await);
    client.ask_agent("a", question("key-1")).await;
    let waited = elsewhere
        .done("agent.wait", json!({"runId": "key-1"}))
        .await;
    assert_eq!(waited["status"], "ok");
    let text = "you said: hello";
    assert_eq!(
        waited["terminalReply"],
        json!({"disposition": "visible", "text": text})
    );
    let latest = gateway.replica().await;
    let mut late = latest.client(3).await;
    let waited = late
        .done("agent.wait", json!({"runId": "key-1", "timeoutMs": 0}))
        .await;
    assert_eq!(
        (&waited["status"], &waited["stopReason"]),
        (&json!("ok"), &json!("stop"))
    );
    assert!(waited["startedAt"].as_i64() <= waited["endedAt"].as_i64());
    let unknown = late
        .done("agent.wait", json!({"runId": "nobody", "timeoutMs": 1}))
        .await;
    assert_eq!(unknown, json!({"runId": "nobody", "status": "timeout"}));
}

#[tokio::test]
async fn what_is_wished_for_a_run_reaches_the_model() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let mut client = gateway.client(4).await;
    let mut params = question("key-1");
    params["extraSystemPrompt"] = json!("Answer in verse.");
    params["thinking"] = json!("low");
    params["model"] = json!("other-model");
    client.ask_agent("a", params).await;
    client.answer("a").await;
    let asked = house.model.requests().pop().unwrap();
    assert_eq!(asked.messages()[0].1, "Be kind.\n\nAnswer in verse.");
    assert_eq!(
        (asked.model(), &asked.body["reasoning_effort"]),
        ("other-model", &json!("low"))
    );
    client.ask_agent("b", question("key-2")).await;
    client.answer("b").await;
    let asked = house.model.requests().pop().unwrap();
    assert_eq!(asked.messages()[0].1, "Be kind.");
    assert_eq!(
        (asked.model(), &asked.body["reasoning_effort"]),
        ("fake", &Value::Null)
    );
}

#[tokio::test]
async fn what_an_agent_cannot_be_asked_is_refused_in_a_sentence() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let mut writer = Client::open(gateway.at, "/", &[]).await;
    let scopes = json!(["operator.write"]);
    writer
        .shake(connect_with(4, |params| params["scopes"] = scopes))
        .await;
    let with = |key: &str, value: Value| {
        let mut params = question("k");
        params[key] = value;
        params
    };
    let table = [
        (
            json!({"agentId": "main", "idempotencyKey": "k"}),
            "invalid agent params: must have required property 'message'",
        ),
        (
            json!({"agentId": "main", "message": "x"}),
            "invalid agent params: must have required property 'idempotencyKey'",
        ),
        (
            json!({"message": "x", "idempotencyKey": "k"}),
            "invalid agent params: say whom to ask: agentId, sessionKey, sessionId or to",
        ),
        (
            with("agentId", json!("nobody")),
            "invalid agent params: unknown agent id \"nobody\"; there are: main",
        ),
        (
            with("sessionKey", json!("agent:other:main")),
            "invalid agent params: unknown agent id \"other\"; there are: main",
        ),
        (
            with("timeout", json!(-1)),
            "invalid agent params: at /timeout: must be integer",
        ),
        (
            with("attachments", json!([{}])),
            "attachments are not taken by this version; send the text without them",
        ),
    ];
    for (params, message) in table {
        let error = client.refused("agent", params).await;
        assert_eq!(
            (&error["code"], &error["message"]),
            (&json!("INVALID_REQUEST"), &json!(message))
        );
    }
    for params in [with("model", json!("m")), with("message", json!("/new"))] {
        let error = writer.refused("agent", params).await;
        assert_eq!(error["details"]["missingScope"], "operator.admin");
    }
}
