//! Devices: who waits, who was let in, the decisions about them, and one-time claims.

use std::sync::Arc;

use chassis::clock::now_ms;
use proto::v1::{
    ClaimReply, ClaimRequest, Device, DeviceDecision, DeviceRole, DeviceWish, DevicesReply,
    DevicesRequest, devices_server,
};
use tonic::{Request, Response, Status};

use crate::{
    devices::{authority::Authority, record},
    gateway::Gateway,
    refusal::Refusal,
};

/// The gateway's devices. Whoever calls knows the shared token, and so may do everything.
pub(super) struct Devices {
    gateway: Arc<Gateway>,
}

impl Devices {
    pub(super) fn new(gateway: &Arc<Gateway>) -> Self {
        Self {
            gateway: gateway.clone(),
        }
    }
}

#[tonic::async_trait]
impl devices_server::Devices for Devices {
    async fn list(&self, _: Request<DevicesRequest>) -> Result<Response<DevicesReply>, Status> {
        let devices = self.gateway.devices.all().await?;
        Ok(Response::new(DevicesReply {
            waiting: self.gateway.devices.waiting(now_ms()).await?,
            devices: devices.into_iter().map(record::without_hashes).collect(),
        }))
    }

    async fn approve(&self, request: Request<DeviceDecision>) -> Result<Response<Device>, Status> {
        let id = request.into_inner().request_id;
        let approved = self.gateway.approve_device(&id, &Authority::owner()).await;
        let (_, device) = approved.map_err(|refusal| unknown_request(&id, refusal))?;
        Ok(Response::new(record::without_hashes(device)))
    }

    async fn reject(
        &self,
        request: Request<DeviceDecision>,
    ) -> Result<Response<DeviceWish>, Status> {
        let id = request.into_inner().request_id;
        let rejected = self.gateway.reject_device(&id, &Authority::owner()).await;
        Ok(Response::new(
            rejected.map_err(|refusal| unknown_request(&id, refusal))?,
        ))
    }

    async fn revoke(&self, request: Request<DeviceRole>) -> Result<Response<Device>, Status> {
        let DeviceRole { device_id, role } = request.into_inner();
        let revoked = self
            .gateway
            .revoke_token(&device_id, &role, &Authority::owner())
            .await?;
        let device = revoked.ok_or_else(|| unknown_device(&device_id))?;
        Ok(Response::new(record::without_hashes(device)))
    }

    async fn remove(&self, request: Request<DeviceRole>) -> Result<Response<Device>, Status> {
        let id = request.into_inner().device_id;
        match self.gateway.remove_device(&id, &Authority::owner()).await {
            Ok(device) => Ok(Response::new(record::without_hashes(device))),
            Err(Refusal::NotFound(_)) => Err(unknown_device(&id).into()),
            Err(other) => Err(other.into()),
        }
    }

    async fn claim(&self, request: Request<ClaimRequest>) -> Result<Response<ClaimReply>, Status> {
        let asked = request.into_inner();
        let made = self.gateway.devices.make_claim(&asked, now_ms()).await?;
        tracing::info!("made a one-time claim");
        Ok(Response::new(made))
    }
}

fn unknown_request(id: &str, refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::NotFound(_) => Refusal::NotFound(format!(
            "no device waits under the request {id}; it may have run out after five minutes. Have the device connect \
             again, and see `openclaw devices list`"
        )),
        other => other,
    }
}

fn unknown_device(id: &str) -> Refusal {
    Refusal::NotFound(format!(
        "there is no device {id} with a token that is good; see `openclaw devices list`"
    ))
}
