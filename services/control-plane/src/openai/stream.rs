//! Answers as they are made, as server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
};
use futures_util::stream;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::task::TaskTracker;

use super::{
    problem::Problem,
    run::{Run, Step},
    wire::Wire,
};
use crate::verdict::{End, Verdict};

/// How long the first word is waited for before the stream begins: a failure until then has a status of its own.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How often a silent stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Pieces that wait for a slow client; more wait in the run, where they become one.
const WAITING: usize = 16;

/// The answer to `run`, streamed.
///
/// # Errors
/// What the run came to, where it ends without a word.
pub(super) async fn response(
    mut run: Run,
    mut wire: Wire,
    tasks: &TaskTracker,
) -> Result<Response<Body>, Problem> {
    let first = timeout_at(Instant::now() + FIRST_WORD, run.next())
        .await
        .ok();
    if let Some(Step::End(verdict)) = &first {
        Problem::of(verdict)?;
    }
    let (pieces, waiting) = mpsc::channel::<Bytes>(WAITING);
    tasks.spawn(async move {
        let gone = pieces.clone();
        tokio::select! {
            () = gone.closed() => {}
            _ = write(&mut run, &mut wire, first, &pieces) => {}
        }
    });
    let body = stream::unfold(waiting, |mut waiting| async {
        let piece = waiting.recv().await?;
        Some((Ok::<_, Infallible>(piece), waiting))
    });
    let mut response = Response::new(Body::from_stream(body));
    for (name, value) in [
        (
            header::CONTENT_TYPE.as_str(),
            "text/event-stream; charset=utf-8",
        ),
        (header::CACHE_CONTROL.as_str(), "no-store"),
        ("x-accel-buffering", "no"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Writes what comes of `run`, `first` first; ends early when nobody reads.
async fn write(
    run: &mut Run,
    wire: &mut Wire,
    first: Option<Step>,
    to: &mpsc::Sender<Bytes>,
) -> Option<()> {
    to.send(wire.begin().into()).await.ok()?;
    let mut next = first;
    loop {
        let step = match next.take() {
            Some(step) => step,
            None => match timeout(KEEP_ALIVE, run.next()).await {
                Ok(step) => step,
                Err(_) => {
                    to.send(Bytes::from_static(b": still there\n\n"))
                        .await
                        .ok()?;
                    continue;
                }
            },
        };
        match step {
            Step::Text(piece) => to.send(wire.piece(&piece).into()).await.ok()?,
            Step::End(verdict) => return to.send(last(run, wire, &verdict).into()).await.ok(),
        }
    }
}

/// The rest of the text and the end of the stream.
fn last(run: &mut Run, wire: &mut Wire, verdict: &Verdict) -> String {
    if let Err(problem) = Problem::of(verdict) {
        return wire.broken(&problem);
    }
    if verdict.end == End::Answered && !run.goes_on_as(&verdict.text) {
        return wire.broken(&Problem::anew());
    }
    let rest = run.more(&verdict.text);
    let rest = rest.map_or_else(String::new, |rest| wire.piece(&rest));
    rest + &wire.end(verdict)
}
