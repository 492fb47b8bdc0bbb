//! Fakes of the platforms: servers built from their documentation, with their failures.

pub mod telegram;
