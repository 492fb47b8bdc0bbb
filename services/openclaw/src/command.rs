//! The commands of `openclaw`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::home::Home;
use crate::servers::child;
use crate::services::Kind;
use crate::{Settings, config, doctor, gateway, pairing, services};

/// The environment variable that names the settings file.
pub(crate) const CONFIG_VARIABLE: &str = "OPENCLAW_CONFIG";

/// Threads that work is spread over, at most: each costs memory, and few are ever busy.
const MAX_WORKERS: usize = 4;

#[derive(Parser)]
#[command(
    name = "openclaw",
    version,
    about = "A gateway between chat platforms and agents."
)]
struct CommandLine {
    /// Settings file; else ./openclaw.toml or <data>/openclaw.toml, if there is one.
    #[arg(long, global = true, env = CONFIG_VARIABLE, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder; else $OPENCLAW_HOME or ~/.openclaw-gateway.
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs everything in this process, with servers of its own unless the settings name others.
    Gateway,
    /// Runs one service, with the servers that the settings name.
    Run {
        service: Kind,
        /// Which account of the platform; only needed where the settings have several.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
    },
    /// People who asked to be let in.
    Pairing {
        #[command(flatten)]
        options: pairing::Options,
        #[command(subcommand)]
        command: pairing::Command,
    },
    /// The settings: checks, shows or describes them.
    Config {
        #[command(subcommand)]
        command: config::Command,
    },
    /// Looks for what could keep the gateway from working, and says how to mend it.
    Doctor,
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    // Not a command of clap's: the options after it are another program's.
    let mut words = std::env::args_os().skip(1);
    let done = match words.next() {
        Some(word) if word == child::TIE => Err(child::become_child(words)),
        _ => act(CommandLine::parse()),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("openclaw: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(line: CommandLine) -> anyhow::Result<ExitCode> {
    let home = Home::at(line.data)?;
    let file = line.config.as_deref();
    let read = || Settings::read(file, &home);
    match line.command {
        Command::Gateway => runtime()?.block_on(gateway::run(&home, read()?))?,
        Command::Run { service, account } => {
            runtime()?.block_on(services::run_one(service, account, &home, read()?))?;
        }
        Command::Pairing { options, command } => {
            runtime()?.block_on(pairing::run(&options, &command, &home, &read()?))?;
        }
        Command::Config { command } => config::run(&command, file, &home)?,
        Command::Doctor => return doctor::run(file, &home),
    }
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(MAX_WORKERS))
        .enable_all()
        .build()
        .context("cannot start threads")
}
