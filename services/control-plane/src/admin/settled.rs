//! Which chunks of an outbound are not to be sent again, as the events tell: the intents may be forgotten by then.

use std::collections::BTreeSet;

use bus::Bus;
use bytes::Bytes;
use prost::Message as _;
use proto::{
    subject,
    v1::{Event, Outbound, Sent, Unsure, event::What},
};

/// Clocks of two machines differ by less.
const SKEW_MS: i64 = 60 * 60 * 1000;

/// `payload`, a message of `stream`; an outbound with the chunks that are settled.
///
/// # Errors
/// The bus is away.
pub(super) async fn mark(bus: &Bus, stream: &str, payload: Bytes) -> Result<Bytes, bus::Error> {
    let Some(mut outbound) = (stream == "OUT")
        .then(|| Outbound::decode(payload.clone()).ok())
        .flatten()
    else {
        return Ok(payload);
    };
    let mut told = Vec::new();
    for what in [What::Sent(Sent::default()), What::Unsure(Unsure::default())] {
        let event = Event {
            session_key: outbound.session_key.clone(),
            what: Some(what),
            ..Event::default()
        };
        let since_ms = outbound.created_at_ms.saturating_sub(SKEW_MS).max(0);
        let filter = subject::event(&event);
        let events = bus.past::<Event>("EVENT", &filter, since_ms).await?;
        told.extend(events.into_iter().filter_map(|event| event.message?.what));
    }
    let settled = settled(&outbound, &told);
    if settled == outbound.settled {
        return Ok(payload);
    }
    outbound.settled = settled;
    Ok(outbound.encode_to_vec().into())
}

/// Those that are on the platform, and those of which nobody knows; but not the one that an operator had sent again.
fn settled(outbound: &Outbound, told: &[What]) -> Vec<u32> {
    let mut settled: BTreeSet<u32> = outbound.settled.iter().copied().collect();
    let asked_for = |unsure: &Unsure| {
        outbound.settled.len() + 1 == unsure.chunks as usize
            && !outbound.settled.contains(&unsure.chunk)
    };
    for what in told {
        match what {
            What::Sent(sent) if sent.outbound_id == outbound.id => {
                settled.insert(sent.chunk);
            }
            What::Unsure(unsure) if unsure.outbound_id == outbound.id && !asked_for(unsure) => {
                settled.insert(unsure.chunk);
            }
            _ => {}
        }
    }
    settled.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(outbound_id: &str, chunk: u32) -> What {
        What::Sent(Sent {
            outbound_id: outbound_id.into(),
            chunk,
            ..Sent::default()
        })
    }

    fn unsure(chunk: u32, chunks: u32) -> What {
        What::Unsure(Unsure {
            outbound_id: "o".into(),
            chunk,
            chunks,
            ..Unsure::default()
        })
    }

    fn outbound(settled: &[u32]) -> Outbound {
        Outbound {
            id: "o".into(),
            settled: settled.to_vec(),
            ..Outbound::default()
        }
    }

    #[test]
    fn what_was_sent_or_is_unknown_is_settled_and_nothing_of_another_message() {
        let told = [sent("o", 0), unsure(1, 4), sent("other", 2)];
        assert_eq!(settled(&outbound(&[]), &told), [0, 1]);
        assert_eq!(settled(&outbound(&[3]), &told), [0, 1, 3]);
    }

    #[test]
    fn a_chunk_that_an_operator_had_sent_again_and_that_failed_may_be_replayed() {
        assert_eq!(settled(&outbound(&[0, 2]), &[unsure(1, 3)]), [0, 2]);
    }
}
