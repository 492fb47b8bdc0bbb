//! A real browser without a face, driven over its DevTools protocol: what a person at a screen sees and presses.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpStream, sync::Mutex};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite::Message};

use crate::{
    eventually::{DEADLINE, blocking, eventually},
    process::Process,
};

/// Where Debian and others have it.
const PLACES: [&str; 3] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
];
/// Nothing of the machine it runs on, and no word to anybody else.
const FLAGS: [&str; 10] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// A screen and the colours that its owner likes.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// For names of pictures.
    pub name: &'static str,
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Light on dark.
    pub dark: bool,
}

/// A desk by day.
pub const DESK: Screen = Screen {
    name: "wide-light",
    width: 1280,
    height: 800,
    dark: false,
};
/// A phone by night.
pub const PHONE: Screen = Screen {
    name: "narrow-dark",
    width: 390,
    height: 844,
    dark: true,
};

/// A browser with one page.
pub struct Browser {
    wire: Mutex<Wire>,
    session: String,
    _process: Process,
    _folder: TempDir,
}

struct Wire {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    calls: u64,
    complaints: Vec<String>,
}

/// The browser of this machine; `None`, said aloud, where there is none.
#[must_use]
pub fn program() -> Option<PathBuf> {
    let named = env::var_os("CHROMIUM").map(PathBuf::from);
    let found = named.or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()));
    if found.is_none() {
        eprintln!(
            "SKIPPED: no Chromium here; `./gateway test` installs it on Debian, or set CHROMIUM"
        );
    }
    found
}

impl Browser {
    /// Starts one, or says that there is none.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Option<Self> {
        let program = program()?;
        let folder = tempfile::Builder::new()
            .prefix("browser-")
            .tempdir()
            .expect("temporary folder");
        let mut command = Command::new(program);
        command
            .args(FLAGS)
            .arg("--remote-debugging-port=0")
            .arg(format!("--user-data-dir={}", folder.path().display()))
            .arg("about:blank");
        let process = Process::start("chromium", command, &folder.path().join("log"));
        let told = folder.path().join("DevToolsActivePort");
        let (port, path) = blocking("the browser to say its port", || {
            process.assert_runs();
            address(&told)
        });
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tokio_tungstenite::connect_async(url)
            .await
            .expect("the browser answers");
        let mut wire = Wire {
            socket,
            calls: 0,
            complaints: Vec::new(),
        };
        let target = wire
            .call("", "Target.createTarget", json!({"url": "about:blank"}))
            .await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = wire.call("", "Target.attachToTarget", attach).await["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            wire.call(&session, &format!("{domain}.enable"), json!({}))
                .await;
        }
        Some(Self {
            wire: Mutex::new(wire),
            session,
            _process: process,
            _folder: folder,
        })
    }

    /// Goes to `url` as a new visitor would, on `screen`.
    pub async fn open(&self, url: &str, screen: Screen) {
        self.look_from(screen).await;
        self.call("Page.navigate", json!({"url": "about:blank"}))
            .await;
        self.call("Page.navigate", json!({"url": url})).await;
    }

    /// Moves to another screen.
    pub async fn look_from(&self, screen: Screen) {
        let Screen { width, height, .. } = screen;
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if screen.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme},
                              {"name": "prefers-reduced-motion", "value": "reduce"}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}))
            .await;
    }

    /// The value of a JavaScript expression in the page.
    ///
    /// # Panics
    /// With what it threw.
    pub async fn eval(&self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.call("Runtime.evaluate", params).await;
        assert!(
            result.get("exceptionDetails").is_none(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Waits until a JavaScript expression is true.
    ///
    /// # Panics
    /// When it never is.
    pub async fn until(&self, expression: &str) {
        let expression = format!("Boolean({expression})");
        eventually(&expression, || async {
            (self.eval(&expression).await == true).then_some(())
        })
        .await;
    }

    /// Waits until the page shows `text`.
    ///
    /// # Panics
    /// When it never does.
    pub async fn shows(&self, text: &str) {
        self.until(&format!(
            "document.body.innerText.includes({})",
            json!(text)
        ))
        .await;
    }

    /// Presses what `selector` finds, once it is there and can be pressed.
    ///
    /// # Panics
    /// When it never can.
    pub async fn press(&self, selector: &str) {
        let find = format!("document.querySelector({})", json!(selector));
        self.until(&format!(
            "{find} && !{find}.disabled && {find}.getClientRects().length > 0"
        ))
        .await;
        self.eval(&format!("{find}.click()")).await;
    }

    /// Writes into the field that `selector` finds.
    ///
    /// # Panics
    /// When there is none.
    pub async fn write(&self, selector: &str, text: &str) {
        let find = format!("document.querySelector({})", json!(selector));
        self.until(&find).await;
        let set = format!(
            "(() => {{ const node = {find}; node.value = {}; for (const kind of ['input', 'change']) \
             node.dispatchEvent(new Event(kind, {{bubbles: true}})); }})()",
            json!(text)
        );
        self.eval(&set).await;
    }

    /// Presses a key as the keyboard does: `Tab`, `Enter`, `Escape`, or a letter.
    pub async fn key(&self, key: &str) {
        let (code, number, text) = match key {
            "Tab" => ("Tab".to_owned(), 9, ""),
            "Enter" => ("Enter".to_owned(), 13, "\r"),
            "Escape" => ("Escape".to_owned(), 27, ""),
            " " => ("Space".to_owned(), 32, " "),
            letter => (format!("Key{}", letter.to_uppercase()), 0, letter),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params =
                json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": number});
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", params).await;
        }
    }

    /// What the page threw, or the console of the browser complained of, up to now.
    pub async fn complaints(&self) -> Vec<String> {
        self.eval("1").await;
        self.wire.lock().await.complaints.clone()
    }

    /// Keeps a picture of the screen where `PICTURES` names a folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn picture(&self, name: &str) {
        let Some(folder) = env::var_os("PICTURES") else {
            return;
        };
        let told = self
            .call("Page.captureScreenshot", json!({"format": "png"}))
            .await;
        let bytes = BASE64_STANDARD.decode(told["data"].as_str().expect("a picture"));
        let folder = Path::new(&folder);
        fs::create_dir_all(folder).expect("folder of pictures");
        fs::write(folder.join(format!("{name}.png")), bytes.expect("base64")).expect("picture");
    }

    async fn call(&self, method: &str, params: Value) -> Value {
        self.wire
            .lock()
            .await
            .call(&self.session, method, params)
            .await
    }
}

impl Wire {
    async fn call(&mut self, session: &str, method: &str, params: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut call = json!({"id": id, "method": method, "params": params});
        if !session.is_empty() {
            call["sessionId"] = session.into();
        }
        self.socket
            .send(Message::text(call.to_string()))
            .await
            .expect("the browser listens");
        loop {
            let next = tokio::time::timeout(DEADLINE, self.socket.next()).await;
            let told = next
                .expect("the browser answers")
                .expect("the browser lives");
            let Ok(Message::Text(text)) = told else {
                continue;
            };
            let told: Value = serde_json::from_str(&text).expect("JSON");
            if told["id"] == id {
                assert!(told.get("error").is_none(), "{method}: {told}");
                return told["result"].clone();
            }
            self.note(&told);
        }
    }

    fn note(&mut self, told: &Value) {
        let params = &told["params"];
        match told["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                let what = &params["exceptionDetails"];
                self.complaints.push(format!("threw: {what}"));
            }
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                let entry = &params["entry"];
                self.complaints
                    .push(format!("{} {}", entry["text"], entry["url"]));
            }
            _ => {}
        }
    }
}

/// Port and path, once the browser has written them down.
fn address(told: &Path) -> Option<(u16, String)> {
    let text = fs::read_to_string(told).ok()?;
    let (port, path) = text.split_once('\n')?;
    (!path.is_empty()).then(|| Some((port.parse().ok()?, path.trim().to_owned())))?
}
