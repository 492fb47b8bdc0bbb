//! Latency over time as an SVG, with the faults behind it.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use super::{escape, share};
use crate::chaos::run::{Outcome, clock_of};

/// Size of the drawing; it is scaled to the page.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 320.0;
/// Room for the numbers at the left and below.
const LEFT: f64 = 56.0;
const BELOW: f64 = 24.0;
const ABOVE: f64 = 12.0;
/// The scale of latencies is logarithmic, from this to that, in seconds.
const SHORTEST_S: f64 = 0.001;
const LONGEST_S: f64 = 100.0;
/// Ticks of the time scale.
const TICKS: u32 = 8;

/// The drawing.
pub(super) fn latency(outcome: &Outcome) -> String {
    let last = outcome
        .verdict
        .latencies
        .iter()
        .map(|(said, _)| said.saturating_duration_since(outcome.started))
        .max();
    let scale = Scale {
        length_s: last
            .unwrap_or_default()
            .max(outcome.plan.length)
            .as_secs_f64()
            .max(1.0),
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Latency over time, faults shaded\">\n"
    );
    for (fault, happened) in outcome.faults.iter().enumerate() {
        let (from, to) = (scale.x(happened.from), scale.x(happened.to));
        let _ = writeln!(
            svg,
            "<rect class=\"fault f{}\" x=\"{from:.1}\" y=\"{ABOVE}\" width=\"{:.1}\" height=\"{:.1}\">\
             <title>{} {}</title></rect>",
            fault % 2,
            (to - from).max(2.0),
            HEIGHT - BELOW - ABOVE,
            clock_of(happened.from),
            escape(&happened.fault)
        );
    }
    grid(&mut svg, &scale);
    let seconds = by_second(outcome);
    for (class, part) in [("p50", 0.5), ("p99", 0.99)] {
        let points = seconds.iter().map(|(second, sorted)| {
            format!(
                "{:.1},{:.1}",
                scale.x(Duration::from_secs(*second)),
                y(share(sorted, part))
            )
        });
        let _ = writeln!(
            svg,
            "<polyline class=\"{class}\" points=\"{}\"/>",
            points.collect::<Vec<_>>().join(" ")
        );
    }
    svg + "</svg>\n<p class=\"legend\"><span class=\"p50\">half</span> <span class=\"p99\">99 %</span> of the answers \
           came faster</p>\n"
}

struct Scale {
    length_s: f64,
}

impl Scale {
    fn x(&self, since: Duration) -> f64 {
        LEFT + since.as_secs_f64() / self.length_s * (WIDTH - LEFT)
    }
}

/// Height of a latency.
fn y(latency: Duration) -> f64 {
    let all = (LONGEST_S / SHORTEST_S).log10();
    let part = (latency.as_secs_f64().clamp(SHORTEST_S, LONGEST_S) / SHORTEST_S).log10() / all;
    HEIGHT - BELOW - part * (HEIGHT - BELOW - ABOVE)
}

fn grid(svg: &mut String, scale: &Scale) {
    for (ms, name) in [
        (1, "1 ms"),
        (10, "10 ms"),
        (100, "100 ms"),
        (1000, "1 s"),
        (10_000, "10 s"),
        (100_000, "100 s"),
    ] {
        let y = y(Duration::from_millis(ms));
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" class=\"y\">{name}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    for tick in 0..TICKS {
        let at = Duration::from_secs_f64(scale.length_s / f64::from(TICKS) * f64::from(tick));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            scale.x(at),
            HEIGHT - 6.0,
            clock_of(at)
        );
    }
}

/// Latencies by the second in which the message was said, each sorted.
fn by_second(outcome: &Outcome) -> BTreeMap<u64, Vec<Duration>> {
    let mut seconds: BTreeMap<u64, Vec<Duration>> = BTreeMap::new();
    for (said, took) in &outcome.verdict.latencies {
        let second = said.saturating_duration_since(outcome.started).as_secs();
        seconds.entry(second).or_default().push(*took);
    }
    seconds.values_mut().for_each(|took| took.sort_unstable());
    seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_is_higher_and_stays_in_the_picture() {
        let heights = [0, 1, 50, 1000, 100_000, 900_000].map(|ms| y(Duration::from_millis(ms)));
        assert!(heights.is_sorted_by(|a, b| a >= b), "{heights:?}");
        assert!(heights.iter().all(|y| (ABOVE..=HEIGHT - BELOW).contains(y)));
    }
}
