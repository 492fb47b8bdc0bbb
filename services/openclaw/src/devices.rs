//! `openclaw devices`: a thin client of the admin API, for letting devices in and shutting them out.

use chassis::clock::now_ms;
use clap::Subcommand;
use proto::v1::devices_client::DevicesClient;
use proto::v1::{
    Device, DeviceDecision, DeviceFacts, DeviceRole, DeviceToken, DeviceWish, DevicesReply,
    DevicesRequest,
};
use serde_json::{Value, json};

use crate::remote::Remote;
use crate::table::{age, printable, table};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Lists which wait to be let in, and which were.
    List,
    /// Lets the device in that waits under this request.
    Approve { request: String },
    /// Turns the device away that waits under this request.
    Reject { request: String },
    /// Takes a device's token back and ends its connections; it may ask again.
    Revoke {
        device: String,
        /// Only in this role: operator or node.
        #[arg(long, default_value = "")]
        role: String,
    },
    /// Forgets a device and ends its connections.
    Remove { device: String },
}

pub(crate) async fn run(remote: &Remote, command: &Command) -> anyhow::Result<()> {
    let mut client = DevicesClient::new(remote.door.clone());
    let role = |device: &str, role: &str| DeviceRole {
        device_id: device.to_owned(),
        role: role.to_owned(),
    };
    let decision = |request: &str| DeviceDecision {
        request_id: request.to_owned(),
    };
    let (verb, decided) = match command {
        Command::List => {
            let listed = client.list(DevicesRequest {}).await;
            let reply = listed
                .map_err(|status| remote.refused(&status))?
                .into_inner();
            let value = || {
                json!({
                    "waiting": reply.waiting.iter().map(waiting).collect::<Vec<_>>(),
                    "devices": reply.devices.iter().map(entry).collect::<Vec<_>>(),
                })
            };
            return remote.print(value, || lists(&reply, now_ms()));
        }
        Command::Reject { request } => {
            let rejected = client.reject(decision(request)).await;
            let wish = rejected
                .map_err(|status| remote.refused(&status))?
                .into_inner();
            let text = || {
                format!(
                    "Turned away: {}",
                    name(wish.facts.as_ref(), &wish.device_id)
                )
            };
            return remote.print(|| waiting(&wish), text);
        }
        Command::Approve { request } => ("Let in", client.approve(decision(request)).await),
        Command::Revoke { device, role: of } => ("Revoked", client.revoke(role(device, of)).await),
        Command::Remove { device } => ("Forgot", client.remove(role(device, "")).await),
    };
    let device = decided
        .map_err(|status| remote.refused(&status))?
        .into_inner();
    let text = || {
        format!(
            "{verb}: {} ({})",
            name(device.facts.as_ref(), &device.id),
            rights(&device.roles, &device.scopes)
        )
    };
    remote.print(|| entry(&device), text)
}

fn waiting(wish: &DeviceWish) -> Value {
    let facts = wish.facts.clone().unwrap_or_default();
    json!({
        "requestId": wish.request_id, "deviceId": wish.device_id, "publicKey": wish.public_key,
        "displayName": facts.display_name, "platform": facts.platform, "deviceFamily": facts.family,
        "clientId": facts.client_id, "clientMode": facts.client_mode, "address": facts.address,
        "roles": wish.roles, "scopes": wish.scopes, "reason": wish.reason, "repair": wish.repair,
        "askedAtMs": wish.asked_at_ms, "expiresAtMs": wish.expires_at_ms,
    })
}

fn entry(device: &Device) -> Value {
    let facts = device.facts.clone().unwrap_or_default();
    let tokens: Vec<_> = device.tokens.iter().map(token).collect();
    json!({
        "deviceId": device.id, "publicKey": device.public_key, "displayName": facts.display_name,
        "platform": facts.platform, "deviceFamily": facts.family, "clientId": facts.client_id,
        "clientMode": facts.client_mode, "address": facts.address, "roles": device.roles, "scopes": device.scopes,
        "approvedVia": device.approved_via, "createdAtMs": device.created_at_ms, "approvedAtMs": device.approved_at_ms,
        "tokens": tokens,
    })
}

fn token(token: &DeviceToken) -> Value {
    json!({
        "role": token.role, "scopes": token.scopes, "createdAtMs": token.created_at_ms,
        "rotatedAtMs": token.rotated_at_ms, "revokedAtMs": token.revoked_at_ms, "usedAtMs": token.used_at_ms,
    })
}

fn lists(reply: &DevicesReply, now_ms: i64) -> String {
    let mut text = match reply.waiting.as_slice() {
        [] => "No device waits.\n".to_owned(),
        waiting => {
            let rows = waiting.iter().map(|wish| {
                [
                    printable(&wish.request_id),
                    name(wish.facts.as_ref(), &wish.device_id),
                    rights(&wish.roles, &wish.scopes),
                    printable(&wish.reason),
                    format!("in {}", age(wish.expires_at_ms, now_ms)),
                ]
            });
            let table = table(["REQUEST", "DEVICE", "WANTS", "WHY", "EXPIRES"], rows);
            format!("{table}\nLet one in with: openclaw devices approve <REQUEST>\n")
        }
    };
    if !reply.devices.is_empty() {
        let rows = reply.devices.iter().map(|device| {
            let used = device.tokens.iter().map(|token| token.used_at_ms).max();
            let revoked = device.tokens.iter().all(|token| token.revoked_at_ms > 0);
            [
                device.id.clone(),
                name(device.facts.as_ref(), &device.id),
                match revoked {
                    true => "revoked".into(),
                    false => rights(&device.roles, &device.scopes),
                },
                printable(&device.approved_via),
                age(used.unwrap_or_default(), now_ms),
            ]
        });
        text.push('\n');
        text.push_str(&table(["LET IN", "DEVICE", "MAY", "BY", "USED"], rows));
    }
    text.trim_end().to_owned()
}

fn name(facts: Option<&DeviceFacts>, id: &str) -> String {
    let facts = facts.cloned().unwrap_or_default();
    let name = [&facts.display_name, &facts.client_id]
        .into_iter()
        .map(|name| printable(name))
        .find(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| id.chars().take(8).collect());
    match printable(&facts.platform) {
        platform if platform.is_empty() => name,
        platform => format!("{name} on {platform}"),
    }
}

fn rights(roles: &[String], scopes: &[String]) -> String {
    let roles = roles.iter().map(String::as_str);
    let scopes = scopes
        .iter()
        .map(|scope| scope.strip_prefix("operator.").unwrap_or(scope));
    let rights: Vec<_> = roles.chain(scopes).map(printable).collect();
    rights.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(name: &str) -> Option<DeviceFacts> {
        Some(DeviceFacts {
            display_name: name.into(),
            platform: "linux".into(),
            ..DeviceFacts::default()
        })
    }

    #[test]
    fn devices_stand_in_columns_with_what_to_do() {
        let wish = DeviceWish {
            request_id: "r-1".into(),
            facts: facts("Desk\u{1b}[2J"),
            roles: vec!["operator".into()],
            scopes: vec!["operator.read".into()],
            reason: "not-paired".into(),
            expires_at_ms: 240_000,
            ..DeviceWish::default()
        };
        let device = Device {
            id: "ab".into(),
            facts: facts("Phone"),
            roles: vec!["node".into()],
            approved_via: "claim".into(),
            tokens: vec![DeviceToken::default()],
            ..Device::default()
        };
        let reply = DevicesReply {
            waiting: vec![wish],
            devices: vec![device],
        };
        let expected = "\
REQUEST  DEVICE            WANTS          WHY         EXPIRES
r-1      Desk[2J on linux  operator read  not-paired  in 4 min

Let one in with: openclaw devices approve <REQUEST>

LET IN  DEVICE          MAY   BY     USED
ab      Phone on linux  node  claim  -";
        assert_eq!(lists(&reply, 0), expected);
        assert_eq!(lists(&DevicesReply::default(), 0), "No device waits.");
    }
}
