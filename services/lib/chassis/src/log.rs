//! What the process says: lines for people, or JSON for machines; and traces where asked for.

use std::io::IsTerminal as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::settings::{Check, Mistakes};
use crate::traces;
use scrub::Clean;
use tail::Keeper;

pub use scrub::Scrub;
pub use tail::{Piece, Tail};

mod scrub;
mod tail;

/// Libraries that say at `info` what only their authors want to know.
const QUIET: &str = "async_nats=warn,h2=warn,hyper=warn,opentelemetry=warn,sqlx=warn,tonic=warn";

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How lines look; `auto` is `human` on a terminal and `json` elsewhere.
    pub format: Format,
    /// What is logged: `error`, `warn`, `info`, `debug` or `trace`; more finely as `info,router=debug`.
    pub level: String,
}

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// `human` on a terminal, `json` elsewhere.
    #[default]
    Auto,
    /// For people, to stderr.
    Human,
    /// One JSON object a line, to stdout.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            level: "info".to_owned(),
        }
    }
}

impl Check for Config {
    fn check(&self, mistakes: &mut Mistakes) {
        if EnvFilter::try_new(&self.level).is_err() {
            let instead = "`info`, or more finely `info,router=debug`";
            mistakes.add("level", "cannot be read as levels", instead);
        }
    }
}

/// Keeps logs and traces going; sends the last traces when dropped.
#[must_use = "traces end when this is dropped"]
pub struct Guard {
    /// The last lines that were logged.
    pub tail: Tail,
    /// What is taken out of every line.
    pub scrub: Scrub,
    #[expect(dead_code, reason = "only its drop counts")]
    export: Option<traces::Export>,
}

/// Begins to log as `service`. A second call in one process changes nothing, and its tail stays empty.
///
/// Must be called within the tokio runtime if traces are to be exported.
pub fn begin(config: &Config, service: &str) -> Guard {
    let export = traces::Export::from_environment(service);
    let filter = EnvFilter::try_new(format!("{QUIET},{}", config.level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    let human = match config.format {
        Format::Auto => std::io::stderr().is_terminal(),
        Format::Human => true,
        Format::Json => false,
    };
    let (tail, scrub) = (Tail::default(), Scrub::default());
    let lines = if human {
        let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let to = std::io::stderr;
        let scrub = scrub.clone();
        fmt::layer()
            .with_ansi(colours)
            .with_target(false)
            .with_writer(Clean { to, scrub })
            .boxed()
    } else {
        let to = std::io::stdout;
        let scrub = scrub.clone();
        fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(Clean { to, scrub })
            .boxed()
    };
    let kept = Keeper {
        tail: tail.clone(),
        scrub: scrub.clone(),
    };
    let traces = export.as_ref().map(traces::Export::layer);
    // Fails only if logging was begun before.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .with(kept)
        .with(traces)
        .try_init();
    Guard {
        tail,
        scrub,
        export,
    }
}
