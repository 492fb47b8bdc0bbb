//! Sessions that the ledger knows.

use bus::Bus;
use proto::v1::{SessionsReply, SessionsRequest, sessions_server};
use tonic::{Code as Grpc, Request, Response, Status};

use super::code::{Code, failed};
use crate::health;

/// The ledger's sessions.
pub(super) struct Sessions {
    bus: Bus,
}

impl Sessions {
    pub(super) fn new(bus: Bus) -> Self {
        Self { bus }
    }
}

#[tonic::async_trait]
impl sessions_server::Sessions for Sessions {
    async fn list(
        &self,
        request: Request<SessionsRequest>,
    ) -> Result<Response<SessionsReply>, Status> {
        let limit = request.into_inner().limit;
        match health::sessions(&self.bus, limit).await {
            Ok(reply) => Ok(Response::new(reply)),
            Err(bus::Error::Unavailable(_)) if self.bus.connected() => {
                let text = "the ledger does not answer; see that it runs (`openclaw run ledger`) and try again";
                Err(Code::Transport.refuse(Grpc::Unavailable, text))
            }
            Err(error) => Err(failed(error)),
        }
    }
}
