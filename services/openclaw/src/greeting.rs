//! What a person sees once the gateway serves.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::Duration;

use chassis::health::Board;
use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::home::Home;
use crate::{Settings, pair, services};

/// Pause between two looks whether all is ready.
const LOOK: Duration = Duration::from_millis(20);

/// A start that takes longer than this deserves a word.
const SLOW: Duration = Duration::from_secs(15);

/// Waits until all is ready, then greets.
pub(crate) async fn when_ready(board: &Board, settings: &Settings, home: &Home) {
    let mut complain_at = Instant::now() + SLOW;
    loop {
        let waiting = board.waiting();
        if waiting.is_empty() {
            break;
        }
        if Instant::now() >= complain_at {
            warn!(
                waiting_for = waiting.join(", "),
                "not everything is ready yet"
            );
            complain_at = Instant::now() + SLOW * 4;
        }
        sleep(LOOK).await;
    }
    // The token is for the person at the terminal; what is not a terminal may be kept as a log.
    let terminal = std::io::stderr().is_terminal();
    eprintln!("{}", text(settings, home, terminal));
    if !terminal {
        claim(settings, home).await;
    }
}

/// Once all is ready, says how the first device is let in: a claim is good once and for minutes, so that it may stand in
/// the log of a container, where the token may not.
pub(crate) async fn first_device(board: &Board, settings: &Settings, home: &Home) {
    while !board.waiting().is_empty() {
        sleep(LOOK).await;
    }
    claim(settings, home).await;
}

async fn claim(settings: &Settings, home: &Home) {
    if let Some(text) = pair::first(settings, home).await {
        eprintln!("\nNo device was let in yet.\n\n{text}\n\n`openclaw pair` makes another.");
    }
}

fn text(settings: &Settings, home: &Home, with_token: bool) -> String {
    let page = settings.page_url();
    let token = match with_token {
        // In the fragment, which browsers send to nobody.
        true => format!("#token={}", settings.gateway.token.expose()),
        false if home.token().as_ref() == Some(&settings.gateway.token) => {
            format!("   (its token is in {})", home.token_file().display())
        }
        false => "   (its token is the one you set)".to_owned(),
    };
    let accounts = services::accounts(settings);
    let telegram = match accounts.as_slice() {
        [] => "not set up: put TELEGRAM_BOT_TOKEN=<token from @BotFather> before the command"
            .to_owned(),
        names => names.join(", "),
    };
    let agent = &settings.agent;
    let no_model = agent.url.is_empty() && agent.api_key.is_empty();
    let agent = match no_model {
        true => "built in, offline; OPENAI_API_KEY=<key> or OPENAI_BASE_URL=<url> asks a model"
            .to_owned(),
        false => agent.model.clone(),
    };
    let mut text = "\nThe gateway runs.\n\n".to_owned();
    for (what, how) in [
        ("page", format!("{page}{token}")),
        ("telegram", telegram),
        ("agent", agent),
        ("data", home.folder().display().to_string()),
        ("stop", "Ctrl-C".to_owned()),
    ] {
        let _ = writeln!(text, "  {what:<9} {how}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(with_token: bool) -> String {
        let mut settings = Settings::default();
        settings.gateway.token = "canary".into();
        let home = Home::at(Some("/nowhere/at/all".into())).unwrap();
        text(&settings, &home, with_token)
    }

    #[test]
    fn the_token_is_shown_to_a_terminal_alone_and_never_in_the_query() {
        assert!(
            shown(true).contains(":18789/#token=canary\n"),
            "{}",
            shown(true)
        );
        assert!(!shown(false).contains("canary"));
        assert!(!shown(true).contains('?'));
    }

    #[test]
    fn what_is_not_set_up_is_told_in_one_line() {
        let text = shown(true);
        let line = text.lines().find(|line| line.contains("telegram")).unwrap();
        assert!(line.contains("TELEGRAM_BOT_TOKEN="), "{line}");
    }
}
