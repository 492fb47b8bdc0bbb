//! Sessions that the ledger knows.

use std::{sync::Arc, time::Duration};

use proto::{
    subject,
    v1::{SessionsReply, SessionsRequest, sessions_server},
};
use tonic::{Code as Grpc, Request, Response, Status};

use super::code::{Code, failed};
use crate::gateway::Gateway;

/// How long the ledger may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The ledger's sessions.
pub(super) struct Sessions {
    gateway: Arc<Gateway>,
}

impl Sessions {
    pub(super) fn new(gateway: Arc<Gateway>) -> Self {
        Self { gateway }
    }
}

#[tonic::async_trait]
impl sessions_server::Sessions for Sessions {
    async fn list(
        &self,
        request: Request<SessionsRequest>,
    ) -> Result<Response<SessionsReply>, Status> {
        let bus = &self.gateway.bus;
        let request = request.into_inner();
        let asked = bus.ask::<_, SessionsReply>(subject::SESSIONS, &request, PATIENCE);
        match asked.await {
            Ok(mut reply) => {
                for line in &mut reply.sessions {
                    if let Some(set) = self.gateway.set_of(&line.agent, &line.session_key) {
                        line.label.clone_from(&set.label);
                    }
                }
                Ok(Response::new(reply))
            }
            Err(bus::Error::Unavailable(_)) if bus.connected() => {
                let text = "the ledger does not answer; see that it runs (`openclaw run ledger`) and try again";
                Err(Code::Transport.refuse(Grpc::Unavailable, text))
            }
            Err(error) => Err(failed(error)),
        }
    }
}
