//! Dead letters: looked at, put back, thrown away.

use bus::{Bus, Letter, Wanted};
use chassis::clock::now_ms;
use proto::v1::{
    DeadDone, DeadFailure, DeadLetter, DeadListReply, DeadListRequest, DeadSelection,
    DeadShowRequest, dead_letters_server::DeadLetters,
};
use tonic::{Request, Response, Status};

use super::{
    code::{explain, failed, wrong},
    content, settled,
};

/// Letters of a page where the request names no number, and the most there are.
const PAGE: (u32, u32) = (50, 1000);
/// Letters that one call works on.
const AT_ONCE: usize = 200;

/// The stream `DEAD`.
pub(crate) struct Dead {
    bus: Bus,
}

/// What is done with each letter of a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Replay,
    Drop,
}

impl Dead {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Letters that are meant, oldest first; how many more there are; and the newest that counts.
    async fn chosen(&self, selection: DeadSelection) -> Result<(Vec<u64>, u64, u64), Status> {
        let DeadSelection {
            mut sequences,
            all,
            stream,
            reason,
            up_to,
        } = selection;
        let filtered = all || !stream.is_empty() || !reason.is_empty();
        match (sequences.is_empty(), filtered) {
            (true, false) => Err(wrong(
                "say which: name some by their numbers, or a reason, or a stream, or all",
            )),
            (false, true) => Err(wrong(
                "name letters by their numbers or by a filter, not both",
            )),
            (false, false) => {
                sequences.sort_unstable();
                sequences.dedup();
                let left = sequences.split_off(sequences.len().min(AT_ONCE)).len() as u64;
                Ok((sequences, left, 0))
            }
            (true, true) => {
                let up_to = match up_to {
                    0 => self.bus.stream_state("DEAD").await.map_err(failed)?.last,
                    up_to => up_to,
                };
                let wanted = Wanted {
                    stream,
                    reason,
                    up_to,
                };
                let found = self.bus.oldest_dead_letters(&wanted, AT_ONCE).await;
                let (letters, left) = found.map_err(failed)?;
                let sequences = letters.iter().map(|letter| letter.sequence).collect();
                Ok((sequences, left, up_to))
            }
        }
    }

    async fn all(&self, selection: DeadSelection, deed: Deed) -> Result<DeadDone, Status> {
        let (sequences, left, up_to) = self.chosen(selection).await?;
        let mut done = DeadDone {
            left,
            up_to,
            ..DeadDone::default()
        };
        for sequence in sequences {
            match self.one(sequence, deed).await {
                Ok(true) => done.done += 1,
                Ok(false) => done.failed.push(DeadFailure {
                    sequence,
                    error: gone(sequence),
                }),
                Err(error) => done.failed.push(DeadFailure {
                    sequence,
                    error: failed(error).message().into(),
                }),
            }
        }
        tracing::info!(
            done = done.done,
            failed = done.failed.len(),
            "an operator had {} dead letters {}",
            done.done,
            match deed {
                Deed::Replay => "replayed",
                Deed::Drop => "dropped",
            }
        );
        Ok(done)
    }

    async fn one(&self, sequence: u64, deed: Deed) -> Result<bool, bus::Error> {
        if deed == Deed::Drop {
            return self.bus.drop_dead_letter(sequence).await;
        }
        let Some(letter) = self.bus.dead_letter(sequence).await? else {
            return Ok(false);
        };
        let payload = content::renew(&letter.stream(), &letter.payload, now_ms());
        let payload = settled::mark(&self.bus, &letter.stream(), payload).await?;
        self.bus.replay(&letter, payload).await?;
        Ok(true)
    }
}

#[tonic::async_trait]
impl DeadLetters for Dead {
    async fn list(
        &self,
        request: Request<DeadListRequest>,
    ) -> Result<Response<DeadListReply>, Status> {
        let asked = request.into_inner();
        let limit = match asked.limit {
            0 => PAGE.0,
            limit => limit.min(PAGE.1),
        };
        let total = self.bus.stream_state("DEAD").await.map_err(failed)?;
        if asked.before == 1 {
            return Ok(Response::new(DeadListReply::default()));
        }
        let wanted = Wanted {
            stream: asked.stream,
            reason: asked.reason,
            up_to: asked.before.saturating_sub(1),
        };
        let letters = self.bus.dead_letters(&wanted, limit as usize).await;
        let letters = letters.map_err(failed)?;
        let full = letters.len() == limit as usize;
        let oldest = letters.last().map(|letter| letter.sequence);
        Ok(Response::new(DeadListReply {
            letters: letters.iter().map(shown).collect(),
            total: total.messages,
            next_before: oldest.filter(|_| full).unwrap_or_default(),
        }))
    }

    async fn show(
        &self,
        request: Request<DeadShowRequest>,
    ) -> Result<Response<DeadLetter>, Status> {
        let sequence = request.into_inner().sequence;
        let letter = self.bus.dead_letter(sequence).await.map_err(failed)?;
        let letter = letter.ok_or_else(|| Status::not_found(gone(sequence)))?;
        Ok(Response::new(DeadLetter {
            content: content::readable(&letter.stream(), &letter.payload),
            ..shown(&letter)
        }))
    }

    async fn replay(&self, request: Request<DeadSelection>) -> Result<Response<DeadDone>, Status> {
        let done = self.all(request.into_inner(), Deed::Replay).await?;
        Ok(Response::new(done))
    }

    async fn drop(&self, request: Request<DeadSelection>) -> Result<Response<DeadDone>, Status> {
        let done = self.all(request.into_inner(), Deed::Drop).await?;
        Ok(Response::new(done))
    }
}

fn gone(sequence: u64) -> String {
    format!(
        "there is no dead letter {sequence}; it may have been replayed or dropped. List them to see what there is."
    )
}

fn shown(letter: &Letter) -> DeadLetter {
    let (code, advice) = explain(&letter.reason);
    DeadLetter {
        sequence: letter.sequence,
        stream: letter.stream(),
        subject: letter.subject.clone(),
        reason: letter.reason.clone(),
        code,
        advice,
        attempts: letter.attempts,
        replays: letter.replays,
        trace_id: letter.trace_id.clone(),
        dead_at_ms: letter.at_ms,
        size_bytes: letter.size_bytes,
        content: String::new(),
    }
}
