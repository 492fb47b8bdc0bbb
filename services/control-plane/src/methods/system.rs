//! What the gateway is and who is there.

use serde_json::Value;

use super::Call;

/// Those present.
pub(super) fn presence(call: &Call) -> Vec<Value> {
    call.gateway.presence()
}
