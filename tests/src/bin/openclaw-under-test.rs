//! The program `openclaw`, built by cargo together with the tests that start it.

fn main() -> std::process::ExitCode {
    openclaw::command::main()
}
