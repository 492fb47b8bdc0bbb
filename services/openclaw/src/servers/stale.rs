//! Servers that an earlier life of the gateway left behind.

use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::info;

/// How long one may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Notes the process that serves from `folder`.
pub(crate) fn remember(folder: &Path, id: u32) {
    let _ = std::fs::write(folder.join("pid"), id.to_string());
}

/// Notes that none does.
pub(crate) fn forget(folder: &Path) {
    let _ = std::fs::remove_file(folder.join("pid"));
}

/// Ends the server that serves from `folder`, if one still does. The caller holds the lock of the
/// gateway's folder, so nobody needs it any more.
pub(crate) async fn end(folder: &Path, program: &Path) {
    let noted = std::fs::read_to_string(folder.join("pid")).unwrap_or_default();
    let Ok(id) = noted.trim().parse::<u32>() else {
        return;
    };
    let lives = || serves(id, folder, program);
    if lives() {
        info!(
            process = id,
            "ending a server that an earlier gateway left behind"
        );
        terminate(id);
        let gone = async {
            while lives() {
                sleep(LOOK).await;
            }
        };
        if timeout(PATIENCE, gone).await.is_err() && lives() {
            kill(id);
        }
    }
    forget(folder);
}

/// True if the process is `program` and was started for `folder`: ids are used again.
fn serves(id: u32, folder: &Path, program: &Path) -> bool {
    let command = std::fs::read(format!("/proc/{id}/cmdline"))
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .or_else(|_| {
            let mut ps = std::process::Command::new("ps");
            let output = ps.args(["-o", "command=", "-p", &id.to_string()]).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        })
        .unwrap_or_default();
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let folder = folder.to_string_lossy();
    command.contains(&*name) && (command.contains(&*folder) || works_in(id, &folder))
}

/// Redis writes over its arguments; then the folder it works in is the proof.
fn works_in(id: u32, folder: &str) -> bool {
    let works = std::fs::read_link(format!("/proc/{id}/cwd"));
    works.is_ok_and(|works| works.to_string_lossy() == folder)
}

/// Tells a process that we started to end.
pub(crate) fn terminate(id: u32) {
    signal(id, "TERM");
}

fn kill(id: u32) {
    signal(id, "KILL");
}

#[cfg(unix)]
fn signal(id: u32, name: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = if name == "KILL" {
        Signal::KILL
    } else {
        Signal::TERM
    };
    if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(id, signal);
    }
}

#[cfg(not(unix))]
fn signal(id: u32, _: &str) {
    let mut command = std::process::Command::new("taskkill");
    let _ = command.args(["/F", "/PID", &id.to_string()]).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_process_that_is_not_the_server_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("openclaw-stale-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        remember(&folder, std::process::id());
        end(&folder, Path::new("nats-server")).await;
        assert!(
            !folder.join("pid").exists(),
            "what it noted is no server of ours"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
