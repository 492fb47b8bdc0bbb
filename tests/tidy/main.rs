//! The shape of the source tree: floors, owned dependencies, first lines, and documents in step with the code.
//!
//! Each rule is a function from what was found to a list of what is wrong; beside it stands a test that plants a
//! violation and sees it found.

mod docs;
mod files;
mod floors;
mod manifests;

/// Fails with each thing that is wrong, and why it is.
#[track_caller]
fn assert_tidy(why: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{why}:\n  {}", wrong.join("\n  "));
}
