//! A server that lives and dies with this process, and is started again when it dies before.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chassis::Secret;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::stale;

/// How long a server may take to answer, recovery of its data included.
const START: Duration = Duration::from_secs(60);

/// Pause between two questions whether it answers.
const ASK: Duration = Duration::from_millis(20);

/// How long a server may take to end when told to.
const STOP: Duration = Duration::from_secs(8);

/// Pauses before a dead server is started again, from first to longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A server that lived this long was well.
const WELL: Duration = Duration::from_secs(60);

/// The hidden command of our own binary that ties a child's life to ours.
pub(crate) const TIE: &str = "__child";

/// What to start, and how to see that it serves.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// For logs.
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    /// No secrets: other users can read them.
    pub(crate) arguments: Vec<OsString>,
    /// Where it keeps its data; `pid`, `start.log` and its log stand there.
    pub(crate) folder: PathBuf,
    /// Where it listens on 127.0.0.1.
    pub(crate) port: u16,
    /// What is said to it,
    pub(crate) greeting: Secret,
    /// and what its answer contains once it serves.
    pub(crate) answer: &'static str,
}

/// A server that runs.
pub(crate) struct Server {
    plan: Plan,
    child: Child,
    begun: Instant,
}

impl Server {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When it ends or stays silent; the text holds the last lines that it wrote.
    pub(crate) async fn start(plan: Plan) -> anyhow::Result<Self> {
        stale::end(&plan.folder, &plan.program).await;
        let mut server = Self {
            child: spawn(&plan)?,
            plan,
            begun: Instant::now(),
        };
        let asked = server.plan.clone();
        let answers = async {
            while !answers(&asked).await {
                sleep(ASK).await;
            }
        };
        tokio::select! {
            answered = timeout(START, answers) => {
                if answered.is_err() {
                    server.stop().await;
                    bail!("does not answer after {START:?}");
                }
            }
            ended = server.child.wait() => {
                bail!("ended while it started ({}): {}", ended?, last_words(&server.plan));
            }
        }
        let took = server.begun.elapsed();
        debug!(?took, "{} answers", server.plan.name);
        Ok(server)
    }

    /// Starts it again whenever it dies, for ever. May be dropped at any await.
    pub(crate) async fn keep(&mut self) {
        let mut pause = PAUSES.0;
        loop {
            let ended = self.child.wait().await;
            if self.begun.elapsed() > WELL {
                pause = PAUSES.0;
            }
            let status = ended.map_or_else(|error| error.to_string(), |status| status.to_string());
            let name = self.plan.name;
            metrics::counter!("openclaw_server_restarts_total", "server" => name).increment(1);
            warn!(
                server = name,
                status, "{name} ended, starting it again in {pause:?}"
            );
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            match spawn(&self.plan) {
                Ok(child) => self.child = child,
                Err(error) => warn!(error = format!("{error:#}"), "{name} does not start"),
            }
            self.begun = Instant::now();
        }
    }

    /// Tells it to end, and ends it if it does not.
    pub(crate) async fn stop(mut self) {
        let name = self.plan.name;
        if let Some(id) = self.child.id() {
            stale::terminate(id);
        }
        if timeout(STOP, self.child.wait()).await.is_err() {
            warn!(server = name, "{name} did not end in {STOP:?}, killing it");
            let _ = self.child.kill().await;
        }
        stale::forget(&self.plan.folder);
        info!(server = name, "{name} stopped");
    }
}

/// Becomes another program, which is told to end when our parent does. `words` are the parent's
/// process id, the program, and its arguments. Returns only why it could not.
#[cfg(unix)]
pub(crate) fn become_child(mut words: impl Iterator<Item = OsString>) -> anyhow::Error {
    use std::os::unix::process::CommandExt as _;
    #[cfg(target_os = "linux")]
    if let Err(error) =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
    {
        return anyhow::Error::new(error).context("cannot tie this process to its parent");
    }
    let parent = words.next().and_then(|id| id.to_str()?.parse().ok());
    // The parent may have died before the line above.
    if parent != Some(std::os::unix::process::parent_id()) {
        return anyhow::anyhow!("the gateway is gone");
    }
    let program = words.next().unwrap_or_default();
    let error = std::process::Command::new(&program).args(words).exec();
    anyhow::Error::new(error).context(format!("{} does not run", program.display()))
}

fn spawn(plan: &Plan) -> anyhow::Result<Child> {
    let log = std::fs::File::create(plan.folder.join("start.log"))?;
    // Where there is /proc, this holds even after the executable was replaced by a newer one.
    let own = PathBuf::from("/proc/self/exe");
    let own = if own.exists() {
        own
    } else {
        std::env::current_exe()?
    };
    let mut command = Command::new(own);
    command
        .arg(TIE)
        .arg(std::process::id().to_string())
        .arg(&plan.program)
        .args(&plan.arguments)
        .current_dir(&plan.folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true);
    // Ctrl-C goes to a whole group; ours finishes its work before its servers end.
    #[cfg(unix)]
    command.process_group(0);
    let child = command.spawn().context("cannot start it")?;
    if let Some(id) = child.id() {
        stale::remember(&plan.folder, id);
    }
    Ok(child)
}

async fn answers(plan: &Plan) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", plan.port)).await?;
        stream.write_all(plan.greeting.expose().as_bytes()).await?;
        let (mut heard, mut piece) = (Vec::new(), [0; 1024]);
        loop {
            let length = stream.read(&mut piece).await?;
            heard.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&heard);
            if text.contains(plan.answer) {
                return std::io::Result::Ok(true);
            }
            // Redis says LOADING while it reads its data.
            if length == 0 || heard.len() > 8192 || text.contains("-LOADING") {
                return Ok(false);
            }
        }
    };
    let answer = timeout(Duration::from_secs(1), ask).await;
    matches!(answer, Ok(Ok(true)))
}

/// The last lines that a server wrote, for a person to see why it ended.
fn last_words(plan: &Plan) -> String {
    let logs = [
        plan.folder.join("start.log"),
        plan.folder.join(format!("{}.log", plan.name)),
    ];
    let text = logs.map(|log| std::fs::read_to_string(log).unwrap_or_default());
    let text = text.concat();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(5)..];
    last.join("; ")
}
