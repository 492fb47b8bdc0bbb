//! What operators see and decide beyond the stock protocol, under names of our own: the admin API for pages.

use serde::Serialize;
use serde_json::{Value, json};
use tonic::{Code, Response, Status};

use super::{Call, Method, method};
use crate::{clients::Audience, outbox::Worth, refusal::Refusal};

mod flow;
mod letters;
mod people;
mod send;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("ops.queues.list", Read, flow::queues),
    method!("ops.connections.list", Read, flow::connections),
    method!("ops.connections.reconnect", Admin, flow::reconnect),
    method!("ops.connections.drain", Admin, flow::drain),
    method!("ops.connections.resume", Admin, flow::resume),
    method!("ops.trace", Read, flow::trace),
    method!("ops.dead.list", Read, letters::list),
    method!("ops.dead.show", Read, letters::show),
    method!("ops.dead.replay", Admin, letters::replay),
    method!("ops.dead.drop", Admin, letters::drop),
    method!("ops.unknown.list", Read, letters::unknown),
    method!("ops.unknown.resend", Admin, letters::resend),
    method!("ops.unknown.settle", Admin, letters::settle),
    method!("ops.people.list", Pairing, people::list),
    method!("ops.people.approve", Pairing, people::approve),
    method!("ops.people.reject", Pairing, people::reject),
    method!("ops.send", Write, send::send),
    method!("ops.schedules.list", Read, send::list),
    method!("ops.schedules.cancel", Write, send::cancel),
];

/// An answer of the admin API as an answer of ours.
fn shown<M: Serialize>(answer: Result<Response<M>, Status>) -> Result<Value, Refusal> {
    let message = answer.map_err(refusal)?.into_inner();
    serde_json::to_value(message)
        .map_err(|_| Refusal::Busy("the answer could not be written".into()))
}

fn refusal(status: Status) -> Refusal {
    let why = status.message().to_owned();
    match status.code() {
        Code::NotFound => Refusal::NotFound(why),
        Code::Unavailable | Code::ResourceExhausted | Code::Aborted => Refusal::Busy(why),
        _ => Refusal::Invalid(why),
    }
}

/// Tells every page that shows `what` to look again.
async fn changed(call: &Call, what: &str) {
    let audience = Audience {
        protocols: (4, 4),
        ..Audience::READERS
    };
    call.gateway
        .announce(
            crate::news::EVENT,
            &json!({"what": what}),
            audience,
            Worth::Droppable,
        )
        .await;
}
