//! Tells those who subscribed of sessions that change, and of each message: every replica its own clients.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::clock::now_ms;
use proto::{
    session, subject,
    v1::{Delta, DeltaKind, Event, HistoryReply, HistoryRequest, Line, RowsRequest, SessionName},
    v1::{SessionRow, event::What},
    ws,
};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{clients::Audience, gateway::Gateway, methods, outbox::Worth, sessions::row::Extras};

/// Sessions that one client may follow at once.
pub(crate) const MOST_FOLLOWED: usize = 256;
/// Changes are told together, at most this often.
const PAUSE: Duration = Duration::from_millis(100);
/// Changed sessions that wait to be told; more than this many are told no more, and lists tell them.
const MOST_CHANGED: usize = 2000;
/// Sessions asked for at once.
const PAGE: usize = 100;
/// Answers of the ledger that new lines of one session may fill.
const MOST_PAGES: usize = 10;
/// How long the ledger may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A session by its agent and its key.
pub(crate) type Name = (String, String);

/// What of sessions one client wants to hear.
#[derive(Debug, Default)]
pub(crate) struct Hears(Mutex<(bool, BTreeSet<Name>)>);

/// Sessions that changed, and how far their messages were told.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    changed: Mutex<BTreeMap<Name, &'static str>>,
    woken: Notify,
    /// The newest line told of each session that somebody follows.
    told: Mutex<HashMap<Name, u64>>,
}

impl Hears {
    /// Whether it wants to hear of every change of a session.
    pub(crate) fn every_change(&self, wanted: bool) {
        self.lock().0 = wanted;
    }

    /// It wants to hear each message of the session; false where it follows too many.
    pub(crate) fn follow(&self, name: Name) -> bool {
        let mut hears = self.lock();
        hears.1.contains(&name) || hears.1.len() < MOST_FOLLOWED && hears.1.insert(name)
    }

    /// It no longer does.
    pub(crate) fn unfollow(&self, name: &Name) {
        self.lock().1.remove(name);
    }

    fn hears_changes(&self) -> bool {
        self.lock().0
    }

    fn follows(&self, name: &Name) -> bool {
        self.lock().1.contains(name)
    }

    fn lock(&self) -> MutexGuard<'_, (bool, BTreeSet<Name>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Somebody follows a session whose newest line is `newest`.
    pub(crate) fn begin(&self, name: &Name, newest: u64) {
        lock(&self.told).entry(name.clone()).or_insert(newest);
    }

    /// A session changed.
    pub(crate) fn changed(&self, name: Name, reason: &'static str) {
        let mut changed = lock(&self.changed);
        if changed.len() >= MOST_CHANGED && !changed.contains_key(&name) {
            return;
        }
        // That it is gone is the last that is told of it.
        changed
            .entry(name)
            .and_modify(|known| *known = if *known == "delete" { known } else { reason })
            .or_insert(reason);
        drop(changed);
        self.woken.notify_one();
    }

    /// Something happened.
    pub(crate) fn happened(&self, event: &Event) {
        let reason = match &event.what {
            Some(What::Accepted(_)) => "send",
            Some(What::Answered(_) | What::Failed(_)) => "message",
            Some(What::Aborted(_)) => "abort",
            Some(What::Reset(_)) => "reset",
            Some(What::Removed(_)) => "delete",
            Some(What::Compacted(_)) => "compact",
            _ => return,
        };
        self.changed((event.agent.clone(), event.session_key.clone()), reason);
    }

    /// An answer begins.
    pub(crate) fn heard(&self, delta: &Delta) {
        if delta.kind() == DeltaKind::Start {
            self.changed((delta.agent.clone(), delta.session_key.clone()), "run");
        }
    }

    fn take(&self) -> Vec<(Name, &'static str)> {
        let mut changed = lock(&self.changed);
        let page: Vec<Name> = changed.keys().take(PAGE).cloned().collect();
        page.into_iter()
            .filter_map(|name| changed.remove_entry(&name))
            .collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half-way while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells what changes until the gateway stops.
pub(crate) async fn tell(gateway: &Gateway) {
    let work = async {
        loop {
            gateway.watch.woken.notified().await;
            tokio::time::sleep(PAUSE).await;
            loop {
                let changed = gateway.watch.take();
                if changed.is_empty() {
                    break;
                }
                tell_of(gateway, changed).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = gateway.stop.cancelled() => {}
    }
}

async fn tell_of(gateway: &Gateway, mut changed: Vec<(Name, &'static str)>) {
    let every = gateway.clients.any(|client| client.hears.hears_changes());
    let followed = |name: &Name| gateway.clients.any(|client| client.hears.follows(name));
    changed.retain(|(name, _)| {
        let followed = followed(name);
        if !followed {
            lock(&gateway.watch.told).remove(name);
        }
        every || followed
    });
    let only = changed.iter().map(|((agent, session_key), _)| SessionName {
        agent: agent.clone(),
        session_key: session_key.clone(),
    });
    let asked = RowsRequest {
        only: only.collect(),
        limit: u32::try_from(PAGE).unwrap_or(u32::MAX),
        ..RowsRequest::default()
    };
    if asked.only.is_empty() {
        return;
    }
    // Without the ledger it is told that they changed, and not how.
    let rows = gateway.rows(&asked).await.unwrap_or_default().rows;
    for (name, reason) in changed {
        let of = |row: &&SessionRow| (&row.agent, &row.session_key) == (&name.0, &name.1);
        let row = rows.iter().find(of);
        if every {
            let event = ws::Event::new(
                "sessions.changed",
                &change(gateway, &name, reason, row),
                None,
            );
            gateway.clients.tell_those(
                &Arc::new(event),
                Audience::READERS,
                Worth::Droppable,
                |client| client.hears.hears_changes(),
            );
        }
        tell_messages(gateway, &name, row).await;
    }
}

/// What is told of a session that changed: its row as lists have it.
fn change(gateway: &Gateway, name: &Name, reason: &str, row: Option<&SessionRow>) -> Value {
    let now_ms = now_ms();
    let mut payload = match row {
        Some(row) => gateway.show(row, Extras::default(), now_ms),
        None => json!({}),
    };
    payload["sessionKey"] = session::to_client(&name.0, &name.1).into();
    payload["agentId"] = name.0.as_str().into();
    payload["reason"] = reason.into();
    payload["ts"] = now_ms.into();
    payload
}

/// Tells each line of a session that has not been told, in order.
async fn tell_messages(gateway: &Gateway, name: &Name, row: Option<&SessionRow>) {
    let Some(mut after) = lock(&gateway.watch.told).get(name).copied() else {
        return;
    };
    let (mut lines, mut total) = (Vec::new(), 0);
    for _ in 0..MOST_PAGES {
        let asked = HistoryRequest {
            agent: name.0.clone(),
            session_key: name.1.clone(),
            after,
            limit: 1000,
            ..HistoryRequest::default()
        };
        // What cannot be read now is told with the next change.
        let Ok(mut told) = gateway.history(&asked).await else {
            break;
        };
        let Some(last) = told.lines.last() else {
            break;
        };
        (after, total) = (last.id, told.total);
        lines.append(&mut told.lines);
    }
    let first = total.saturating_sub(lines.len() as u64) + 1;
    for (seq, line) in (first..).zip(&lines) {
        tell_message(gateway, name, line, seq, row);
    }
    if let Some(told) = lock(&gateway.watch.told).get_mut(name) {
        *told = after.max(*told);
    }
}

fn tell_message(gateway: &Gateway, name: &Name, line: &Line, seq: u64, row: Option<&SessionRow>) {
    for protocol in [3, 4] {
        let Some(message) = methods::told(gateway, line, seq, protocol) else {
            return;
        };
        let mut payload = change(gateway, name, "message", row);
        payload["message"] = message;
        payload["messageId"] = line.id.to_string().into();
        payload["messageSeq"] = seq.into();
        let event = Arc::new(ws::Event::new("session.message", &payload, None));
        let audience = Audience {
            protocols: (protocol, protocol),
            ..Audience::READERS
        };
        let follows = |client: &crate::client::Client| client.hears.follows(name);
        gateway
            .clients
            .tell_those(&event, audience, Worth::Needed, follows);
    }
}

impl Gateway {
    /// What was said in a session, as the ledger knows it.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub(crate) async fn history(&self, asked: &HistoryRequest) -> Result<HistoryReply, bus::Error> {
        self.bus.ask(subject::HISTORY, asked, PATIENCE).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(n: usize) -> Name {
        ("main".into(), format!("telegram:dm:{n}"))
    }

    #[test]
    fn changes_of_a_session_are_told_together_and_its_end_last() {
        let watch = Watch::default();
        for reason in ["send", "delete", "message"] {
            watch.changed(name(1), reason);
        }
        watch.changed(name(2), "send");
        watch.changed(name(2), "message");
        assert_eq!(watch.take(), [(name(1), "delete"), (name(2), "message")]);
        assert!(watch.take().is_empty());
    }

    #[test]
    fn no_more_sessions_wait_and_are_followed_than_there_is_room_for() {
        let (watch, hears) = (Watch::default(), Hears::default());
        for n in 0..MOST_CHANGED + 10 {
            watch.changed(name(n), "send");
            assert_eq!(hears.follow(name(n)), n < MOST_FOLLOWED);
        }
        assert!(hears.follow(name(0)), "it is followed already");
        assert_eq!(lock(&watch.changed).len(), MOST_CHANGED);
        hears.unfollow(&name(0));
        assert!(hears.follow(name(MOST_CHANGED)));
    }
}
