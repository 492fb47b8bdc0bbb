//! The one binary; everything it does stands in the library.

fn main() -> std::process::ExitCode {
    openclaw::command::main()
}
