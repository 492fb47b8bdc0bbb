//! OpenAI's HTTP API: real turns behind it, and the shapes that its clients read.

use reqwest::{RequestBuilder, Response, StatusCode};
use tests::model::{Answer, Fault};

use super::{services::Services, *};

mod streams;

impl Gateway {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.at)
    }

    fn get(&self, path: &str) -> RequestBuilder {
        reqwest::Client::new()
            .get(self.url(path))
            .bearer_auth(TOKEN)
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        reqwest::Client::new()
            .post(self.url(path))
            .bearer_auth(TOKEN)
            .json(body)
    }
}

/// Status and body.
async fn told(request: RequestBuilder) -> (StatusCode, Value) {
    let response: Response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

fn chat(text: &str) -> Value {
    json!({"model": "openclaw", "messages": [{"role": "user", "content": text}]})
}

#[tokio::test]
async fn a_completion_is_a_turn() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let mut watcher = gateway.client(4).await;
    let request = json!({
        "model": "openclaw/main", "reasoning_effort": "low",
        "messages": [
            {"role": "system", "content": "Answer in verse."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "1"},
            {"role": "user", "content": [{"type": "text", "text": "two"}]},
        ],
    });
    let (status, answer) = told(gateway.post("/v1/chat/completions", &request)).await;
    assert_eq!(
        (status, &answer["object"]),
        (StatusCode::OK, &json!("chat.completion")),
        "{answer}"
    );
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!("you said: two"), &json!("stop"))
    );
    assert_eq!(answer["model"], "openclaw/main");
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let asked = house.model.requests().pop().unwrap();
    let said: Vec<_> = asked.messages().into_iter().map(|(_, text)| text).collect();
    assert_eq!(said, ["Be kind.\n\nAnswer in verse.", "one", "1", "two"]);
    assert_eq!(asked.body["reasoning_effort"], "low");
    while watcher.event("chat").await["payload"]["state"] != "final" {}
}

#[tokio::test]
async fn a_response_goes_on_from_another() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let first = json!({"model": "openclaw", "input": "one", "instructions": "Rhyme."});
    let (status, answer) = told(gateway.post("/v1/responses", &first)).await;
    assert_eq!(
        (status, &answer["status"]),
        (StatusCode::OK, &json!("completed")),
        "{answer}"
    );
    assert_eq!(answer["output"][0]["content"][0]["text"], "you said: one");
    let next = json!({"model": "openclaw", "input": [{"role": "user", "content": "two"}],
        "previous_response_id": answer["id"]});
    let (_, answer) = told(gateway.post("/v1/responses", &next)).await;
    assert_eq!(answer["output"][0]["content"][0]["text"], "you said: two");
    let said: Vec<_> = house
        .model
        .requests()
        .pop()
        .unwrap()
        .messages()
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(said, ["Be kind.", "one", "you said: one", "two"]);
    let lost = json!({"model": "openclaw", "input": "x", "previous_response_id": "resp_nothing"});
    let (status, error) = told(gateway.post("/v1/responses", &lost)).await;
    assert_eq!(
        (status, &error["error"]["param"]),
        (StatusCode::BAD_REQUEST, &json!("previous_response_id"))
    );
}

#[tokio::test]
async fn a_user_keeps_a_session_and_is_not_told_twice_what_it_said() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let first = json!({"model": "openclaw", "user": "ann", "messages": [{"role": "user", "content": "one"}]});
    told(gateway.post("/v1/chat/completions", &first)).await;
    let all = json!({"model": "openclaw", "user": "ann", "messages": [
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "you said: one"},
        {"role": "user", "content": "two"}]});
    told(gateway.post("/v1/chat/completions", &all)).await;
    let said: Vec<_> = house
        .model
        .requests()
        .pop()
        .unwrap()
        .messages()
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(said, ["Be kind.", "one", "you said: one", "two"]);
    let mut client = gateway.client(4).await;
    let history = client
        .done(
            "chat.history",
            json!({"sessionKey": "agent:main:openai-user:ann"}),
        )
        .await;
    assert_eq!(history["totalMessages"], 4);
}

#[tokio::test]
async fn a_key_is_one_run_on_every_replica() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    let other = gateway.replica().await;
    let keyed = |gateway: &Gateway, text: &str| {
        gateway
            .post("/v1/chat/completions", &chat(text))
            .header("Idempotency-Key", "k1")
    };
    let (_, first) = told(keyed(&gateway, "one")).await;
    let (_, again) = told(keyed(&other, "one")).await;
    assert_eq!(
        (&first["id"], &first["choices"]),
        (&again["id"], &again["choices"])
    );
    let (status, error) = told(keyed(&other, "two")).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::CONFLICT, &json!("idempotency_conflict"))
    );
    assert_eq!(house.model.asked(), 1);
}

#[tokio::test]
async fn models_are_agents_and_others_are_not_found() {
    let gateway = Gateway::start().await;
    let (_, all) = told(gateway.get("/v1/models")).await;
    let names: Vec<_> = all["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    assert_eq!(names, ["openclaw", "openclaw/main"]);
    for name in [
        "openclaw",
        "openclaw/main",
        "openclaw%2Fmain",
        "openclaw:main",
        "agent:main",
    ] {
        let (status, model) = told(gateway.get(&format!("/v1/models/{name}"))).await;
        assert_eq!(
            (status, &model["object"]),
            (StatusCode::OK, &json!("model")),
            "{name}"
        );
    }
    let unknown = json!({"model": "gpt-9", "messages": [{"role": "user", "content": "x"}]});
    for request in [
        gateway.get("/v1/models/agent:nobody"),
        gateway.post("/v1/chat/completions", &unknown),
    ] {
        let (status, error) = told(request).await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (StatusCode::NOT_FOUND, &json!("model_not_found"))
        );
    }
}

#[tokio::test]
async fn only_who_knows_a_token_is_answered_and_pages_only_where_they_may() {
    let gateway = Gateway::start_with(|config| {
        config.allowed_origins = vec!["https://friend.example".into()];
    })
    .await;
    let bare = reqwest::Client::new();
    let (status, error) = told(bare.get(gateway.url("/v1/models"))).await;
    assert_eq!(
        (status, &error["error"]["code"]),
        (StatusCode::UNAUTHORIZED, &json!("invalid_api_key"))
    );
    let wrong = bare.get(gateway.url("/v1/models")).bearer_auth("wrong");
    assert_eq!(told(wrong).await.0, StatusCode::UNAUTHORIZED);
    let evil = gateway
        .get("/v1/models")
        .header("Origin", "https://evil.example");
    assert_eq!(told(evil).await.0, StatusCode::FORBIDDEN);
    let friend = gateway
        .get("/v1/models")
        .header("Origin", "https://friend.example");
    let friend = friend.send().await.unwrap();
    assert_eq!(
        friend.headers()["access-control-allow-origin"],
        "https://friend.example"
    );
    let form = bare
        .post(gateway.url("/v1/chat/completions"))
        .bearer_auth(TOKEN)
        .body(chat("x").to_string());
    assert_eq!(told(form).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        told(gateway.get("/v1/chat/completions")).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        told(gateway.get("/v1/nothing")).await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_its_shape() {
    let gateway = Gateway::start().await;
    let with = |key: &str, value: Value| {
        let mut request = chat("x");
        request[key] = value;
        request
    };
    let table = [
        (json!({"model": "openclaw"}), ""),
        (with("messages", json!("x")), "messages"),
        (with("messages", json!([])), "messages"),
        (with("tools", json!([{"type": "function"}])), "tools"),
        (with("n", json!(2)), "n"),
        (with("user", json!("x".repeat(300))), "user"),
    ];
    for (request, param) in table {
        let (status, error) = told(gateway.post("/v1/chat/completions", &request)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{request}");
        assert_eq!(error["error"]["type"], "invalid_request_error");
        let named = error["error"]["param"].as_str().unwrap_or_default();
        assert_eq!(named.trim_matches('.'), param, "{error}");
    }
    let huge = with(
        "messages",
        json!([{"role": "user", "content": "x".repeat(5 << 20)}]),
    );
    assert_eq!(
        told(gateway.post("/v1/chat/completions", &huge)).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn a_failure_has_a_status_of_its_own() {
    let gateway = Gateway::start().await;
    let house = Services::around(&gateway).await;
    house.model.always(Answer::fault(Fault::RateLimited(60)));
    let (status, error) = told(gateway.post("/v1/chat/completions", &chat("x"))).await;
    assert_eq!(
        (status, &error["error"]["type"]),
        (StatusCode::TOO_MANY_REQUESTS, &json!("rate_limit_error"))
    );
    house.model.always(Answer::fault(Fault::Status(401)));
    let (status, error) =
        told(gateway.post("/v1/responses", &json!({"model": "openclaw", "input": "x"}))).await;
    assert_eq!(
        (status, &error["error"]["type"]),
        (StatusCode::BAD_GATEWAY, &json!("server_error"))
    );
}
