//! Answers questions on the bus from what was written down.

use bus::{Bucket, Bus};
use proto::{
    subject,
    v1::{
        Event, HistoryRequest, Intent, IntentState, OutcomeRequest, RowsRequest, SessionsRequest,
        Step, TraceReply, TraceRequest, UsageRequest, Walk, WalkEnd,
    },
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Applied, Error, started::Begun, store::Reader, walk};

/// Answers questions.
#[derive(Clone)]
pub(crate) struct Clerk {
    pub(crate) bus: Bus,
    pub(crate) reader: Reader,
    pub(crate) applied: Applied,
    pub(crate) begun: Begun,
}

impl Clerk {
    /// Answers until `stop`.
    ///
    /// # Errors
    /// When the bus needs a person.
    pub(crate) async fn answer(&self, stop: &CancellationToken) -> Result<(), bus::Error> {
        let history = self
            .bus
            .answer(subject::HISTORY, stop, |asked: HistoryRequest| {
                let clerk = self.clone();
                async move {
                    clerk.applied.catch_up(&clerk.bus).await;
                    clerk.reader.history(&asked).await.map_err(why)
                }
            });
        let sessions = self
            .bus
            .answer(subject::SESSIONS, stop, |asked: SessionsRequest| {
                let clerk = self.clone();
                async move {
                    clerk.applied.catch_up(&clerk.bus).await;
                    clerk.reader.sessions(&asked).await.map_err(why)
                }
            });
        let rows = self.bus.answer(subject::ROWS, stop, |asked: RowsRequest| {
            let clerk = self.clone();
            async move {
                clerk.applied.catch_up(&clerk.bus).await;
                clerk.reader.rows(&asked).await.map_err(why)
            }
        });
        let usage = self
            .bus
            .answer(subject::USAGE, stop, |asked: UsageRequest| {
                let clerk = self.clone();
                async move {
                    clerk.applied.catch_up(&clerk.bus).await;
                    clerk.reader.usage(&asked).await.map_err(why)
                }
            });
        let journeys = self
            .bus
            .answer(subject::JOURNEY, stop, |asked: TraceRequest| {
                let clerk = self.clone();
                async move {
                    clerk.applied.catch_up(&clerk.bus).await;
                    clerk.journeys(&asked).await.map_err(why)
                }
            });
        let outcomes = self
            .bus
            .answer(subject::OUTCOME, stop, |asked: OutcomeRequest| {
                let clerk = self.clone();
                async move {
                    clerk.applied.catch_up(&clerk.bus).await;
                    clerk.reader.outcome(&asked.turn_id).await.map_err(why)
                }
            });
        tokio::try_join!(history, sessions, rows, usage, journeys, outcomes).map(drop)
    }

    /// Closes the file.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
    }

    async fn journeys(&self, asked: &TraceRequest) -> Result<TraceReply, Error> {
        let found = self.reader.journeys(&asked.about, asked.limit).await?;
        let mut reply = TraceReply::default();
        for events in &found {
            let mut walk = walk::walk(events);
            if walk.end() == WalkEnd::None {
                let step = self.going_on(events, &walk).await;
                walk.steps.extend(step);
            }
            reply.walks.push(walk);
        }
        Ok(reply)
    }

    /// What is being done for a message now, where anybody knows.
    async fn going_on(&self, events: &[Event], walk: &Walk) -> Option<Step> {
        let Some((outbound_id, chunk)) = walk::owed(events) else {
            let at_ms = self.begun.at_ms(&walk.turn_id)?;
            return Some(Step {
                name: "started".into(),
                at_ms,
                going_on: true,
                ..Step::default()
            });
        };
        let intents = self.bus.bucket(Bucket::Intents);
        let key = format!("{outbound_id}.{chunk}");
        // A trace without it is better than none.
        let (intent, _) = intents.get::<Intent>(&key).await.ok()??;
        let detail = match intent.state() {
            IntentState::Sending => String::new(),
            _ => format!("attempt {}, next one soon: {}", intent.attempts, intent.why),
        };
        Some(Step {
            name: "sending".into(),
            at_ms: intent.at_ms,
            detail,
            outbound_id,
            chunk,
            going_on: true,
            ..Step::default()
        })
    }
}

/// What the asker is told; the log has the rest.
fn why(error: Error) -> String {
    warn!(
        error = &error as &dyn std::error::Error,
        "question not answered"
    );
    error.to_string()
}
