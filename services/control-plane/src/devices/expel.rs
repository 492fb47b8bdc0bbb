//! Ends the connections of devices whose token was revoked or replaced, on every replica, as soon as the bus tells it.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use proto::v1::Device;

use super::{DEVICE, record};
use crate::{client::Client, gateway::Gateway};

/// Close code of a client whose credentials are good no more.
const CLOSE: u16 = 4001;
/// Pause before the bucket is watched again.
const BREATH: Duration = Duration::from_secs(1);

/// Follows the records of devices until the gateway stops.
pub(crate) async fn follow(gateway: &Gateway) {
    let following = async {
        loop {
            match gateway.devices.store().watch::<Device>().await {
                Ok(mut changes) => {
                    while let Some((key, device)) = changes.next().await {
                        if let Some(id) = key.strip_prefix(DEVICE) {
                            heard(gateway, id, device);
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "devices cannot be watched now"),
            }
            tokio::time::sleep(BREATH).await;
        }
    };
    tokio::select! {
        () = gateway.stop.cancelled() => {}
        () = following => {}
    }
}

fn heard(gateway: &Gateway, id: &str, device: Option<Device>) {
    match device {
        Some(device) => gateway.devices.note(&device),
        None => return gateway.devices.bury(id),
    };
    for client in gateway.clients.of_device(id) {
        expel(gateway, &client);
    }
}

/// Ends the connection of `client` if what it came with is good no more.
///
/// Called when a record changes, and once a client was added: between these nothing is missed.
pub(crate) fn expel(gateway: &Gateway, client: &Arc<Client>) {
    let Some(device) = &client.grant.device else {
        return;
    };
    let Some(device) = gateway.devices.copied(device) else {
        return;
    };
    if !is_good(client, &device) {
        tracing::info!(conn.id = %client.id, device.id = %device.id, "client `{}` is closed: its device was removed or its token replaced", client.id);
        client.leave(CLOSE, "device removed");
    }
}

fn is_good(client: &Client, device: &Device) -> bool {
    let role = client.grant.role.name();
    match (&client.token, record::token_of(device, role)) {
        (Some(own), Some(token)) => token.sha256 == *own,
        (Some(_), None) => false,
        // Let in on the shared token while the bus was away: good until the device is forgotten after that.
        (None, _) => device.removed_at_ms <= client.since_ms,
    }
}
