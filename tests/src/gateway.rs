//! The real `openclaw` program as a child process: all services in one, or one service.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
};

use tempfile::TempDir;

use crate::{
    eventually::{blocking, eventually},
    process::Process,
    servers::free_port,
};

/// What the log says right before the address of the health server.
const HEALTH: &str = "health is answered at ";

/// `openclaw gateway`: every service in one process, on the servers that the environment names.
pub struct Gateway {
    process: Process,
    port: u16,
    admin_port: u16,
    env: Vec<(String, String)>,
    folder: PathBuf,
    #[expect(
        dead_code,
        reason = "removes the folder with the gateway, where it is its own"
    )]
    own: Option<TempDir>,
}

/// `openclaw run <service>`: one service in a process of its own.
pub struct Service {
    process: Process,
    folder: TempDir,
}

impl Gateway {
    /// Starts one with `env` over an otherwise empty configuration, and `args` after `openclaw gateway`.
    ///
    /// It listens on a port of its own and works in a temporary folder. Returns before it is ready: see
    /// [`Gateway::ready`].
    ///
    /// # Panics
    /// When the program cannot be built or started.
    pub fn start(env: &[(&str, &str)], args: &[&str]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("gateway-")
            .tempdir()
            .expect("temporary folder");
        let gateway = Self::start_in(folder.path(), env, args);
        Self {
            own: Some(folder),
            ..gateway
        }
    }

    /// Starts one that works in `folder`, where an earlier one may have left its data.
    ///
    /// # Panics
    /// Like [`Gateway::start`].
    pub fn start_in(folder: &Path, env: &[(&str, &str)], args: &[&str]) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let mut all = vec![
            ("OPENCLAW_GATEWAY_PORT".to_owned(), port.to_string()),
            (
                "OPENCLAW_GATEWAY_ADMIN_LISTEN".to_owned(),
                format!("127.0.0.1:{admin_port}"),
            ),
            ("OPENCLAW_GATEWAY_CANVAS_PORT".to_owned(), "0".to_owned()),
        ];
        all.extend(
            env.iter()
                .map(|(name, text)| ((*name).to_owned(), (*text).to_owned())),
        );
        let mut command = openclaw(folder);
        command
            .arg("gateway")
            .args(args)
            .envs(all.iter().map(|(name, text)| (name, text)));
        let logs = (1..).map(|life| folder.join(format!("log.{life}")));
        let log = logs
            .into_iter()
            .find(|log| !log.exists())
            .expect("lives are few");
        Self {
            process: Process::start("openclaw gateway", command, &log),
            port,
            admin_port,
            env: all,
            folder: folder.to_owned(),
            own: None,
        }
    }

    /// Runs `openclaw` with these arguments as whoever operates this gateway does, and waits for its end.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn operate(&self, args: &[&str]) -> Output {
        let mut command = openclaw(&self.folder);
        command
            .args(args)
            .envs(self.env.iter().map(|(name, text)| (name, text)));
        command.output().expect("the program runs")
    }

    /// Waits until every service serves.
    ///
    /// # Panics
    /// When it ends before, or never gets there.
    pub async fn ready(&self) {
        ready(&self.process).await;
    }

    /// Where `/live`, `/ready` and `/metrics` are, as `http://127.0.0.1:port`.
    ///
    /// # Panics
    /// When it never says.
    pub async fn health(&self) -> String {
        health(&self.process).await
    }

    /// Where its pages are, as `http://127.0.0.1:port`.
    pub fn http(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where WebSocket clients connect, as `ws://127.0.0.1:port`.
    pub fn ws(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// Where the administration is spoken over gRPC, as `http://127.0.0.1:port`.
    pub fn admin(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    /// The token that it made for itself, if `env` gave it none.
    ///
    /// # Panics
    /// When it never makes one.
    pub async fn token(&self) -> String {
        let file = self.folder().join("token");
        let token = eventually("the gateway's own token", || async {
            self.process.assert_runs();
            fs::read_to_string(&file).ok()
        })
        .await;
        token.trim().to_owned()
    }

    /// The folder it works in and keeps its data in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process itself: kill, stop, cont, terminate, log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Crashes it (SIGKILL).
    pub fn kill9(&self) {
        self.process.kill();
    }

    /// Waits until it ends by itself; returns its exit code and all that it said.
    ///
    /// # Panics
    /// When it does not end.
    pub fn ended(&self) -> (Option<i32>, String) {
        let ended = || self.process.ended();
        let status = blocking("the gateway to end by itself", ended);
        (status.code(), self.process.log())
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    pub fn terminate(&self) -> ExitStatus {
        self.process.terminate()
    }
}

impl Service {
    /// Starts the service `name` with `env` over an otherwise empty configuration.
    ///
    /// # Panics
    /// When the program cannot be built or started.
    pub fn start(name: &str, env: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("service-")
            .tempdir()
            .expect("temporary folder");
        let mut command = openclaw(folder.path());
        command.args(["run", name]).envs(env.iter().copied());
        let process = Process::start(
            &format!("openclaw run {name}"),
            command,
            &folder.path().join("log"),
        );
        Self { process, folder }
    }

    /// Waits until it serves.
    ///
    /// # Panics
    /// When it ends before, or never gets there.
    pub async fn ready(&self) {
        ready(&self.process).await;
    }

    /// Where `/live`, `/ready` and `/metrics` are, as `http://127.0.0.1:port`.
    ///
    /// # Panics
    /// When it never says.
    pub async fn health(&self) -> String {
        health(&self.process).await
    }

    /// The folder it works in and keeps its data in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process itself: kill, stop, cont, terminate, log.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Crashes it (SIGKILL).
    pub fn kill9(&self) {
        self.process.kill();
    }
}

async fn ready(process: &Process) {
    let url = format!("{}/ready", health(process).await);
    eventually("every service to be ready", || async {
        process.assert_runs();
        reqwest::get(&url)
            .await
            .ok()
            .filter(|answer| answer.status().is_success())
    })
    .await;
}

async fn health(process: &Process) -> String {
    eventually("the address of the health server in the log", || async {
        process.assert_runs();
        let log = process.log();
        let (_, said) = log.rsplit_once(HEALTH)?;
        Some(said.split_once("/ready")?.0.to_owned())
    })
    .await
}

/// The root of the project.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package lies in a folder of the root")
}

/// The program, with `folder` as its home and nothing around it that could change what it does.
pub fn openclaw(folder: &Path) -> Command {
    let mut command = Command::new(program());
    for (name, _) in env::vars_os() {
        let kept = [
            "PATH",
            "HOME",
            "TMPDIR",
            "OPENCLAW_NATS_SERVER",
            "OPENCLAW_REDIS_SERVER",
        ];
        if !kept.iter().any(|kept| name == *kept) {
            command.env_remove(name);
        }
    }
    // By another name: the program takes no setting that it does not know.
    if let Some(promise) = env::var_os("OPENCLAW_SABOTAGE") {
        command.env("SABOTAGE", promise);
    }
    command
        .current_dir(folder)
        .env("OPENCLAW_HOME", folder)
        .env("OPENCLAW_HEALTH_ADDRESS", "127.0.0.1:0");
    command
}

/// The program: the one that `OPENCLAW_PROGRAM` names, else the one that cargo built together with this test.
///
/// # Panics
/// When there is none.
pub fn program() -> PathBuf {
    if let Some(named) = env::var_os("OPENCLAW_PROGRAM") {
        return named.into();
    }
    let test = env::current_exe().expect("a running program has a path");
    let places = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("openclaw-under-test"));
    let found = places.into_iter().find(|program| program.exists());
    found.expect(
        "`cargo test -p tests` builds openclaw-under-test; for other programs set OPENCLAW_PROGRAM",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::Nats;

    #[tokio::test]
    async fn a_service_of_the_real_program_becomes_ready_and_ends_cleanly() {
        let nats = Nats::start();
        let ledger = Service::start("ledger", &[("NATS_URL", &nats.url())]);
        ledger.ready().await;
        assert!(ledger.folder().join("ledger.sqlite").exists());
        assert!(ledger.process().terminate().success());
    }
}
