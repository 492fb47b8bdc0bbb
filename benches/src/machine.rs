//! What the kernel says of the machine and of a family of processes (Linux: /proc).

use std::{collections::HashSet, fs, time::Duration};

/// Clock ticks a second in `/proc/<pid>/stat`. Source: proc(5), sysconf(_SC_CLK_TCK) is 100 on every Linux we run on.
const TICKS_PER_S: u64 = 100;

/// Load average of the last minute.
pub(crate) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

/// Kernel and processor.
pub(crate) fn system() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| {
        line.strip_prefix("model name")?
            .split_once(": ")
            .map(|(_, name)| name)
    });
    model.unwrap_or("unknown processor").to_owned()
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// A process and all that it started.
pub(crate) fn family(root: u32) -> Vec<(u32, String)> {
    let mut members = HashSet::from([root]);
    let mut all = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let Some((name, fields)) = stat(pid) else {
            continue;
        };
        all.push((pid, fields[1].parse::<u32>().unwrap_or(0), name));
    }
    loop {
        let before = members.len();
        members.extend(
            all.iter()
                .filter(|(_, parent, _)| members.contains(parent))
                .map(|(pid, _, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if members.len() == before {
            break;
        }
    }
    all.into_iter()
        .filter(|(pid, _, _)| members.contains(pid))
        .map(|(pid, _, name)| (pid, name))
        .collect()
}

/// Processor time that these processes have used.
pub(crate) fn cpu(pids: &[(u32, String)]) -> Duration {
    let ticks: u64 = pids
        .iter()
        .filter_map(|(pid, _)| stat(*pid))
        .map(|(_, fields)| {
            fields[11].parse::<u64>().unwrap_or(0) + fields[12].parse::<u64>().unwrap_or(0)
        })
        .sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_S)
}

/// Processor time of each.
pub(crate) fn cpu_each(pids: &[(u32, String)]) -> Vec<(String, Duration)> {
    pids.iter()
        .map(|one| (one.1.clone(), cpu(std::slice::from_ref(one))))
        .collect()
}

/// Resident memory of each, in MB.
pub(crate) fn memory(pids: &[(u32, String)]) -> Vec<(String, f64)> {
    let resident = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap_or("0");
        line.trim()
            .split(' ')
            .next()
            .and_then(|kb| kb.parse::<f64>().ok())
            .unwrap_or(0.0)
            / 1024.0
    };
    pids.iter()
        .map(|(pid, name)| (name.clone(), resident(*pid)))
        .collect()
}

/// Name and the fields after it, from the state on. Source: proc(5), `/proc/<pid>/stat`.
fn stat(pid: u32) -> Option<(String, Vec<String>)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = text.rsplit_once(") ")?;
    let name = head.split_once('(')?.1.to_owned();
    Some((name, tail.split(' ').map(ToOwned::to_owned).collect()))
}
