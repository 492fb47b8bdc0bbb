//! The built-in agent: says plainly that no model is configured, and is of some small use meanwhile.

/// Longest text that is said back, in characters.
const MAX_ECHO_CHARS: usize = 500;

/// What every answer but the plainest ends with.
const HOW_TO: &str = "No model is configured, so this is the gateway's built-in agent. To talk to a model, the operator \
                      sets `agent.api_key` in openclaw.toml or `OPENAI_API_KEY` in the environment (for another \
                      provider or a local model also `agent.url` or `OPENAI_BASE_URL`) and restarts the gateway.";

/// Answers `said` at the time `now_ms`.
pub(super) fn answer(said: &str, now_ms: i64) -> String {
    let said = said.trim();
    let (word, rest) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    let command = word
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase();
    match (command.as_str(), rest.trim()) {
        ("echo", rest) if !rest.is_empty() => cut(rest),
        ("time" | "date", "") => format!("It is {} UTC.", utc(now_ms)),
        ("help", "") => {
            format!("I can do three things: `echo <text>`, `time` and `help`.\n\n{HOW_TO}")
        }
        _ => format!(
            "You said: {}\n\n{HOW_TO} Until then I know `echo <text>`, `time` and `help`.",
            cut(said)
        ),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_ECHO_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// "2026-11-20 14:03:09" of milliseconds since 1970.
fn utc(now_ms: i64) -> String {
    let seconds = now_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March make February the last month; 400 of them are an era of 146,097 days.
    let day = days + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_that_it_is_no_model_and_how_to_get_one() {
        let answer = answer("hello there", 0);
        assert!(answer.starts_with("You said: hello there\n\nNo model is configured"));
        assert!(answer.contains("agent.api_key") && answer.contains("OPENAI_API_KEY"));
    }

    #[test]
    fn it_echoes_and_knows_the_time() {
        assert_eq!(answer("Echo  one two ", 0), "one two");
        assert_eq!(
            answer("time?", 1_795_183_389_000),
            "It is 2026-11-20 14:03:09 UTC."
        );
        assert_eq!(answer("/time", -1), "It is 1969-12-31 23:59:59 UTC.");
        assert!(answer("help", 0).contains("three things"));
        assert!(answer("time flies", 0).starts_with("You said: time flies"));
    }

    #[test]
    fn the_calendar_knows_leap_years() {
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00");
        assert_eq!(utc(0), "1970-01-01 00:00:00");
    }

    #[test]
    fn a_long_text_is_not_said_back_whole() {
        let echoed = answer(&format!("echo {}", "ä".repeat(600)), 0);
        assert_eq!(echoed.chars().count(), MAX_ECHO_CHARS + 1);
    }
}
