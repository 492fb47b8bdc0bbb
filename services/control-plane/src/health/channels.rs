//! Connections to platforms as WebSocket clients see them: by channel, then by account.

use proto::v1::{Connection, ConnectionState};
use serde_json::{Map, Value, json};

/// What of a connection people see change; counters are not among it.
pub(super) fn looks(connection: &Connection) -> (i32, String, String, String) {
    let Connection {
        state,
        via,
        error,
        display_name,
        ..
    } = connection;
    (*state, via.clone(), error.clone(), display_name.clone())
}

/// The channels by name, their order, and how people call them.
pub(super) fn channels<'a>(
    connections: impl Iterator<Item = &'a Connection>,
) -> (Value, Vec<String>, Value) {
    let (mut channels, mut order, mut labels) = (Map::new(), Vec::new(), Map::new());
    for connection in connections {
        let platform = &connection.platform;
        let account = account(connection);
        if !channels.contains_key(platform) {
            order.push(platform.clone());
            labels.insert(platform.clone(), label(platform).into());
            let mut channel = account.clone();
            channel["accounts"] = json!({});
            channels.insert(platform.clone(), channel);
        }
        channels[platform]["accounts"][&connection.account] = account;
    }
    (channels.into(), order, labels.into())
}

/// One account, as lists of accounts show it.
pub(crate) fn account(connection: &Connection) -> Value {
    let connected = connection.state() == ConnectionState::Connected;
    let running = !matches!(
        connection.state(),
        ConnectionState::Disconnected | ConnectionState::PermanentlyFailed
    );
    let error = Some(connection.error.as_str()).filter(|error| !error.is_empty());
    let mut probe = json!({"ok": connected});
    if let Some(error) = error {
        probe["error"] = error.into();
    }
    if !connection.display_name.is_empty() {
        probe["bot"] = json!({"username": connection.display_name.trim_start_matches('@')});
    }
    let state = connection
        .state()
        .as_str_name()
        .trim_start_matches("CONNECTION_STATE_");
    let proved = Some(connection.proved_at_ms).filter(|at| *at > 0);
    json!({
        "accountId": connection.account, "name": connection.display_name, "enabled": true, "configured": true,
        "running": running, "connected": connected, "state": state.to_ascii_lowercase(), "mode": connection.via,
        "reconnectAttempts": connection.attempts, "lastError": error, "lastProbeAt": proved,
        "lastConnectedAt": connected.then_some(connection.since_ms), "probe": probe,
    })
}

/// What people call a platform.
pub(crate) fn label(platform: &str) -> String {
    match platform {
        "whatsapp" => "WhatsApp".into(),
        "imessage" => "iMessage".into(),
        "webchat" => "WebChat".into(),
        other => {
            let mut letters = other.chars();
            let first = letters.next().map(|letter| letter.to_ascii_uppercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_of_one_platform_are_one_channel() {
        let of = |account: &str, state: ConnectionState| {
            let mut connection = Connection {
                platform: "telegram".into(),
                account: account.into(),
                ..Connection::default()
            };
            connection.set_state(state);
            connection
        };
        let both = [
            of("main", ConnectionState::Connected),
            of("shop", ConnectionState::PermanentlyFailed),
        ];
        let (channels, order, labels) = channels(both.iter());
        assert_eq!(
            (order, labels),
            (vec!["telegram".to_owned()], json!({"telegram": "Telegram"}))
        );
        assert_eq!(
            channels["telegram"]["accounts"]["shop"]["state"],
            "permanently_failed"
        );
        assert_eq!(channels["telegram"]["accounts"]["shop"]["running"], false);
        assert_eq!(channels["telegram"]["accountId"], "main");
    }
}
