//! The last lines of the log of the process that answers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Call, Method, method};
use crate::refusal::Refusal;

/// What it serves.
pub(super) const METHODS: &[Method] = &[method!("logs.tail", Read, tail)];

/// Lines and bytes of an answer where the client names no number, and the most there are.
const LINES: (u32, u32) = (500, 5000);
const BYTES: (u32, u32) = (250_000, 1_000_000);

/// Where to read on, and how much.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Part {
    cursor: Option<u64>,
    #[schemars(range(min = 1, max = 5000))]
    limit: Option<u32>,
    #[schemars(range(min = 1, max = 1_000_000))]
    max_bytes: Option<u32>,
}

/// Some lines, each a JSON object.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Lines {
    file: String,
    cursor: u64,
    size: u64,
    lines: Vec<String>,
    truncated: bool,
    reset: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_bytes: Option<u64>,
}

async fn tail(call: &Call, part: Part) -> Result<Lines, Refusal> {
    let limit = within(part.limit, LINES, "limit")?;
    let max_bytes = within(part.max_bytes, BYTES, "maxBytes")?;
    let piece = call.gateway.host.log.read(part.cursor, limit, max_bytes);
    // Protocol 3 did not know how much was skipped.
    let tells = call.client.grant.protocol >= 4 && piece.skipped_bytes > 0;
    Ok(Lines {
        file: format!("memory of process {}", std::process::id()),
        cursor: piece.cursor,
        size: piece.size,
        lines: piece.lines,
        truncated: piece.truncated,
        reset: piece.reset,
        skipped_bytes: tells.then_some(piece.skipped_bytes),
    })
}

fn within(asked: Option<u32>, (usual, most): (u32, u32), name: &str) -> Result<usize, Refusal> {
    let invalid = |why: String| {
        Err(Refusal::Invalid(format!(
            "invalid logs.tail params: at /{name}: must be {why}"
        )))
    };
    match asked.unwrap_or(usual) {
        0 => invalid(">= 1".into()),
        number if number > most => invalid(format!("<= {most}")),
        number => Ok(number as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_bounds_are_refused_in_the_words_of_the_reference() {
        assert_eq!(within(None, LINES, "limit"), Ok(500));
        assert_eq!(
            within(Some(0), LINES, "limit"),
            Err(Refusal::Invalid(
                "invalid logs.tail params: at /limit: must be >= 1".into()
            ))
        );
        assert_eq!(
            within(Some(1_000_001), BYTES, "maxBytes"),
            Err(Refusal::Invalid(
                "invalid logs.tail params: at /maxBytes: must be <= 1000000".into()
            ))
        );
    }
}
