//! Sessions as operators see them: what the ledger knows of each, with what was set for it.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use proto::{
    id, subject,
    v1::{RowsReply, RowsRequest, SessionName, SessionRow, SessionSettings},
};
use serde_json::Value;

use crate::gateway::Gateway;
use row::Extras;

pub(crate) mod row;

/// How long the ledger may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Keeps up with the agents and with what is set for sessions until the gateway stops; who subscribed hears of it.
pub(crate) async fn keep_up(gateway: &Gateway) -> anyhow::Result<()> {
    let settings = gateway.settings.keep_up(|key| {
        // One that is gone is told of by the session's own end.
        if let Some(set) = gateway.settings.find(key) {
            let name = (set.agent.clone(), set.session_key.clone());
            gateway.watch.changed(name, "patch");
        }
    });
    let kept = async { tokio::try_join!(settings, gateway.agents.profiles.keep_up(|_| ())) };
    tokio::select! {
        kept = kept => kept.map(drop).context("keeping up with agents and sessions"),
        () = gateway.stop.cancelled() => Ok(()),
    }
}

impl Gateway {
    /// The sessions that `asked` chooses, from one snapshot.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub(crate) async fn rows(&self, asked: &RowsRequest) -> Result<RowsReply, bus::Error> {
        self.bus.ask(subject::ROWS, asked, PATIENCE).await
    }

    /// One session, if the ledger knows it.
    ///
    /// # Errors
    /// When the ledger does not answer.
    pub(crate) async fn session(
        &self,
        agent: &str,
        session_key: &str,
    ) -> Result<Option<SessionRow>, bus::Error> {
        let asked = RowsRequest {
            only: vec![SessionName {
                agent: agent.to_owned(),
                session_key: session_key.to_owned(),
            }],
            ..RowsRequest::default()
        };
        Ok(self.rows(&asked).await?.rows.pop())
    }

    /// What was set for a session.
    pub(crate) fn set_of(&self, agent: &str, session_key: &str) -> Option<Arc<SessionSettings>> {
        let found = self.settings.find(&id::of_settings(agent, session_key))?;
        // A key is a hash: a record of another session would be a wonder, and is none of this one's.
        (found.agent == agent && found.session_key == session_key).then_some(found)
    }

    /// A session as lists of them show it.
    pub(crate) fn show(&self, session: &SessionRow, extras: Extras, now_ms: i64) -> Value {
        let set = self.set_of(&session.agent, &session.session_key);
        let running = self.runs().of(&session.agent, &session.session_key);
        let running: Vec<String> = running.into_iter().map(|run| run.id).collect();
        row::row(session, set.as_deref(), &running, extras, now_ms)
    }
}
