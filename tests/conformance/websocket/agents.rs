//! Agents: made, changed, removed, told who they are, the same on every replica and after a restart.

use sha2::{Digest, Sha256};
use tests::official::assert_official;

use super::{house::House, *};

fn hash(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_made_answers_by_its_model_and_files_and_outlives_a_restart() {
    let house = House::build().await;
    let (mut one, mut two) = (house.client(0, 4).await, house.client(1, 3).await);
    let made =
        json!({"name": "Work Agent", "workspace": "/w", "model": "work-model", "emoji": "🦀"});
    let created = one.done("agents.create", made.clone()).await;
    assert_eq!(
        created,
        json!({"ok": true, "agentId": "work-agent", "name": "Work Agent", "workspace": "agents/work-agent",
               "model": "work-model"})
    );
    let error = two.refused("agents.create", made).await;
    assert_eq!(error["message"], "agent \"work-agent\" already exists");
    let soul = json!({"agentId": "work-agent", "name": "SOUL.md", "content": "You are a crab."});
    let set = two.done("agents.files.set", soul).await;
    let listed = one.done("agents.list", json!({})).await;
    assert_eq!(listed["defaultId"], "main");
    assert_eq!(
        listed["agents"][1]["model"],
        json!({"primary": "work-model"})
    );
    assert_eq!(
        two.done("agents.list", json!({})).await["agents"],
        json!([
            {"id": "main"},
            {"id": "work-agent", "name": "Work Agent"},
        ])
    );
    assert_official(4, "AgentsCreateResult", &created);
    assert_official(4, "AgentsFilesSetResult", &set);
    assert_official(4, "AgentsListResult", &listed);
    let files = one
        .done("agents.files.list", json!({"agentId": "work-agent"}))
        .await;
    assert_official(4, "AgentsFilesListResult", &files);
    let identity = one
        .done("agent.identity.get", json!({"agentId": "work-agent"}))
        .await;
    assert_official(4, "AgentIdentityResult", &identity);
    let old = two.done("agents.list", json!({})).await;
    assert_official(3, "AgentsListResult", &old);
    one.chat("agent:work-agent:main", "who are you").await;
    let asked = house.model.requests().last().unwrap().clone();
    assert_eq!(asked.model(), "work-model");
    assert_eq!(
        asked.messages()[0].1,
        "Be brief.\n\n# SOUL.md\n\nYou are a crab."
    );
    let session = json!({"key": "agent:work-agent:main", "model": "session-model"});
    one.done("sessions.patch", session).await;
    one.chat("agent:work-agent:main", "and now").await;
    assert_eq!(
        house.model.requests().last().unwrap().model(),
        "session-model"
    );
    one.chat("main", "hello").await;
    let asked = house.model.requests().last().unwrap().clone();
    assert_eq!(
        (asked.model(), asked.messages()[0].1.as_str()),
        ("settings-model", "Be brief.")
    );
    assert_eq!(
        asked.messages().len(),
        2,
        "agents do not hear each other's sessions"
    );

    let house = house.restart().await;
    let mut one = house.client(0, 4).await;
    let plain = json!({"agentId": "work-agent", "model": null, "name": "Worker"});
    let updated = one.done("agents.update", plain).await;
    assert_eq!(updated, json!({"ok": true, "agentId": "work-agent"}));
    let free = json!({"key": "agent:work-agent:main", "model": null});
    one.done("sessions.patch", free).await;
    one.chat("agent:work-agent:main", "still there").await;
    let asked = house.model.requests().last().unwrap().clone();
    assert_eq!(asked.model(), "settings-model");
    assert!(asked.messages()[0].1.contains("You are a crab."));
    let deleted = one
        .done("agents.delete", json!({"agentId": "work-agent"}))
        .await;
    assert_official(4, "AgentsUpdateResult", &updated);
    assert_official(4, "AgentsDeleteResult", &deleted);
    let mut two = house.client(1, 4).await;
    assert_eq!(
        two.done("agents.list", json!({})).await["agents"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let message =
        json!({"sessionKey": "agent:work-agent:main", "message": "hi", "idempotencyKey": "k"});
    let error = two.refused("chat.send", message).await;
    assert_eq!(
        error["message"],
        "invalid chat.send params: unknown agent id \"work-agent\"; there are: main"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_a_closed_list_and_are_not_overwritten_unseen() {
    let house = House::build().await;
    let mut client = house.client(0, 4).await;
    let main = |name: &str| json!({"agentId": "main", "name": name});
    let file = client.done("agents.files.get", main("USER.md")).await;
    assert_eq!(
        file["file"],
        json!({"name": "USER.md", "path": "agents/main/USER.md", "missing": true})
    );
    let mut set = main("USER.md");
    set["content"] = json!("one");
    let stored = client.done("agents.files.set", set.clone()).await;
    assert_eq!(
        (&stored["file"]["content"], &stored["file"]["size"]),
        (&json!("one"), &json!(3))
    );
    set["content"] = json!("two");
    set["expectedHash"] = json!(hash("zero"));
    let error = client.refused("agents.files.set", set.clone()).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("changed meanwhile")
    );
    set["expectedHash"] = json!(hash("one"));
    client.done("agents.files.set", set).await;
    let read = house
        .client(1, 3)
        .await
        .done("agents.files.get", main("USER.md"))
        .await;
    assert_eq!(read["file"]["content"], "two");
    let error = client.refused("agents.files.get", main("../token")).await;
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .starts_with("unsupported file \"../token\"; an agent has AGENTS.md"),
        "{error}"
    );
    let mut large = main("SOUL.md");
    large["content"] = json!("x".repeat(300_000));
    let error = client.refused("agents.files.set", large).await;
    assert!(error["message"].as_str().unwrap().contains("too large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_who_it_was_made_and_the_one_of_the_settings_stays() {
    let house = House::build().await;
    let (mut new, mut old) = (house.client(0, 4).await, house.client(1, 3).await);
    let nobody = json!({"agentId": "main", "name": "Assistant", "avatar": "A"});
    let by_session = json!({"sessionKey": "agent:main:main"});
    assert_eq!(
        old.done("agent.identity.get", by_session.clone()).await,
        nobody
    );
    let who =
        json!({"agentId": "main", "name": "IDENTITY.md", "content": "- Name: Molly\n- Emoji: 🦞"});
    new.done("agents.files.set", who).await;
    let molly = new.done("agent.identity.get", by_session.clone()).await;
    assert_eq!(
        (&molly["name"], &molly["nameSource"], &molly["emoji"]),
        (&json!("Molly"), &json!("workspace"), &json!("🦞"))
    );
    new.done("agents.update", json!({"agentId": "main", "name": "Boss"}))
        .await;
    assert_eq!(
        old.done("agent.identity.get", by_session).await["name"],
        "Boss"
    );
    for (method, params, message) in [
        (
            "agents.delete",
            json!({"agentId": "main"}),
            "\"main\" cannot be deleted",
        ),
        (
            "agents.delete",
            json!({"agentId": "nobody"}),
            "agent \"nobody\" not found",
        ),
        (
            "agents.update",
            json!({"agentId": "nobody", "name": "x"}),
            "agent \"nobody\" not found",
        ),
        (
            "agents.create",
            json!({"name": "Main"}),
            "\"main\" is reserved: it is the agent of the settings; change it with agents.update",
        ),
        (
            "agents.create",
            json!({}),
            "invalid agents.create params: must have required property 'name'",
        ),
        (
            "agent.identity.get",
            json!({"agentId": "nobody"}),
            "invalid agent.identity.get params: unknown agent id \"nobody\"; there are: main",
        ),
    ] {
        assert_eq!(new.refused(method, params).await["message"], message);
    }
}
