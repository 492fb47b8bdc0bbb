//! Logging an account in by showing a code to a phone: refused, as no platform here does it so.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::super::Call;
use crate::refusal::Refusal;

/// Begins to log in.
pub(crate) async fn start(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Err(none())
}

/// Waits until the code was shown to a phone.
pub(crate) async fn wait(_: &Call, _: IgnoredAny) -> Result<Value, Refusal> {
    Err(none())
}

fn none() -> Refusal {
    Refusal::Invalid(
        "web login provider is not available: no platform of this gateway logs in with a code; set its credentials in the \
         settings, such as telegram.main.token"
            .into(),
    )
}
