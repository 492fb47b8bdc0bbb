//! Real servers of a test's own: nats-server and redis-server on free ports, with their data in a temporary folder.

use std::{
    fs,
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    eventually,
    process::{Process, tool},
};

/// A nats-server with JetStream that syncs each message to disk, as in production.
pub struct Nats {
    process: Mutex<Process>,
    extra: String,
    port: u16,
    folder: TempDir,
    disk: Disk,
}

/// Where a nats-server keeps its data, and how.
struct Disk {
    store: PathBuf,
    /// Lines of the section `jetstream`.
    jetstream: String,
}

impl Nats {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When there is no nats-server on this machine, or it does not come up.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts one with more lines in its configuration file: limits, accounts, permissions.
    ///
    /// # Panics
    /// Like [`Nats::start`].
    pub fn start_with(extra: &str) -> Self {
        // As much as it likes: how full this disk is says nothing of what is tested.
        Self::launch(None, "sync_interval: always\nmax_file_store: 64GB", extra)
    }

    /// Starts one that keeps its data in `store`, with these lines in its section `jetstream`.
    ///
    /// # Panics
    /// Like [`Nats::start`].
    pub fn start_at(store: &Path, jetstream: &str) -> Self {
        Self::launch(Some(store.to_path_buf()), jetstream, "")
    }

    fn launch(store: Option<PathBuf>, jetstream: &str, extra: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("nats-")
            .tempdir()
            .expect("temporary folder");
        let store = store.unwrap_or_else(|| folder.path().join("store"));
        let disk = Disk {
            store,
            jetstream: jetstream.into(),
        };
        let process = spawn_nats(&folder, -1, &disk, extra);
        // The server itself names the port that it got, so no other process can have taken it in between.
        let ports = folder
            .path()
            .join(format!("nats-server_{}.ports", process.pid()));
        let port = eventually::blocking("nats-server to say its port", || {
            process.assert_runs();
            let ports: serde_json::Value = serde_json::from_slice(&fs::read(&ports).ok()?).ok()?;
            ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
        });
        let nats = Self {
            process: Mutex::new(process),
            extra: extra.into(),
            port,
            folder,
            disk,
        };
        nats.wait();
        nats
    }

    /// Where it listens, as `nats://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Settings of a bus on this server; all else as in a new installation.
    pub fn settings(&self) -> bus::Settings {
        bus::Settings {
            servers: vec![self.url()],
            name: "test".into(),
            ..bus::Settings::default()
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Crashes it (SIGKILL).
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Crashes it if it runs, and starts it again on the same port and store.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn restart(&self) {
        let mut process = self.process();
        process.kill();
        *process = spawn_nats(&self.folder, self.port.into(), &self.disk, &self.extra);
        drop(process);
        self.wait();
    }

    /// Freezes it (SIGSTOP).
    pub fn stop(&self) {
        self.process().stop();
    }

    /// Lets it go on (SIGCONT).
    pub fn cont(&self) {
        self.process().cont();
    }

    fn wait(&self) {
        let process = self.process();
        eventually::blocking("nats-server to answer", || {
            process.assert_runs();
            greeted(self.addr(), b"INFO ")
        });
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A redis-server that keeps nothing on disk: what it holds may be lost.
pub struct Redis {
    process: Mutex<Process>,
    extra: Vec<String>,
    port: u16,
    folder: TempDir,
}

impl Redis {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// When there is no redis-server on this machine, or it does not come up.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one with more arguments, such as `["--appendonly", "yes"]`.
    ///
    /// # Panics
    /// Like [`Redis::start`].
    pub fn start_with(extra: &[&str]) -> Self {
        let extra: Vec<String> = extra.iter().map(ToString::to_string).collect();
        let folder = tempfile::Builder::new()
            .prefix("redis-")
            .tempdir()
            .expect("temporary folder");
        // Redis cannot choose a port itself. Should another process take the free one first, the next one serves.
        let (process, port) = eventually::blocking("redis-server to get a port", || {
            let port = free_port();
            let process = spawn_redis(&folder, port, &extra);
            let up = eventually::blocking("redis-server to start", || match process.ended() {
                Some(_) => Some(false),
                None => process
                    .log()
                    .contains("eady to accept connections")
                    .then_some(true),
            });
            up.then_some((process, port))
        });
        Self {
            process: Mutex::new(process),
            extra,
            port,
            folder,
        }
    }

    /// Where it listens, as `redis://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.addr())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// Crashes it (SIGKILL).
    pub fn kill(&self) {
        self.process().kill();
    }

    /// Crashes it if it runs, and starts it again on the same port.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn restart(&self) {
        let mut process = self.process();
        process.kill();
        *process = spawn_redis(&self.folder, self.port, &self.extra);
        eventually::blocking("redis-server to answer", || {
            process.assert_runs();
            TcpStream::connect(self.addr()).ok()
        });
    }

    /// Freezes it (SIGSTOP).
    pub fn stop(&self) {
        self.process().stop();
    }

    /// Lets it go on (SIGCONT).
    pub fn cont(&self) {
        self.process().cont();
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A port that was free a moment ago; prefer port 0 wherever the server can say what it got.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

fn spawn_nats(folder: &TempDir, port: i32, disk: &Disk, extra: &str) -> Process {
    let path = folder.path();
    let config = path.join("nats.conf");
    let text = format!(
        "host: 127.0.0.1\nport: {port}\nmax_payload: 8MB\n\
         jetstream {{\nstore_dir: {store:?}\nlimits {{ default_max_consumers: -1 }}\n{lines}\n}}\n{extra}\n",
        store = disk.store,
        lines = disk.jetstream,
    );
    fs::write(&config, text).expect("configuration file");
    let mut command = Command::new(tool("nats-server", "OPENCLAW_NATS_SERVER"));
    command
        .arg("--config")
        .arg(config)
        .arg("--ports_file_dir")
        .arg(path);
    Process::start("nats-server", command, &path.join("log"))
}

fn spawn_redis(folder: &TempDir, port: u16, extra: &[String]) -> Process {
    let mut command = Command::new(tool("redis-server", "OPENCLAW_REDIS_SERVER"));
    command
        .args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--port",
            &port.to_string(),
            "--dir",
        ])
        .arg(folder.path());
    command.args(extra);
    Process::start("redis-server", command, &folder.path().join("log"))
}

/// Whether a server at `addr` begins to talk with `words`.
fn greeted(addr: SocketAddr, words: &[u8]) -> Option<()> {
    let mut socket = TcpStream::connect(addr).ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut begin = vec![0; words.len()];
    socket.read_exact(&mut begin).ok()?;
    (begin == words).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_killed_nats_comes_back_on_its_port() {
        let nats = Nats::start();
        let pid = nats.pid();
        nats.kill();
        assert_eq!(greeted(nats.addr(), b"INFO "), None);
        nats.restart();
        assert_ne!(nats.pid(), pid);
        assert_eq!(greeted(nats.addr(), b"INFO "), Some(()));
    }

    #[test]
    fn a_killed_redis_comes_back_on_its_port() {
        let redis = Redis::start();
        redis.kill();
        assert!(TcpStream::connect(redis.addr()).is_err());
        redis.restart();
        assert!(TcpStream::connect(redis.addr()).is_ok());
    }
}
