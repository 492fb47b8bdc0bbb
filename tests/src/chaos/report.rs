//! The report of a run as one HTML page that needs nothing else.

use std::{fmt::Write, time::Duration};

use crate::chaos::{
    run::{Happened, Outcome, clock_of},
    table::seconds,
};

mod chart;

/// How long after a fault a slow answer is put down to it.
const AFTER: Duration = Duration::from_secs(2);
/// Broken promises listed; the rest is counted.
const LISTED: usize = 50;

/// The page.
#[must_use]
pub fn page(outcome: &Outcome) -> String {
    let broken = outcome.verdict.broken();
    let (class, words) = match broken.len() {
        0 => ("kept", "Every promise was kept".to_owned()),
        count => ("broken", format!("{count} promises were broken")),
    };
    let seed = outcome.plan.seed;
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Chaos {seed}: {words}</title>\n<style>\n{style}</style>\n<main>\n\
         <h1>Chaos, seed {seed}</h1>\n<p class=\"verdict {class}\">{words}.</p>\n\
         <p>{minutes} of faults and load on <code>{program}</code>. Again: \
         <code>./gateway chaos --minutes {count} --seed {seed}</code></p>\n\
         {counts}{list}<h2>Latency</h2>\n\
         <p>From a person's message to its answer on the platform, by the second in which it was written. \
         Shaded: a fault; point at one to see which.</p>\n{chart}{table}</main>\n</html>\n",
        style = include_str!("report/style.css"),
        minutes = clock_of(outcome.plan.length),
        program = escape(&outcome.program),
        count = outcome.plan.length.as_secs_f64() / 60.0,
        counts = counts(outcome),
        list = list(&broken),
        chart = chart::latency(outcome),
        table = table(outcome),
    )
}

fn counts(outcome: &Outcome) -> String {
    let of = &outcome.verdict;
    let mut sorted: Vec<Duration> = of.latencies.iter().map(|(_, took)| *took).collect();
    sorted.sort_unstable();
    let numbers = [
        ("messages said", of.said.to_string(), ""),
        ("answered", of.answered.to_string(), ""),
        ("told that the model is away", of.told.to_string(), ""),
        ("marked unknown", of.unknown.to_string(), ""),
        ("lost", of.lost.len().to_string(), bad(of.lost.len())),
        (
            "out of order",
            of.out_of_order.len().to_string(),
            bad(of.out_of_order.len()),
        ),
        (
            "answered twice",
            of.twice.len().to_string(),
            bad(of.twice.len()),
        ),
        ("faults", outcome.faults.len().to_string(), ""),
        ("half answered within", seconds(share(&sorted, 0.5)), ""),
        ("99 % within", seconds(share(&sorted, 0.99)), ""),
        ("longest stall of all", seconds(of.longest_stall), ""),
    ];
    let mut text = String::from("<dl>\n");
    for (name, number, class) in numbers {
        let _ = writeln!(
            text,
            "<div class=\"{class}\"><dt>{name}</dt><dd>{number}</dd></div>"
        );
    }
    text + "</dl>\n"
}

fn bad(count: usize) -> &'static str {
    if count > 0 { "bad" } else { "" }
}

/// The duration that this share of `sorted` does not exceed; zero if there are none.
pub(crate) fn share(sorted: &[Duration], share: f64) -> Duration {
    let place = (sorted.len() as f64 * share) as usize;
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn list(broken: &[String]) -> String {
    if broken.is_empty() {
        return String::new();
    }
    let mut text = String::from("<h2>Broken</h2>\n<ul>\n");
    for why in broken.iter().take(LISTED) {
        let _ = writeln!(text, "<li>{}</li>", escape(why));
    }
    if broken.len() > LISTED {
        let _ = writeln!(text, "<li>and {} more</li>", broken.len() - LISTED);
    }
    text + "</ul>\n"
}

fn table(outcome: &Outcome) -> String {
    let mut text = String::from(
        "<h2>Faults</h2>\n<table>\n<thead><tr><th>at</th><th>fault</th><th>lasted</th><th>messages</th>\
         <th>slowest answer</th></tr></thead>\n<tbody>\n",
    );
    for fault in &outcome.faults {
        let during = during(outcome, fault);
        let slowest = during.iter().max().copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            clock_of(fault.from),
            escape(&fault.fault),
            seconds(fault.to.saturating_sub(fault.from)),
            during.len(),
            seconds(slowest)
        );
    }
    text + "</tbody>\n</table>\n"
}

/// Latencies of the messages that were said from the beginning of a fault until a little after it.
fn during(outcome: &Outcome, fault: &Happened) -> Vec<Duration> {
    let said = outcome.verdict.latencies.iter().filter(|(said, _)| {
        let since = said.saturating_duration_since(outcome.started);
        since >= fault.from && since <= fault.to + AFTER
    });
    said.map(|(_, took)| *took).collect()
}

/// `text` as it may stand between tags and in attributes.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::chaos::{judge::Verdict, run::Plan};

    fn outcome(lost: Vec<String>) -> Outcome {
        let started = Instant::now();
        let latencies = (0..50)
            .map(|n| {
                (
                    started + Duration::from_millis(n * 100),
                    Duration::from_millis(n),
                )
            })
            .collect();
        Outcome {
            plan: Plan {
                seed: 42,
                length: Duration::from_secs(90),
            },
            started,
            program: "openclaw".into(),
            faults: vec![Happened {
                fault: "a <b> & c".into(),
                from: Duration::from_secs(1),
                to: Duration::from_secs(2),
            }],
            verdict: Verdict {
                said: 50,
                answered: 50,
                lost,
                latencies,
                ..Verdict::default()
            },
        }
    }

    #[test]
    fn a_report_says_the_verdict_and_loads_nothing() {
        let page = page(&outcome(Vec::new()));
        assert!(page.contains("Every promise was kept"));
        assert!(page.contains("--minutes 1.5 --seed 42"));
        assert!(page.contains("a &lt;b&gt; &amp; c") && !page.contains("<b>"));
        for outside in ["src=", "href=", "url(", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn a_broken_promise_is_named() {
        let page = page(&outcome(vec!["`message 3 of 7`".into()]));
        assert!(page.contains("1 promises were broken") && page.contains("lost: `message 3 of 7`"));
    }
}
