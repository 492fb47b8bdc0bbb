//! Keeps the numbers that Prometheus reads.

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Upper bounds of histograms, in seconds: fine from 5 ms to 1 s, where people feel a difference.
const BUCKETS_S: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0,
];

/// Memory pages that `/proc` counts in, in bytes.
const PAGE_BYTES: f64 = 4096.0;

/// Ticks that `/proc` counts processor time in, a second: fixed for programs on Linux.
const TICKS_PER_S: f64 = 100.0;

/// Begins to keep numbers, once a process; later calls return the same.
pub fn begin() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets(BUCKETS_S)
                .expect("there are buckets")
                .build_recorder();
            let handle = recorder.handle();
            // Fails only if somebody else keeps numbers; then ours stay empty.
            let _ = metrics::set_global_recorder(recorder);
            handle
        })
        .clone()
}

/// Writes down what the process takes of the machine. Says nothing where there is no `/proc`.
pub fn observe_process() {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/self/{file}")).ok();
    let number = |text: &str, at: usize| text.split(' ').nth(at)?.trim().parse::<f64>().ok();
    if let Some(pages) = read("statm").and_then(|text| number(&text, 1)) {
        metrics::gauge!("process_resident_memory_bytes").set(pages * PAGE_BYTES);
    }
    // The program's name is in parentheses and may hold blanks; user and system time come after it.
    let ticks = read("stat").and_then(|text| {
        let after = text.rsplit_once(") ")?.1;
        Some(number(after, 11)? + number(after, 12)?)
    });
    if let Some(ticks) = ticks {
        metrics::gauge!("process_cpu_seconds_total").set(ticks / TICKS_PER_S);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        let files = u32::try_from(files.count()).unwrap_or(u32::MAX);
        metrics::gauge!("process_open_fds").set(f64::from(files));
    }
}
