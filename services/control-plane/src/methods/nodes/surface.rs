//! A new address of the canvas, before the old one expires.

use std::collections::BTreeMap;

use chassis::clock::now_ms;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{super::Call, unavailable};
use crate::{refusal::Refusal, schema::Text};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refresh {
    surface: Text,
}

/// Where it is, and until when.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refreshed {
    surface: String,
    plugin_surface_urls: BTreeMap<String, String>,
    expires_at_ms: i64,
}

/// A new address of what was asked for: there is the canvas, if it is served.
pub(super) async fn refresh(call: &Call, params: Refresh) -> Result<Refreshed, Refusal> {
    let surface = params.surface.0;
    let link = call.gateway.canvas_link(&call.client, now_ms());
    let Some(link) = link.filter(|_| surface == "canvas") else {
        let message = format!("{surface} plugin surface unavailable");
        return Err(Refusal::Told(Box::new(unavailable(
            &message,
            json!({"surface": surface}),
        ))));
    };
    Ok(Refreshed {
        plugin_surface_urls: BTreeMap::from([(surface.clone(), link.url)]),
        surface,
        expires_at_ms: link.expires_at_ms,
    })
}
