//! `./gateway chaos`: faults and load for as long as one likes, and a report of it.

use std::{fs, process::ExitCode, time::Duration};

use tests::{
    chaos::{
        report,
        run::{Plan, run},
    },
    gateway::root,
};

const USAGE: &str = "usage: chaos [--minutes N] [--seed S]";

#[tokio::main]
async fn main() -> ExitCode {
    let plan = match plan(std::env::args().skip(1)) {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // In a task of its own: what does not come up again panics, and that is a verdict too.
    let Ok(outcome) = tokio::spawn(run(plan)).await else {
        println!(
            "BROKEN: the system did not survive; run it again with --seed {}",
            plan.seed
        );
        return ExitCode::FAILURE;
    };
    let folder = root().join(".gateway/chaos");
    let page = folder.join(format!("{}.html", plan.seed));
    if let Err(error) =
        fs::create_dir_all(&folder).and_then(|()| fs::write(&page, report::page(&outcome)))
    {
        eprintln!("{}: {error}", page.display());
    }
    let broken = outcome.verdict.broken();
    for why in broken.iter().take(20) {
        println!("  {why}");
    }
    println!(
        "{}: {}",
        if broken.is_empty() { "KEPT" } else { "BROKEN" },
        outcome.line()
    );
    println!("report: {}", page.display());
    if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Reads the arguments: one minute and a seed of the hour, unless told otherwise.
fn plan(mut arguments: impl Iterator<Item = String>) -> Result<Plan, String> {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    let mut plan = Plan {
        seed: now.as_secs() % 1_000_000,
        length: Duration::from_secs(60),
    };
    while let Some(name) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("{name} wants a value"))?;
        let wrong = || format!("{name} {value} is no number");
        match name.as_str() {
            "--minutes" => {
                let minutes: f64 = value.parse().map_err(|_| wrong())?;
                plan.length = Duration::try_from_secs_f64(minutes * 60.0).map_err(|_| wrong())?;
            }
            "--seed" => plan.seed = value.parse().map_err(|_| wrong())?,
            _ => return Err(format!("there is no {name}")),
        }
    }
    Ok(plan)
}
