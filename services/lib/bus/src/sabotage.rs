//! Promises broken on purpose, so that the fault tests can be seen to fail.

/// Whether this process is told to break the promise `what`.
///
/// Always false without the feature `sabotage`, which no release has. With it the variable `SABOTAGE` names the one
/// promise that is broken: `offset`, `order`, `dedupe` or `intents`. What each does is said in docs/FAULTS.md.
#[must_use]
pub fn sabotaged(what: &str) -> bool {
    cfg!(feature = "sabotage") && std::env::var_os("SABOTAGE").is_some_and(|told| told == what)
}
