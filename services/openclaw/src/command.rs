//! The commands of `openclaw`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::home::Home;
use crate::remote::{Options, Remote};
use crate::servers::child;
use crate::services::Kind;
use crate::{
    Settings, anew, config, connections, dead, devices, doctor, gateway, pair, pairing, queues,
    send, services, sessions, trace, unknown,
};

/// The environment variable that names the settings file.
pub(crate) const CONFIG_VARIABLE: &str = "OPENCLAW_CONFIG";

/// Threads that work is spread over, at most: each costs memory, and few are ever busy.
const MAX_WORKERS: usize = 4;

/// Why settings are not changed from within where every service is a process of its own.
const SEVERAL: &str = "the settings cannot be changed from here: this gateway runs as several processes, each with \
                       settings of its own. Change them where the processes are started from (their openclaw.toml or \
                       environment), and restart these";

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
        options: Options,
        #[command(subcommand)]
        command: pairing::Command,
    },
    /// Programs and browsers that may connect: which wait, which were let in; approves, rejects, revokes.
    Devices {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: devices::Command,
    },
    /// Makes a link and a code with which one more browser or program is let in, once.
    Pair {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        wanted: pair::Wanted,
    },
    /// Messages that were given up: looks at them, puts them back, throws them away.
    Dead {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: dead::Command,
    },
    /// Messages sent of which nobody can say whether they arrived.
    Unknown {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: unknown::Command,
    },
    /// How much waits, where, and for how long.
    Queues {
        #[command(flatten)]
        options: Options,
    },
    /// Accounts on platforms: how they do; connects anew, drains, resumes.
    Connections {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: connections::Command,
    },
    /// Sends a message, now or later.
    Send {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        message: send::Message,
    },
    /// What is to be sent later.
    Schedules {
        #[command(flatten)]
        options: Options,
        #[command(subcommand)]
        command: send::Command,
    },
    /// Sessions, the one used last first.
    Sessions {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        page: sessions::Page,
    },
    /// The way of a message through the gateway, step by step.
    Trace {
        #[command(flatten)]
        options: Options,
        #[command(flatten)]
        question: trace::Question,
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
    let ask = |options: &Options| -> anyhow::Result<_> {
        let (runtime, settings) = (runtime()?, read()?);
        let remote = runtime.block_on(Remote::reach(options, &home, &settings))?;
        Ok((runtime, remote))
    };
    match line.command {
        Command::Gateway => {
            let book = Settings::book(file, &home, None);
            let again = runtime()?.block_on(gateway::run(&home, book, read()?))?;
            if again {
                match anew::begin()? {}
            }
        }
        Command::Run { service, account } => {
            let book = Settings::book(file, &home, Some(SEVERAL.to_owned()));
            runtime()?.block_on(services::run_one(service, account, &home, book, read()?))?;
        }
        Command::Pairing { options, command } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(pairing::run(&remote, &command))?;
        }
        Command::Devices { options, command } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(devices::run(&remote, &command))?;
        }
        Command::Pair { options, wanted } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(pair::run(&remote, &read()?, &wanted))?;
        }
        Command::Dead { options, command } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(dead::run(&remote, &command))?;
        }
        Command::Unknown { options, command } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(unknown::run(&remote, &command))?;
        }
        Command::Queues { options } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(queues::run(&remote))?;
        }
        Command::Connections { options, command } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(connections::run(&remote, &command))?;
        }
        Command::Send { options, message } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(send::run(&remote, &message))?;
        }
        Command::Schedules { options, command } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(send::schedules(&remote, &command))?;
        }
        Command::Sessions { options, page } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(sessions::run(&remote, &page))?;
        }
        Command::Trace { options, question } => {
            let (runtime, remote) = ask(&options)?;
            runtime.block_on(trace::run(&remote, &question))?;
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
