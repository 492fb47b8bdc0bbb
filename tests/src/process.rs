//! A child process with its output in a file: killed, stopped, continued, and shown when a test fails.

use std::{
    ffi::OsStr,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard},
    thread,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::eventually;

/// How many lines of output a failing test shows of each process.
const SHOWN_LINES: usize = 60;

/// A running child; dropping it kills it.
pub struct Process {
    name: String,
    log: PathBuf,
    child: Mutex<Child>,
}

impl Process {
    /// Starts `command` with both its outputs appended to `log`.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Self {
        let out = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("log file");
        let err = out.try_clone().expect("log file");
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        Self {
            name: name.into(),
            log: log.into(),
            child: Mutex::new(child),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child().id()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.child().try_wait().expect("a child can be waited for")
    }

    /// Ends it at once, as a crash does (SIGKILL), and waits until it is gone.
    pub fn kill(&self) {
        let mut child = self.child();
        // An error says that it has ended already.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Freezes it (SIGSTOP): it holds its connections and answers nothing.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets a frozen process go on (SIGCONT).
    pub fn cont(&self) {
        self.signal(Signal::CONT);
    }

    /// Freezes it for a while, as an overloaded machine does.
    pub async fn freeze_for(&self, while_: std::time::Duration) {
        self.stop();
        tokio::time::sleep(while_).await;
        self.cont();
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to end (SIGTERM) and returns how it did.
    ///
    /// # Panics
    /// When it is still there after [`eventually::DEADLINE`].
    pub fn terminate(&self) -> ExitStatus {
        self.signal(Signal::TERM);
        eventually::blocking(&format!("{} to end after SIGTERM", self.name), || {
            self.ended()
        })
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Fails the test if the process has ended.
    ///
    /// # Panics
    /// With the end of its log.
    pub fn assert_runs(&self) {
        if let Some(status) = self.ended() {
            panic!("{} ended by itself with {status}", self.name);
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child());
        // An error says that it has ended already.
        let _ = kill_process(pid, signal);
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
            eprintln!("--- last words of {}\n{}\n---", self.name, end.join("\n"));
        }
    }
}

/// Lets a fault last: how long it does is what is tried out, so there is no state to wait for.
pub async fn lasting(while_: std::time::Duration) {
    tokio::time::sleep(while_).await;
}

/// The program `name`: from the environment variable, else where `./gateway` puts its tools, else from the PATH.
///
/// # Panics
/// When there is none.
pub fn tool(name: &str, variable: &str) -> PathBuf {
    if let Some(named) = std::env::var_os(variable) {
        return named.into();
    }
    let installed = crate::gateway::root().join(".gateway/bin").join(name);
    if installed.exists() {
        return installed;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(OsStr::new(name))).find(|file| file.is_file()).unwrap_or_else(
        || panic!("no {name} here: run `./gateway test`, which installs it, or set {variable} to the program"),
    )
}
