//! Beginning anew: the program takes its own place, under the same process id, so that whoever watches it sees no end.

use std::path::PathBuf;

use anyhow::Context as _;

/// Whether the program can begin anew: it is where it was started from, and the system can replace a process.
pub(crate) fn possible() -> bool {
    cfg!(unix) && program().is_some()
}

fn program() -> Option<PathBuf> {
    // After an update the system names a file that is gone.
    let program = std::env::current_exe().ok()?;
    program.is_file().then_some(program)
}

/// Begins anew with the arguments that the program was started with. Does not return where it succeeds.
///
/// # Errors
/// When the system refuses: whoever runs the gateway has to start it again.
#[cfg(unix)]
pub(crate) fn begin() -> anyhow::Result<std::convert::Infallible> {
    use std::os::unix::process::CommandExt as _;
    let program = program().context("the program is no longer where it was; start it again")?;
    let error = std::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(error).context("the gateway could not begin anew; start it again")
}

/// Begins anew: not on this system.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub(crate) fn begin() -> anyhow::Result<std::convert::Infallible> {
    anyhow::bail!("the gateway cannot begin anew on this system; start it again")
}
