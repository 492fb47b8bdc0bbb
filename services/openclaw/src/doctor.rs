//! `openclaw doctor`: what could keep the gateway from working, and what mends it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::gateway::HEALTH;
use crate::home::Home;
use crate::servers::binary::{NATS, Program, REDIS};
use crate::{MIN_TOKEN_CHARS, Settings, services};

/// Oldest servers that have what is used.
const NATS_VERSION: &[u32] = &[2, 12];
const REDIS_VERSION: &[u32] = &[6, 2];

/// Less free space than this is worth a word, and a tenth of it is too little, in bytes.
const LOW_SPACE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    grade: Grade,
    what: String,
    /// The command that mends it; empty where nothing is to be mended.
    mend: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grade {
    Good,
    Doubtful,
    Wrong,
}

impl Finding {
    fn good(what: impl Into<String>) -> Self {
        Self::new(Grade::Good, what, "")
    }

    fn new(grade: Grade, what: impl Into<String>, mend: impl Into<String>) -> Self {
        let (what, mend) = (what.into(), mend.into());
        Self { grade, what, mend }
    }
}

/// Prints what it finds; fails if anything is wrong.
pub(crate) fn run(file: Option<&Path>, home: &Home) -> anyhow::Result<ExitCode> {
    let mut findings = Vec::new();
    let settings = match Settings::read(file, home) {
        Ok(settings) => {
            findings.push(Finding::good("settings are good"));
            settings
        }
        Err(mistakes) => {
            let mend = "mend each line above, then `openclaw config check`";
            findings.push(Finding::new(Grade::Wrong, mistakes.to_string(), mend));
            Settings::default()
        }
    };
    findings.push(match settings.bus.urls.as_slice() {
        [] => program(&NATS, NATS_VERSION),
        _ => Finding::good("nats-server: the settings name one"),
    });
    findings.push(match settings.redis.url.is_empty() {
        true => program(&REDIS, REDIS_VERSION),
        false => Finding::good("redis-server: the settings name one"),
    });
    findings.push(folder(home));
    findings.extend(space(home));
    findings.extend(presence(home, &settings));
    findings.push(token(home, &settings));
    findings.push(match services::accounts(&settings).as_slice() {
        [] => {
            let mend = "TELEGRAM_BOT_TOKEN=<token from @BotFather> openclaw gateway";
            Finding::new(
                Grade::Doubtful,
                "no chat platform is set up, only the page",
                mend,
            )
        }
        names => Finding::good(format!("telegram accounts: {}", names.join(", "))),
    });

    let mut out = std::io::stdout();
    for finding in &findings {
        let mark = match finding.grade {
            Grade::Good => "ok   ",
            Grade::Doubtful => "note ",
            Grade::Wrong => "ERROR",
        };
        writeln!(out, "{mark}  {}", finding.what.replace('\n', "\n     "))?;
        if !finding.mend.is_empty() {
            writeln!(out, "       -> {}", finding.mend)?;
        }
    }
    let wrong = findings.iter().any(|finding| finding.grade == Grade::Wrong);
    Ok(if wrong {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn program(program: &Program, oldest: &[u32]) -> Finding {
    let name = program.name;
    let found = program
        .find()
        .and_then(|file| Ok((program.version(&file)?, file)));
    match found {
        Ok((version, file)) => {
            let numbers: Vec<String> = version.iter().map(u32::to_string).collect();
            let what = format!("{name} {} at {}", numbers.join("."), file.display());
            match version.as_slice() >= oldest {
                true => Finding::good(what),
                false => Finding::new(Grade::Wrong, format!("{what} is too old"), program.install),
            }
        }
        Err(error) => Finding::new(Grade::Wrong, format!("{name}: {error:#}"), program.install),
    }
}

fn folder(home: &Home) -> Finding {
    let folder = home.folder().display();
    let probe = home.join(".doctor");
    let tried = home.make("").and_then(|_| Ok(std::fs::write(&probe, "")?));
    let _ = std::fs::remove_file(probe);
    match tried {
        Ok(()) => Finding::good(format!("data folder {folder} can be written")),
        Err(error) => {
            let what = format!("data folder {folder} cannot be written: {error:#}");
            let mend = format!("sudo chown -R \"$(id -un)\" '{folder}' && chmod u+rwx '{folder}'");
            Finding::new(Grade::Wrong, what, mend)
        }
    }
}

#[cfg(unix)]
fn space(home: &Home) -> Option<Finding> {
    let disk = rustix::fs::statvfs(home.folder()).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let what = format!("{} MiB free for the data folder", free / (1024 * 1024));
    let mend = format!(
        "du -sh '{}'/* ; or choose another disk with --data",
        home.folder().display()
    );
    Some(match free {
        free if free < LOW_SPACE_BYTES / 10 => Finding::new(Grade::Wrong, what, mend),
        free if free < LOW_SPACE_BYTES => Finding::new(Grade::Doubtful, what, mend),
        _ => Finding::good(what),
    })
}

#[cfg(not(unix))]
fn space(_: &Home) -> Option<Finding> {
    None
}

/// A gateway that runs must answer; one that does not must find its ports free.
fn presence(home: &Home, settings: &Settings) -> Vec<Finding> {
    let page = settings.page_address();
    if home.is_locked() {
        let answer = ask(page);
        return vec![match answer {
            Ok(()) => Finding::good(format!("the gateway runs and answers at http://{page}/")),
            Err(error) => Finding::new(
                Grade::Wrong,
                format!(
                    "a gateway has the data folder but does not answer at http://{page}/: {error}"
                ),
                format!(
                    "kill \"$(cat '{}')\" && openclaw gateway",
                    home.join("lock").display()
                ),
            ),
        }];
    }
    let health = settings.health.address_or(HEALTH).unwrap_or(HEALTH);
    let ports = [
        ("page", page, "OPENCLAW_GATEWAY_PORT=18889 openclaw gateway"),
        (
            "admin API",
            settings.admin_address(),
            "OPENCLAW_GATEWAY_ADMIN_LISTEN=127.0.0.1:18890 openclaw gateway",
        ),
        (
            "health",
            health,
            "OPENCLAW_HEALTH_ADDRESS=127.0.0.1:18891 openclaw gateway",
        ),
    ];
    let check = |(what, address, mend): (&str, SocketAddr, &str)| match TcpListener::bind(address) {
        Ok(_) => Finding::good(format!("port {} for the {what} is free", address.port())),
        Err(error) => {
            let what = format!("{address} for the {what} cannot be had: {error}");
            Finding::new(Grade::Wrong, what, mend)
        }
    };
    ports.map(check).into()
}

fn ask(address: SocketAddr) -> std::io::Result<()> {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip([127, 0, 0, 1].into());
    }
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut start = [0; 12];
    stream.read_exact(&mut start)?;
    match &start {
        b"HTTP/1.1 200" => Ok(()),
        other => Err(std::io::Error::other(format!(
            "it said {}",
            String::from_utf8_lossy(other)
        ))),
    }
}

fn token(home: &Home, settings: &Settings) -> Finding {
    let (token, from) = match settings.gateway.token.is_empty() {
        false => (
            Some(settings.gateway.token.clone()),
            "the settings".to_owned(),
        ),
        true => (home.token(), home.token_file().display().to_string()),
    };
    let Some(token) = token else {
        return Finding::good("gateway token: made at the first start");
    };
    let mut letters: Vec<char> = token.expose().chars().collect();
    let length = letters.len();
    letters.sort_unstable();
    letters.dedup();
    match length >= MIN_TOKEN_CHARS && letters.len() >= 8 {
        true => Finding::good(format!("gateway token from {from} is strong enough")),
        // Where others can reach the gateway, the settings refuse a short one.
        false => Finding::new(
            Grade::Doubtful,
            format!("gateway token from {from} is easily guessed"),
            "export OPENCLAW_GATEWAY_TOKEN=\"$(openssl rand -hex 32)\"",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_token_is_named_and_never_printed() {
        let home = Home::at(Some("/nowhere/at/all".into())).unwrap();
        let mut settings = Settings::default();
        assert_eq!(token(&home, &settings).grade, Grade::Good);
        settings.gateway.token = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".into();
        let finding = token(&home, &settings);
        assert_eq!(finding.grade, Grade::Doubtful);
        assert!(!format!("{finding:?}").contains("aaaa"));
    }

    #[test]
    fn a_program_that_is_too_old_is_wrong() {
        let shell = Program {
            name: "sh",
            variable: "OPENCLAW_TEST_NONE",
            install: "install it",
        };
        assert_eq!(program(&shell, &[u32::MAX]).grade, Grade::Wrong);
        assert_eq!(program(&shell, &[u32::MAX]).mend, "install it");
    }
}
