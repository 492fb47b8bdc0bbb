//! Where messages have been, as the ledger knows it.

use std::time::Duration;

use bus::Bus;
use proto::{
    subject,
    v1::{TraceReply, TraceRequest, journey_server},
};
use tonic::{Code as Grpc, Request, Response, Status};

use super::code::{Code, failed};

/// How long the ledger may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest name of a message that is looked for, in bytes.
const MAX_ABOUT_BYTES: usize = 512;

/// The ways of messages.
pub(crate) struct Journeys {
    bus: Bus,
}

impl Journeys {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }
}

#[tonic::async_trait]
impl journey_server::Journey for Journeys {
    async fn trace(&self, request: Request<TraceRequest>) -> Result<Response<TraceReply>, Status> {
        let asked = request.into_inner();
        if asked.about.is_empty() || asked.about.len() > MAX_ABOUT_BYTES {
            let text = format!(
                "say which message or conversation, in 1 to {MAX_ABOUT_BYTES} bytes: an id as logs and answers of \
                 `send` name it, the platform's id of a message, or a conversation"
            );
            return Err(Code::Transform.refuse(Grpc::InvalidArgument, text));
        }
        match self.bus.ask(subject::JOURNEY, &asked, PATIENCE).await {
            Ok(reply) => Ok(Response::new(reply)),
            Err(bus::Error::Unavailable(_)) if self.bus.connected() => {
                let text = "the ledger does not answer; see that it runs (`openclaw run ledger`) and try again";
                Err(Code::Transport.refuse(Grpc::Unavailable, text))
            }
            Err(error) => Err(failed(error)),
        }
    }
}
