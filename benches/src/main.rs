//! `./gateway bench`: what the gateway costs and how fast it is, in one table with the machine's load beside it.

use std::{env, process::ExitCode};

mod machine;
mod path;
mod start;
mod table;

use table::Table;

/// What can be measured.
const ALL: [&str; 2] = ["start", "path"];

fn main() -> ExitCode {
    let asked: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = asked.iter().find(|name| !ALL.contains(&name.as_str())) {
        eprintln!("no benchmark `{unknown}`; there are: {}", ALL.join(", "));
        return ExitCode::FAILURE;
    }
    let wanted = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let mut table = Table::new();
    runtime.block_on(async {
        if wanted("start") {
            start::measure(&mut table).await;
        }
        if wanted("path") {
            path::measure(&mut table).await;
        }
    });
    table.print();
    ExitCode::SUCCESS
}
