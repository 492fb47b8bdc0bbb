//! The page and the small answers beside it.

use super::*;

fn browser() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

#[tokio::test]
async fn the_page_and_its_files_are_served_under_a_strict_policy() {
    let gateway = Gateway::start().await;
    let browser = browser();
    for (path, kind) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/style.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let got = browser
            .get(format!("http://{}{path}?token=x", gateway.at))
            .send()
            .await
            .unwrap();
        assert_eq!(got.status(), 200, "{path}");
        let header = |name: &str| got.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-type").starts_with(kind), "{path}");
        assert_eq!(
            (
                header("referrer-policy").as_str(),
                header("x-content-type-options").as_str()
            ),
            ("no-referrer", "nosniff")
        );
        assert_eq!(header("cache-control"), "no-cache");
        assert_eq!(
            header("content-security-policy"),
            format!(
                "default-src 'self'; connect-src 'self' ws://{at} wss://{at}; base-uri 'none'; form-action 'none'; \
                 frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'; \
                 trusted-types 'none'",
                at = gateway.at
            )
        );
        let tag = header("etag");
        let again = browser
            .get(format!("http://{}{path}", gateway.at))
            .header("if-none-match", tag);
        assert_eq!(again.send().await.unwrap().status(), 304, "{path}");
    }
}

#[tokio::test]
async fn whether_it_lives_is_told_in_small_json() {
    let gateway = Gateway::start().await;
    let browser = browser();
    for (path, status, body) in [
        ("/health", 200, r#"{"ok":true,"status":"live"}"#),
        ("/healthz", 200, r#"{"ok":true,"status":"live"}"#),
        ("/readyz", 200, r#"{"ready":true}"#),
        (
            "/no/such/page",
            404,
            r#"{"error":{"message":"There is nothing here."}}"#,
        ),
    ] {
        let got = browser
            .get(format!("http://{}{path}", gateway.at))
            .send()
            .await
            .unwrap();
        assert_eq!(got.status(), status, "{path}");
        assert_eq!(got.text().await.unwrap(), body);
    }
    let posted = browser
        .post(format!("http://{}/", gateway.at))
        .send()
        .await
        .unwrap();
    assert_eq!(posted.status(), 405);
}
