//! `./gateway bench`: what the gateway costs and how fast it is, in one table with the machine's load beside it.

use std::{env, process::ExitCode};

mod bare;
mod machine;
mod path;
mod priorities;
mod scale;
mod start;
mod table;

use table::Table;

/// What is measured unless something is named.
const USUAL: [&str; 4] = ["start", "path", "bare", "priorities"];
/// What takes long and is measured when named.
const LONG: [&str; 3] = ["sessions", "replicas", "long"];

fn main() -> ExitCode {
    let asked: Vec<String> = env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let known: Vec<&str> = USUAL.into_iter().chain(LONG).collect();
    if let Some(unknown) = asked.iter().find(|name| !known.contains(&name.as_str())) {
        eprintln!("no benchmark `{unknown}`; there are: {}", known.join(", "));
        return ExitCode::FAILURE;
    }
    let wanted: Vec<&str> = match asked.is_empty() {
        true => USUAL.to_vec(),
        false => known
            .into_iter()
            .filter(|name| asked.iter().any(|asked| asked == name))
            .collect(),
    };
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let mut table = Table::new();
    for name in wanted {
        runtime.block_on(async {
            match name {
                "start" => start::measure(&mut table).await,
                "path" => path::measure(&mut table).await,
                "bare" => bare::measure(&mut table).await,
                "priorities" => priorities::measure(&mut table).await,
                "sessions" => scale::sessions(&mut table).await,
                "replicas" => scale::replicas(&mut table).await,
                _ => scale::long(&mut table).await,
            }
        });
    }
    table.print();
    ExitCode::SUCCESS
}
