//! `openclaw config`: checks, shows and describes the settings.

use std::io::Write as _;
use std::path::Path;

use chassis::settings;
use clap::Subcommand;

use crate::Settings;
use crate::home::Home;

/// What stands above the tables of docs/SETTINGS.md.
const PREFACE: &str = "\
# Settings

This page is made by `openclaw config schema --markdown`; a test keeps it in step with the code.

All settings have defaults that run. They are read once at the start, in this order, later ones winning:

1. the defaults below;
2. one TOML file: `--config`, `$OPENCLAW_CONFIG`, `./openclaw.toml` or `<data>/openclaw.toml`, the first there is;
3. environment variables: `OPENCLAW_<SECTION>_<KEY>` as in the last column. A list is written with commas. A variable
   that is set but empty counts as not set. For accounts, `<NAME>` is the account's name: `OPENCLAW_TELEGRAM_MAIN_TOKEN`.

`openclaw config check` reports all mistakes together, each with its line; `openclaw config show` prints what is in
effect. Secrets are printed as `***`, always.
";

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Says what is wrong with the settings, all of it, and where.
    Check,
    /// Prints the settings in effect, secrets as ***.
    Show,
    /// Prints the JSON Schema of the settings file.
    Schema {
        /// Prints the reference for people instead.
        #[arg(long)]
        markdown: bool,
    },
}

pub(crate) fn run(command: &Command, file: Option<&Path>, home: &Home) -> anyhow::Result<()> {
    let text = match command {
        Command::Check => {
            Settings::read(file, home)?;
            "The settings are good.\n".to_owned()
        }
        Command::Show => settings::show(&Settings::read(file, home)?)?,
        Command::Schema { markdown: true } => reference(),
        Command::Schema { markdown: false } => {
            serde_json::to_string_pretty(&settings::schema::<Settings>())? + "\n"
        }
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(())
}

/// The text of docs/SETTINGS.md.
fn reference() -> String {
    let mut page = PREFACE.to_owned();
    page.push_str("\nShort names that work too:\n\n| environment | sets |\n|---|---|\n");
    for (name, path) in crate::NAMES.aliases {
        page.push_str(&format!("| `{name}` | `{path}` |\n"));
    }
    page.push_str("\nNot settings, but heard: ");
    let others: Vec<String> = crate::NAMES
        .others
        .iter()
        .map(|it| format!("`{it}`"))
        .collect();
    page.push_str(&others.join(", "));
    page.push_str(
        ", `NO_COLOR`, and `OTEL_EXPORTER_OTLP_ENDPOINT`, which sends traces to a collector.\n",
    );
    page + &settings::markdown::<Settings>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_docs_is_in_step_with_the_code() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/SETTINGS.md");
        let written = std::fs::read_to_string(page).unwrap();
        assert!(
            written == reference(),
            "run: cargo run -p openclaw -- config schema --markdown > docs/SETTINGS.md"
        );
    }

    #[test]
    fn each_short_name_sets_what_there_is() {
        for (alias, path) in crate::NAMES.aliases {
            let text = if path.ends_with("port") {
                "1234"
            } else {
                "nats://x-long-enough-for-a-token"
            };
            let text = if *path == "redis.url" {
                "redis://x"
            } else {
                text
            };
            let text = if *path == "agent.url" {
                "http://x"
            } else {
                text
            };
            let env = [(alias.to_string(), text.to_owned())].into_iter();
            let settings = settings::load::<Settings>(None, env, &crate::NAMES);
            assert!(settings.is_ok(), "{alias}: {}", settings.unwrap_err());
        }
    }
}
