//! A stranger on Telegram, and the operator who lets them in.

use tests::stage::{Fakes, Hears};

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_let_in_by_the_operator() {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let folder = super::private::folder();
    let gateway = fakes.gateway_in(
        folder.path(),
        &[("OPENCLAW_ROUTER_ACCESS_TELEGRAM_DIRECT", "pairing")],
    );
    gateway.ready().await;
    let telegram = &fakes.telegram;
    telegram.say(7, "let me in");
    let shown = telegram.wait_sent(7, 1).await[0].text.clone();
    assert_eq!(
        fakes.model.asked(),
        0,
        "a stranger asks nothing of the model"
    );

    let openclaw = |args: &[&str]| {
        let output = gateway.operate(args);
        let text = [output.stdout, output.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .concat();
        (output.status.success(), text)
    };
    let (good, text) = openclaw(&["pairing", "list", "--json"]);
    assert!(good, "{text}");
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let asks = &list["pending"][0];
    assert_eq!(
        (asks["platform"].as_str(), asks["senderId"].as_str()),
        (Some("telegram"), Some("7"))
    );
    let code = asks["code"].as_str().expect("a code");
    assert!(
        shown.contains(code),
        "the stranger was shown the code: {shown}"
    );

    let (good, text) = openclaw(&["pairing", "approve", "AAAAAAAA"]);
    assert!(
        !good && text.starts_with("openclaw: "),
        "a wrong code lets nobody in: {text}"
    );
    let (good, text) = openclaw(&["pairing", "approve", &code.to_lowercase()]);
    assert!(good && text.starts_with("Let in: "), "{text}");
    let again = openclaw(&["pairing", "approve", code]);
    assert_eq!(again, (good, text), "whoever lost the answer asks again");

    telegram.say(7, "hello again");
    let sent = telegram.wait_sent(7, 2).await;
    let answered = |sent: &[tests::platforms::telegram::Sent]| {
        sent.iter().any(|sent| sent.text == "you said: hello again")
    };
    if !answered(&sent) {
        // Being let in is worth a word of its own.
        assert!(answered(&telegram.wait_sent(7, 3).await), "{sent:?}");
    }
    let (_, text) = openclaw(&["pairing", "list"]);
    assert!(
        text.starts_with("Nobody waits.") && text.contains("(7)"),
        "{text}"
    );
    assert!(gateway.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_without_the_token_is_told_so() {
    let fakes = Fakes::set(Hears::Polling, "").await;
    let gateway = fakes.gateway();
    gateway.ready().await;
    let stranger = tempfile::tempdir().expect("temporary folder");
    let address = gateway.admin().replace("http://", "");
    let place = stranger.path().display().to_string();
    let output = gateway.operate(&["pairing", "list", "--address", &address, "--data", &place]);
    assert!(
        output.status.success(),
        "the token of the environment is good"
    );

    let other = Fakes::set(Hears::Polling, "").await;
    let own = other.gateway_in(
        stranger.path(),
        &[("OPENCLAW_GATEWAY_TOKEN", "another-token-0123456789")],
    );
    let output = own.operate(&["pairing", "list", "--address", &address]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("does not take this token"), "{text}");
}
