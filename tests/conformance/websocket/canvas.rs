//! The canvas: what agents write, on an origin of its own, and nothing else.

use std::{fs, path::Path};

use reqwest::{Client as Browser, StatusCode, header, redirect::Policy};
use tempfile::TempDir;

use super::*;

/// A gateway with a canvas in a folder of its own.
async fn start() -> (Gateway, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("canvas");
    let gateway = Gateway::start_with(|config| {
        config.canvas_port = 0;
        config.canvas_folder = place;
    });
    (gateway.await, folder)
}

/// A browser that follows no links by itself.
fn browser() -> Browser {
    Browser::builder().redirect(Policy::none()).build().unwrap()
}

/// Address of the canvas, as a client of `protocol` learns it.
async fn link(gateway: &Gateway, protocol: u8) -> String {
    let mut client = Client::open(gateway.at, "/", &[]).await;
    let hello = client.shake(connect(protocol)).await;
    let (told, other) = match protocol {
        3 => (&hello["canvasHostUrl"], &hello["pluginSurfaceUrls"]),
        _ => (
            &hello["pluginSurfaceUrls"]["canvas"],
            &hello["canvasHostUrl"],
        ),
    };
    assert_eq!(other, &Value::Null);
    told.as_str().expect("a canvas").to_owned()
}

fn write(folder: &TempDir, name: &str, text: &str) {
    let path = folder.path().join("canvas").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Asks for a path exactly as it is written, which no HTTP client does.
async fn raw(link: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (host, prefix) = link
        .strip_prefix("http://")
        .unwrap()
        .split_once('/')
        .unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let asked =
        format!("GET /{prefix}{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_an_agent_writes_is_shown_to_clients_of_both_protocols() {
    let (gateway, folder) = start().await;
    for protocol in [3, 4] {
        let link = link(&gateway, protocol).await;
        let page = format!("{link}/__openclaw__/canvas/");
        fs::remove_file(folder.path().join("canvas/index.html")).ok();
        let empty = browser()
            .get(&page)
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        assert!(empty.contains("canvas is empty"), "{empty}");
        write(&folder, "index.html", "<body><h1>Hello</h1></body>");
        let answer = browser().get(&page).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let fences = answer.headers().clone();
        let policy = fences[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.contains("connect-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert_eq!(fences[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(fences[header::REFERRER_POLICY], "no-referrer");
        let text = answer.text().await.unwrap();
        assert!(
            text.starts_with("<body><h1>Hello</h1>") && text.contains("/__openclaw__/live.js"),
            "{text}"
        );
        write(&folder, "data/points.json", "[1]");
        let answer = browser()
            .get(format!("{page}data/points.json"))
            .send()
            .await
            .unwrap();
        assert_eq!(
            answer.headers()[header::CONTENT_TYPE],
            "application/json; charset=utf-8"
        );
        assert_eq!(answer.text().await.unwrap(), "[1]", "as it is");
        let folder = browser().get(format!("{page}data")).send().await.unwrap();
        assert_eq!(folder.status(), StatusCode::PERMANENT_REDIRECT);
        let shown = browser()
            .get(format!("{link}/__openclaw__/a2ui/"))
            .send()
            .await
            .unwrap();
        assert!(shown.text().await.unwrap().contains("a2ui.js"));
        let script = browser()
            .get(format!("{link}/__openclaw__/a2ui/a2ui.js"))
            .send()
            .await
            .unwrap();
        assert!(script.text().await.unwrap().contains("openclawA2UI"));
    }
}

#[tokio::test]
async fn nothing_is_shown_without_a_link_and_a_link_is_not_guessed() {
    let (gateway, folder) = start().await;
    write(&folder, "index.html", "secret plans");
    let link = link(&gateway, 4).await;
    let (origin, capability) = link.split_once("/__openclaw__/cap/").unwrap();
    for path in [
        "",
        "/",
        "/index.html",
        "/__openclaw__/canvas/",
        "/__openclaw__/cap/",
        "/__openclaw__/cap/x/__openclaw__/canvas/",
    ] {
        let answer = browser()
            .get(format!("{origin}{path}"))
            .send()
            .await
            .unwrap();
        assert!(
            answer.status().is_client_error(),
            "{path}: {}",
            answer.status()
        );
        assert!(!answer.text().await.unwrap().contains("secret"), "{path}");
    }
    let mut forged = capability.to_owned();
    forged.replace_range(
        ..1,
        if capability.starts_with('A') {
            "B"
        } else {
            "A"
        },
    );
    let answer = browser()
        .get(format!(
            "{origin}/__openclaw__/cap/{forged}/__openclaw__/canvas/"
        ))
        .send();
    assert_eq!(answer.await.unwrap().status(), StatusCode::FORBIDDEN);
    let posted = browser()
        .post(format!("{link}/__openclaw__/canvas/"))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn no_path_and_no_link_leads_out_of_the_folder_or_to_something_hidden() {
    let (gateway, folder) = start().await;
    write(&folder, "a.txt", "shown");
    write(&folder, ".env", "canary");
    write(&folder, ".git/config", "canary");
    fs::write(folder.path().join("outside"), "canary").unwrap();
    let link = link(&gateway, 4).await;
    let inside = folder.path().join("canvas");
    let targets = ["../outside", "/etc/passwd"];
    for (n, target) in targets.iter().enumerate() {
        std::os::unix::fs::symlink(target, inside.join(format!("link{n}"))).unwrap();
    }
    std::os::unix::fs::symlink(Path::new(".."), inside.join("up")).unwrap();
    let base = "/__openclaw__/canvas/";
    assert!(raw(&link, &format!("{base}a.txt")).await.ends_with("shown"));
    for path in [
        "../outside",
        "..%2foutside",
        "%2e%2e/outside",
        "%2e%2e%2foutside",
        "a/../../outside",
        "..\\outside",
        "..%5coutside",
        "/etc/passwd",
        "//etc/passwd",
        "%2fetc%2fpasswd",
        ".env",
        "%2eenv",
        ".git/config",
        "x/.env",
        "link0",
        "link1",
        "up/outside",
        "up/canvas/a.txt",
        "a.txt%00.html",
        "a.txt/",
        "./a.txt",
        "C:%5cx",
        "../../../../../../etc/passwd",
        "....//....//outside",
    ] {
        let answer = raw(&link, &format!("{base}{path}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 404") || answer.starts_with("HTTP/1.1 400"),
            "{path}: {answer}"
        );
        assert!(
            !answer.contains("canary") && !answer.contains("root:"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_of_other_origins_and_under_foreign_names_are_turned_away() {
    let (gateway, folder) = start().await;
    write(&folder, "index.html", "plans");
    let link = link(&gateway, 4).await;
    let page = format!("{link}/__openclaw__/canvas/");
    let own = link.split("/__openclaw__").next().unwrap().to_owned();
    let status = async |name: &'static str, value: &str| {
        let asked = browser().get(&page).header(name, value);
        asked.send().await.unwrap().status()
    };
    assert_eq!(status("origin", &own).await, StatusCode::OK);
    for foreign in [
        "https://evil.example",
        "null",
        &format!("http://{}", gateway.at),
    ] {
        assert_eq!(
            status("origin", foreign).await,
            StatusCode::FORBIDDEN,
            "{foreign}"
        );
    }
    assert_eq!(
        status("sec-fetch-site", "cross-site").await,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        status("host", "evil.example").await,
        StatusCode::FORBIDDEN,
        "a name that was rebound"
    );

    // Nor does a page of the canvas reach the gateway, though both are on this machine.
    let mut client = Client::open(gateway.at, "/", &[("origin", &own)]).await;
    let Heard::Frame(answer) = client.connect(connect(4)).await else {
        panic!("closed without an answer")
    };
    assert_eq!(
        answer["error"]["details"]["code"],
        "CONTROL_UI_ORIGIN_NOT_ALLOWED"
    );
}

#[tokio::test]
async fn an_open_page_hears_that_a_file_has_changed() {
    let (gateway, folder) = start().await;
    write(&folder, "index.html", "one");
    let link = link(&gateway, 4).await;
    let mut events = browser()
        .get(format!("{link}/__openclaw__/live"))
        .send()
        .await
        .unwrap();
    assert_eq!(events.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut n = 0;
    loop {
        // The folder is first looked at some time after somebody listens.
        n += 1;
        write(&folder, "index.html", &"x".repeat(n));
        let heard = tokio::time::timeout(std::time::Duration::from_secs(2), events.chunk());
        if let Ok(heard) = heard.await {
            let heard = heard.unwrap().expect("it goes on");
            if heard.starts_with(b"event: reload") {
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_client_gets_a_new_link_before_the_old_one_expires() {
    let (gateway, _folder) = start().await;
    let mut client = gateway.client(4).await;
    let before = chassis::clock::now_ms();
    let fresh = client
        .done("plugin.surface.refresh", json!({"surface": "canvas"}))
        .await;
    assert_eq!(fresh["surface"], "canvas");
    assert!(fresh["expiresAtMs"].as_i64().unwrap() > before);
    let url = fresh["pluginSurfaceUrls"]["canvas"].as_str().unwrap();
    let page = browser()
        .get(format!("{url}/__openclaw__/canvas/"))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), StatusCode::OK);
    let none = client
        .refused("plugin.surface.refresh", json!({"surface": "tv"}))
        .await;
    assert_eq!(none["message"], "tv plugin surface unavailable");
    // A link that one replica gave opens the canvas of another: the key is theirs together.
    let without = Gateway::start().await;
    let refused = without
        .client(4)
        .await
        .refused("plugin.surface.refresh", json!({"surface": "canvas"}))
        .await;
    assert_eq!(refused["code"], "UNAVAILABLE");
}
