//! `channels.status`: every account of every platform, asked anew where a probe is wanted.

use std::time::Duration;

use chassis::clock::now_ms;
use futures_util::{StreamExt, stream};
use proto::{
    subject,
    v1::{Connection, Control},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{super::Call, Account};
use crate::{health, refusal::Refusal, schema::Text};

/// How long a platform may take to answer where the client does not say.
const PATIENCE_MS: u64 = 10_000;
/// Longest wait that a client can ask for.
const MOST_PATIENCE_MS: u64 = 30_000;
/// Accounts that are asked at once.
const AT_ONCE: usize = 16;

/// Which accounts, and whether their platforms are asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Wanted {
    probe: Option<bool>,
    timeout_ms: Option<u64>,
    channel: Option<Text>,
}

/// How the accounts do.
pub(crate) async fn status(call: &Call, wanted: Wanted) -> Result<Value, Refusal> {
    let mut accounts = super::accounts(call).await?;
    if let Some(channel) = &wanted.channel {
        accounts.retain(|one| one.connection.platform == channel.0);
    }
    let mut warnings = Vec::new();
    if wanted.probe == Some(true) {
        let patience = wanted.timeout_ms.unwrap_or(PATIENCE_MS);
        let patience = Duration::from_millis(patience.min(MOST_PATIENCE_MS));
        (accounts, warnings) = probed(call, accounts, patience).await;
    }
    Ok(told(
        &accounts,
        &warnings,
        call.client.grant.protocol,
        now_ms(),
    ))
}

/// The accounts as they are once their platforms were asked, and whose did not answer.
async fn probed(
    call: &Call,
    accounts: Vec<Account>,
    patience: Duration,
) -> (Vec<Account>, Vec<String>) {
    let bus = &call.gateway.bus;
    let asked = stream::iter(accounts).map(|mut account| async move {
        if account.held {
            return (account, None);
        }
        let Connection { platform, account: name, .. } = &account.connection;
        let subject = subject::control(platform, name, "probe");
        match bus.ask(&subject, &Control {}, patience).await {
            Ok(connection) => {
                account.connection = connection;
                (account, None)
            }
            Err(_) => {
                let warning = format!(
                    "{platform}:{name} did not answer within {} ms; what is shown of it is what was known before",
                    patience.as_millis()
                );
                (account, Some(warning))
            }
        }
    });
    let asked: Vec<_> = asked.buffered(AT_ONCE).collect().await;
    let (accounts, warnings): (_, Vec<_>) = asked.into_iter().unzip();
    (accounts, warnings.into_iter().flatten().collect())
}

fn told(accounts: &[Account], warnings: &[String], protocol: u8, now_ms: i64) -> Value {
    let (mut order, mut labels, mut details) = (Vec::new(), Map::new(), Map::new());
    let (mut channels, mut lists, mut usual) = (Map::new(), Map::new(), Map::new());
    let mut meta = Vec::new();
    for one in accounts {
        let (platform, name) = (&one.connection.platform, &one.connection.account);
        let shown = shown(one);
        if !lists.contains_key(platform) {
            let label = health::label(platform);
            order.push(platform.clone());
            meta.push(json!({"id": platform, "label": label, "detailLabel": label}));
            labels.insert(platform.clone(), label.clone().into());
            details.insert(platform.clone(), label.into());
            channels.insert(platform.clone(), shown.clone());
            usual.insert(platform.clone(), name.clone().into());
            lists.insert(platform.clone(), json!([]));
        }
        if name == "main" {
            channels[platform] = shown.clone();
            usual[platform] = name.clone().into();
        }
        if let Some(list) = lists[platform].as_array_mut() {
            list.push(shown);
        }
    }
    let mut told = json!({
        "ts": now_ms, "channelOrder": order, "channelLabels": labels, "channels": channels,
        "channelAccounts": lists, "channelDefaultAccountId": usual,
    });
    // Protocol 3 knew no more than that.
    if protocol >= 4 {
        told["channelDetailLabels"] = details.into();
        told["channelMeta"] = meta.into();
        if !warnings.is_empty() {
            told["partial"] = true.into();
            told["warnings"] = warnings.into();
        }
    }
    told
}

/// An account, without what is not known of it.
fn shown(one: &Account) -> Value {
    let mut shown = health::account(&one.connection);
    if one.held {
        for (key, value) in [
            ("enabled", json!(false)),
            ("running", json!(false)),
            ("connected", json!(false)),
            (
                "lastError",
                json!("stopped by an operator; channels.start begins it again"),
            ),
        ] {
            shown[key] = value;
        }
    }
    shown["healthState"] = shown["state"].take();
    if let Some(fields) = shown.as_object_mut() {
        fields.retain(|_, value| !value.is_null() && value != "");
    }
    shown
}

#[cfg(test)]
mod tests {
    use proto::v1::ConnectionState;

    use super::*;

    fn account(name: &str, state: ConnectionState, held: bool) -> Account {
        let mut connection = Connection {
            platform: "telegram".into(),
            account: name.into(),
            ..Connection::default()
        };
        connection.set_state(state);
        Account {
            key: format!("telegram.{name}"),
            connection,
            held,
        }
    }

    #[test]
    fn the_main_account_stands_for_its_channel_and_protocol_3_gets_what_it_knew() {
        let accounts = [
            account("alt", ConnectionState::Connected, true),
            account("main", ConnectionState::Connected, false),
        ];
        let told = |protocol| super::told(&accounts, &["late".into()], protocol, 7);
        let new = told(4);
        assert_eq!(new["channelOrder"], json!(["telegram"]));
        assert_eq!(new["channels"]["telegram"]["accountId"], "main");
        assert_eq!(new["channelDefaultAccountId"]["telegram"], "main");
        assert_eq!(new["channelMeta"][0]["label"], "Telegram");
        assert_eq!(
            (&new["partial"], &new["warnings"]),
            (&json!(true), &json!(["late"]))
        );
        let held = &new["channelAccounts"]["telegram"][0];
        assert_eq!(
            (&held["running"], &held["enabled"]),
            (&json!(false), &json!(false))
        );
        let old = told(3);
        assert_eq!(old.as_object().unwrap().len(), 6);
        assert!(
            old["channelAccounts"]["telegram"][1]
                .get("lastError")
                .is_none()
        );
    }
}
