//! The second net under secrets: what is known to be one, or looks like one, never reaches a line of the log.

use std::{
    borrow::Cow,
    io::{self, Write},
    sync::{Arc, PoisonError, RwLock},
};

use tracing_subscriber::fmt::MakeWriter;

use crate::Secret;

/// What stands where a secret would.
const HIDDEN: &str = "***";
/// A known secret shorter than this hides nothing: it would hide ordinary words.
const SHORT_BYTES: usize = 6;
/// How keys of well-known services begin, and how many characters follow at least.
const PREFIXES: [(&str, usize); 8] = [
    ("sk-", 16),
    ("xoxb-", 10),
    ("xoxp-", 10),
    ("xapp-", 10),
    ("ghp_", 20),
    ("github_pat_", 20),
    ("AIza", 30),
    ("AKIA", 16),
];
/// Words after which a credential stands.
const BEFORE: [&str; 3] = ["Bearer ", "Basic ", "Bot "];
/// Characters of a bot's token after the colon, at least. Source: tokens as @BotFather gives them have 35.
const BOT_CHARS: usize = 30;

/// Takes secrets out of lines. Clones know the same secrets.
#[derive(Clone, Default)]
pub struct Scrub(Arc<RwLock<Vec<Secret>>>);

impl Scrub {
    /// From now on these are taken out wherever they stand.
    pub fn hide(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for secret in secrets {
            if secret.expose().len() >= SHORT_BYTES && !known.contains(&secret) {
                known.push(secret);
            }
        }
        // One may be part of another.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    }

    /// `line` without secrets.
    pub fn clean<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let mut line = Cow::Borrowed(line);
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for secret in known.iter().map(Secret::expose) {
            if line.contains(secret) {
                line = Cow::Owned(line.replace(secret, HIDDEN));
            }
        }
        while let Some((begin, end)) = suspicious(&line) {
            let mut cleaned = line.into_owned();
            cleaned.replace_range(begin..end, HIDDEN);
            line = Cow::Owned(cleaned);
        }
        line
    }
}

/// Where the first thing stands that looks like a secret, if any does.
fn suspicious(line: &str) -> Option<(usize, usize)> {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let run = |from: usize, good: &dyn Fn(char) -> bool| {
        line[from..]
            .find(|c| !good(c))
            .map_or(line.len(), |length| from + length)
    };
    for before in BEFORE {
        for (at, _) in line.match_indices(before) {
            let from = at + before.len();
            let end = run(from, &|c| {
                word(c) || matches!(c, '.' | '~' | '+' | '/' | '=' | ':')
            });
            if end - from >= 8 {
                return Some((from, end));
            }
        }
    }
    for (prefix, least) in PREFIXES {
        for (at, _) in line.match_indices(prefix) {
            let fresh = !line[..at].ends_with(word);
            let end = run(at + prefix.len(), &word);
            if fresh && end - at >= prefix.len() + least {
                return Some((at, end));
            }
        }
    }
    for (at, _) in line.match_indices(':') {
        let digits = line[..at].len()
            - line[..at]
                .trim_end_matches(|c: char| c.is_ascii_digit())
                .len();
        let end = run(at + 1, &word);
        if digits >= 6 && end - at > BOT_CHARS {
            return Some((at - digits, end));
        }
    }
    for (at, _) in line.match_indices("://") {
        let from = at + 3;
        let end = run(from, &|c| {
            !c.is_whitespace() && !matches!(c, '/' | '"' | '\'' | ',' | '>' | '`')
        });
        if let Some(user) = line[from..end].rfind('@').filter(|user| *user > 0)
            && &line[from..from + user] != HIDDEN
        {
            return Some((from, from + user));
        }
    }
    None
}

/// Writes lines to `W` without secrets.
#[derive(Clone)]
pub(super) struct Clean<W> {
    pub(super) to: W,
    pub(super) scrub: Scrub,
}

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Clean<W> {
    type Writer = Clean<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        Clean {
            to: self.to.make_writer(),
            scrub: self.scrub.clone(),
        }
    }
}

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An event comes in one piece.
        let text = String::from_utf8_lossy(bytes);
        self.to.write_all(self.scrub.clean(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_or_looks_like_a_secret_is_taken_out() {
        let scrub = Scrub::default();
        scrub.hide(["short", "canary-one", "canary-one-and-more"].map(Secret::from));
        let token = format!("123456789:{}", "A".repeat(35));
        for (line, cleaned) in [
            ("x canary-one-and-more y canary-one", "x *** y ***"),
            ("short is no secret", "short is no secret"),
            (
                "authorization: Bearer abc.DEF-123_456",
                "authorization: Bearer ***",
            ),
            (&format!("GET /bot{token}/getMe"), "GET /bot***/getMe"),
            ("key sk-proj-0123456789abcdef!", "key ***!"),
            (
                "redis://:pass@host:6379/0 and nats://u:p@h",
                "redis://***@host:6379/0 and nats://***@h",
            ),
            (
                "nats://127.0.0.1:4222 at 12:34:56.789",
                "nats://127.0.0.1:4222 at 12:34:56.789",
            ),
            (
                "risk-averse tasks, mail to ada@example.org",
                "risk-averse tasks, mail to ada@example.org",
            ),
            (
                "\"at\":1795162742486,\"id\":\"0191-af\"",
                "\"at\":1795162742486,\"id\":\"0191-af\"",
            ),
        ] {
            assert_eq!(scrub.clean(line), cleaned);
        }
    }

    #[test]
    fn a_writer_writes_all_but_the_secret() {
        let scrub = Scrub::default();
        scrub.hide(["canary-one".into()]);
        let mut clean = Clean {
            to: Vec::new(),
            scrub,
        };
        writeln!(clean, "with canary-one in it").unwrap();
        assert_eq!(clean.to, b"with *** in it\n");
    }

    proptest::proptest! {
        #[test]
        fn no_line_breaks_it_and_cleaning_twice_changes_nothing(line in "\\PC{0,80}|([a-z]+://)?[a-z:@/ ]{0,40}|[0-9]{5,9}:[A-Za-z0-9_-]{20,40}") {
            let scrub = Scrub::default();
            let once = scrub.clean(&line).into_owned();
            proptest::prop_assert_eq!(scrub.clean(&once), once.as_str());
        }
    }
}
