//! What the gateway has to offer: models, commands, skills, voice.

use proto::{
    subject,
    v1::{Model, ModelsReply, ModelsRequest, ProviderState},
};
use tests::{eventually::eventually, official::assert_official};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn models_are_those_of_the_provider_and_it_is_asked_once_a_minute() {
    let gateway = Gateway::start().await;
    let model = tests::model::Model::start().await;
    model.offer(&["fake", "large"]);
    let config = agent_bridge::Config {
        url: model.url(),
        model: "large".into(),
        ..agent_bridge::Config::default()
    };
    let ctx = chassis::Context::new(gateway.bus.clone(), gateway.stop.clone());
    let bridge = tokio::spawn(agent_bridge::run(ctx, config));
    for protocol in [3, 4] {
        let listed = eventually("the models", || async {
            let mut client = gateway.client(protocol).await;
            let params = match protocol {
                3 => json!({}),
                _ => json!({"view": "default", "includeDetails": true}),
            };
            let answer = client.call("models.list", params).await;
            (answer["ok"] == true).then(|| answer["payload"].clone())
        })
        .await;
        assert_official(protocol, "ModelsListResult", &listed);
        let ids: Vec<_> = listed["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| &it["id"])
            .collect();
        assert_eq!(ids, ["large", "fake"], "the one of the settings first");
        let mut client = gateway.client(protocol).await;
        let again = client
            .done(
                "models.list",
                json!({"view": "configured", "agentId": "main"}),
            )
            .await;
        assert_eq!(again, listed);
    }
    assert_eq!(model.lists(), 1, "the provider is asked once a minute");
    gateway.stop.cancel();
    bridge.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_refuses_the_key_is_told_and_no_bridge_is_no_empty_list() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let error = client.refused("models.list", json!({})).await;
    assert_eq!(error["code"], "UNAVAILABLE");
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("openclaw doctor"),
        "{error}"
    );

    let (bus, stop) = (gateway.bus.clone(), gateway.stop.clone());
    tokio::spawn(async move {
        let answer = |_: ModelsRequest| async {
            Ok(ModelsReply {
                models: vec![Model {
                    id: "m".into(),
                    usual: true,
                    context_tokens: 0,
                }],
                provider: "p".into(),
                state: ProviderState::Unauthorized.into(),
                why: "invalid_api_key".into(),
            })
        };
        bus.answer(subject::MODELS, &stop, answer).await
    });
    let listed = eventually("the models", || async {
        let mut client = gateway.client(4).await;
        let answer = client.call("models.list", json!({})).await;
        (answer["ok"] == true).then(|| answer["payload"].clone())
    })
    .await;
    assert_official(4, "ModelsListResult", &listed);
    assert_eq!(listed["models"][0]["unavailableReason"], "auth-failed");
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_and_skills_are_what_there_is() {
    let gateway = Gateway::start().await;
    let mut client = gateway.client(4).await;
    let params = json!({"agentId": "main", "scope": "text", "includeArgs": false});
    let commands = client.done("commands.list", params).await;
    assert_official(4, "CommandsListResult", &commands);
    let names = commands["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap());
    assert!(names.collect::<Vec<_>>().contains(&"model"));
    let full = client.done("commands.list", json!({})).await;
    assert_official(4, "CommandsListResult", &full);
    for protocol in [3, 4] {
        let mut client = gateway.client(protocol).await;
        let skills = client
            .done("skills.status", json!({"agentId": "main"}))
            .await;
        assert_eq!(skills["skills"], json!([]));
        let talk = client.done("talk.config", json!({})).await;
        assert_official(protocol, "TalkConfigResult", &talk);
        assert_eq!(client.done("tts.status", json!({})).await["enabled"], false);
    }
    gateway.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_wake_devices_are_kept_and_told_to_everybody() {
    let gateway = Gateway::start().await;
    let mut other = gateway.client(3).await;
    let mut client = gateway.client(4).await;
    assert_eq!(
        client.done("voicewake.get", json!({})).await,
        json!({"triggers": []})
    );
    let error = client
        .refused("voicewake.set", json!({"triggers": "x"}))
        .await;
    assert_eq!(
        error["message"],
        "invalid voicewake.set params: at /triggers: must be array"
    );
    let told = client
        .done("voicewake.set", json!({"triggers": [" claw ", "", "claw"]}))
        .await;
    assert_eq!(told, json!({"triggers": ["claw"]}));
    assert_eq!(other.event("voicewake.changed").await["payload"], told);
    assert_eq!(other.done("voicewake.get", json!({})).await, told);
    gateway.stop().await;
}
