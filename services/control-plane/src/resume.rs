//! What a client missed while it was away: told from the stream of what happened, before what happens now.

use std::sync::Arc;

use chassis::clock::now_ms;
use proto::{subject, v1::Event, ws};
use serde_json::json;

use crate::{
    client::Client, cursor::Cursor, gateway::Gateway, live::EVENT, outbox::Worth, runs::Tale,
};

/// Most ends of runs that are told to a client that was away; who missed more reads the history.
const MOST: usize = 2000;

/// Where a client that understands cursors wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resume {
    /// With what happens from now on.
    Now,
    /// After what it knows already.
    After(Cursor),
    /// It knows a place that no stream of ours has.
    Lost,
}

impl From<&str> for Resume {
    fn from(text: &str) -> Self {
        match text {
            "" => Self::Now,
            text => text.parse().map_or(Self::Lost, Self::After),
        }
    }
}

impl Resume {
    /// Whether the client knows already what happened at `at`: another replica may be ahead of this one.
    pub(crate) fn knows(self, at: Cursor) -> bool {
        match self {
            Self::After(known) => {
                known.created_ms == at.created_ms && at.sequence <= known.sequence
            }
            Self::Now | Self::Lost => false,
        }
    }
}

/// Tells `client` what it missed, what is being answered, and that it is up to date or that something is missing; then
/// lets go of what happened since it joined.
pub(crate) async fn tell(gateway: &Gateway, client: &Client, resume: Resume) {
    let here = client.joined_at.get().copied().unwrap_or_default();
    let missed = missed(gateway, resume, here).await;
    let complete = missed.is_some();
    let missed = missed.unwrap_or_default();
    let mut frames: Vec<(Arc<ws::Event>, Worth)> = Vec::new();
    for (tales, at) in &missed {
        for (n, tale) in tales.iter().enumerate() {
            if !tale.audience().includes(client) {
                continue;
            }
            let event = match n + 1 == tales.len() {
                true => Arc::new(tale.marked(*at)),
                false => tale.event.clone(),
            };
            frames.push((event, tale.worth));
        }
    }
    let so_far = gateway.runs().so_far(now_ms());
    let so_far = so_far
        .iter()
        .filter(|tale| tale.audience().includes(client));
    frames.extend(so_far.map(|tale| (tale.event.clone(), tale.worth)));
    let newest = match resume {
        Resume::After(known) if resume.knows(here) => known,
        _ => here,
    };
    let payload = json!({"cursor": newest.to_string(), "complete": complete});
    let resumed = ws::Event::new("events.resumed", &payload, None);
    frames.push((Arc::new(resumed), Worth::Needed));
    client.outbox.release(&frames);
}

/// What happened after what the client knows up to `here`, each with its place; `None` where some of it is not known
/// any more, or it is too much.
async fn missed(
    gateway: &Gateway,
    resume: Resume,
    here: Cursor,
) -> Option<Vec<(Vec<Tale>, Cursor)>> {
    let known = match resume {
        Resume::Now => return Some(Vec::new()),
        Resume::Lost => return None,
        Resume::After(known) if known.created_ms != here.created_ms => return None,
        Resume::After(known) if known.sequence >= here.sequence => return Some(Vec::new()),
        Resume::After(known) => known,
    };
    let (from, to) = (known.sequence, here.sequence);
    let records = gateway
        .bus
        .between::<Event>(EVENT, &subject::ENDS, from, to, MOST);
    let records = match records.await {
        Ok(records) => records?,
        Err(error) => {
            tracing::debug!(%error, "what a client missed could not be read");
            return None;
        }
    };
    let runs = gateway.runs();
    let told = records.iter().filter_map(|record| {
        let tales = runs.again(record.message.as_ref()?);
        let at = Cursor {
            sequence: record.sequence,
            ..here
        };
        (!tales.is_empty()).then_some((tales, at))
    });
    Some(told.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_knows_what_it_was_told_and_nothing_of_another_stream() {
        let at = |created_ms, sequence| Cursor {
            created_ms,
            sequence,
        };
        let resume = Resume::from(&*at(5, 7).to_string());
        assert!(resume.knows(at(5, 7)) && !resume.knows(at(5, 8)));
        assert!(!resume.knows(at(6, 7)));
        assert!(!Resume::from("").knows(at(0, 0)));
        assert_eq!(Resume::from("what"), Resume::Lost);
    }
}
