//! The gateway's own pages in a real browser: what they show, what they decide, on a desk and on a phone.

use bus::Bucket;
use proto::{
    id,
    v1::{Intent, IntentState, PairingEntry},
};
use serde_json::Value;
use tests::browser::{DESK, PHONE, Screen};

use scene::Scene;

mod scene;

/// The views, each with words that it shows on the stage below.
const VIEWS: [(&str, &str); 10] = [
    ("sessions", "telegram"),
    ("later", "Still to come"),
    ("jobs", "Heartbeat"),
    ("channels", "connected"),
    ("queues", "EVENT"),
    ("trace", "answered"),
    ("pairing", "ABCD2345"),
    ("dead", "without address"),
    ("unknown", "the line broke"),
    ("log", "Log"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_page_shows_what_there_is_on_a_desk_and_on_a_phone() {
    let Some(scene) = Scene::set().await else {
        return;
    };
    scene.dies(1).await;
    scene.dies(2).await;
    scene.asks("ABCD2345", "Ada").await;
    scene.unsure().await;
    let browser = &scene.browser;
    let dark = Screen {
        name: "wide-dark",
        dark: true,
        ..DESK
    };
    let light = Screen {
        name: "narrow-light",
        dark: false,
        ..PHONE
    };
    for screen in [DESK, PHONE, dark, light] {
        scene.open("", screen).await;
        for (view, words) in VIEWS {
            let about = if view == "trace" { "&about=4711" } else { "" };
            scene.go(&format!("view={view}{about}")).await;
            browser.until(&format!("document.querySelector('#view h2') && !document.querySelector('#view').hidden && location.hash.includes('{view}')")).await;
            browser.shows(words).await;
            let wide = browser
                .eval("document.documentElement.scrollWidth > innerWidth")
                .await;
            assert_eq!(wide, false, "{view} sticks out on {}", screen.name);
            browser.picture(&format!("{view}-{}", screen.name)).await;
        }
        scene.go("").await;
        browser
            .until("document.querySelector('#view').hidden")
            .await;
        browser.picture(&format!("chat-{}", screen.name)).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_come_by_themselves_and_are_dropped_with_the_keyboard_alone() {
    let Some(scene) = Scene::set().await else {
        return;
    };
    let browser = &scene.browser;
    scene.open("view=dead", DESK).await;
    browser.shows("Nothing was given up").await;
    scene.dies(1).await;
    scene.badge("dead", "1").await;
    browser
        .until("document.querySelectorAll('#view .row').length === 1")
        .await;
    browser
        .eval("document.querySelector('#view .row input[type=checkbox]').focus()")
        .await;
    browser.key(" ").await;
    browser.shows("1 chosen").await;
    browser
        .eval("document.querySelector('[data-name=drop-all]').focus()")
        .await;
    browser.key("Enter").await;
    browser
        .until("document.querySelector('#confirm').open")
        .await;
    // The safe answer has the keyboard: Enter alone does no harm.
    browser
        .until("document.activeElement.id === 'confirm-no'")
        .await;
    browser.picture("confirm").await;
    browser.key("Escape").await;
    browser
        .until("!document.querySelector('#confirm').open")
        .await;
    assert_eq!(scene.bus.stream_state("DEAD").await.unwrap().messages, 1);
    browser
        .until("document.activeElement.dataset.name === 'drop-all'")
        .await;
    browser.key("Enter").await;
    browser
        .until("document.querySelector('#confirm').open")
        .await;
    browser.key("Tab").await;
    browser.key("Enter").await;
    browser.shows("Dropped 1 letter.").await;
    browser.shows("Nothing was given up").await;
    assert_eq!(scene.bus.stream_state("DEAD").await.unwrap().messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_is_let_in_and_what_is_unknown_is_decided() {
    let Some(scene) = Scene::set().await else {
        return;
    };
    let browser = &scene.browser;
    scene.open("view=pairing", PHONE).await;
    browser.shows("Nobody asks").await;
    scene.asks("WXYZ6789", "Grace").await;
    browser.shows("WXYZ6789").await;
    browser.press("[data-name=approve]").await;
    browser.shows("Grace was let in.").await;
    browser.shows("People who were let in (1)").await;
    let approved = id::of_approval("telegram", "main", "id-WXYZ6789");
    let people = scene.bus.bucket(Bucket::People);
    assert!(
        people
            .get::<PairingEntry>(&approved)
            .await
            .unwrap()
            .is_some()
    );

    let key = scene.unsure().await;
    scene.badge("unknown", "1").await;
    scene.go("view=unknown").await;
    browser.shows("Your table is booked for eight.").await;
    browser.press("[data-name=arrived]").await;
    browser.shows("Nothing to decide").await;
    let (intent, _) = scene
        .bus
        .bucket(Bucket::Intents)
        .get::<Intent>(&key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(intent.state(), IntentState::Sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_made_runs_and_says_what_came_of_it() {
    let Some(scene) = Scene::set().await else {
        return;
    };
    let browser = &scene.browser;
    scene.open("view=jobs", DESK).await;
    browser.press(".tools .solid").await;
    browser
        .write("form .entry:nth-of-type(1) input", "Morning news")
        .await;
    browser.write("form textarea", "what is new?").await;
    browser.write("form .pair input", "0 99 * * *").await;
    browser.press("form button[type=submit]").await;
    browser.shows("cannot be read").await;
    browser.picture("job-form").await;
    browser.write("form .pair input", "0 9 * * 1-5").await;
    browser.press("form button[type=submit]").await;
    browser.shows("“Morning news” is made").await;
    browser.press("[aria-label='Run Morning news now']").await;
    let row = "[...document.querySelectorAll('#view .row')].find((row) => row.innerText.includes('Morning news'))";
    browser
        .until(&format!(
            "{row}?.querySelector('.chip')?.textContent === 'ok'"
        ))
        .await;
    browser
        .eval(&format!("{row}.querySelector('summary').click()"))
        .await;
    browser.shows("you said: [cron: Morning news").await;
    browser.picture("job-open").await;
    assert_eq!(
        scene.stage.model.asked(),
        2,
        "the hello on Telegram, and the job"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_written_for_later_and_taken_back() {
    let Some(scene) = Scene::set().await else {
        return;
    };
    let browser = &scene.browser;
    scene.open("view=later", DESK).await;
    browser
        .until("document.querySelector('form select').value === 'telegram:main'")
        .await;
    browser
        .write("form .pair .entry:nth-of-type(2) input", "4711")
        .await;
    browser.write("form textarea", "happy new year").await;
    browser
        .write("form input[type=datetime-local]", "2099-01-01T00:00")
        .await;
    browser.press("form button[type=submit]").await;
    browser.shows("Still to come: 1 message").await;
    let (schedules, _) = scene.bus.schedules(10).await.unwrap();
    assert_eq!(schedules.len(), 1);
    browser.press(".row .danger").await;
    browser.shows("nobody gets it").await;
    assert_eq!(scene.bus.schedules(10).await.unwrap().1, 0);
    browser.write("form textarea", "now then").await;
    browser.press("form button[type=submit]").await;
    let sent = scene.stage.telegram.wait_sent(4711, 2).await;
    assert_eq!(sent[1].text, "now then");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_leads_back_to_what_was_looked_at() {
    let Some(scene) = Scene::set().await else {
        return;
    };
    scene.dies(1).await;
    let browser = &scene.browser;
    scene.open("view=dead&letter=1", DESK).await;
    browser
        .until("document.querySelector('#view details')?.open")
        .await;
    assert_eq!(
        browser.eval("location.hash").await,
        Value::from("#view=dead&letter=1")
    );
    browser
        .eval("void (location.hash = '#view=trace&about=agent:main:telegram:dm:4711')")
        .await;
    browser.shows("answered").await;
    browser.eval("history.back()").await;
    browser
        .until("document.querySelector('#view h2')?.textContent === 'Dead letters'")
        .await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
