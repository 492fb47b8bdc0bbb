//! Stopping an account for good and beginning it again, whatever process has it and whatever is restarted meanwhile.

use bus::Bucket;
use chassis::clock::now_ms;
use proto::v1::Hold;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{super::Call, Account, accounts, chosen};
use crate::{refusal::Refusal, schema::Text};

/// Which account; none names the main or only one of its platform.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Choice {
    channel: Text,
    account_id: Option<String>,
}

/// Stops an account: it neither hears nor sends until it is started, not even after a restart. Messages to it wait.
pub(crate) async fn stop(call: &Call, choice: Choice) -> Result<Value, Refusal> {
    let account = find(call, &choice, "stop").await?;
    hold(call, &account).await?;
    Ok(json!({
        "channel": account.connection.platform, "accountId": account.connection.account, "stopped": true,
    }))
}

/// Begins an account that was stopped.
pub(crate) async fn start(call: &Call, choice: Choice) -> Result<Value, Refusal> {
    let account = find(call, &choice, "start").await?;
    if account.held {
        let config = call.gateway.bus.bucket(Bucket::Config);
        config.delete(&key(&account)).await?;
        tracing::info!(
            account = account.key,
            "an operator has started `{}`",
            account.key
        );
    }
    Ok(json!({
        "channel": account.connection.platform, "accountId": account.connection.account, "started": true,
    }))
}

/// Stops an account. Its credentials stand in the settings, where only whoever writes those can remove them.
pub(crate) async fn logout(call: &Call, choice: Choice) -> Result<Value, Refusal> {
    let account = find(call, &choice, "logout").await?;
    hold(call, &account).await?;
    let (platform, name) = (&account.connection.platform, &account.connection.account);
    Ok(json!({
        "channel": platform, "accountId": name, "loggedOut": true, "cleared": false,
        "hint": format!(
            "{platform}:{name} is stopped and stays so. Its credentials are still in the settings of the gateway: remove \
             them there (config.set, or the environment) to forget them. channels.start begins it again."
        ),
    }))
}

async fn find(call: &Call, choice: &Choice, verb: &str) -> Result<Account, Refusal> {
    let unknown = format!("invalid channels.{verb} channel");
    chosen(
        accounts(call).await?,
        &choice.channel,
        choice.account_id.as_deref(),
        &unknown,
    )
}

async fn hold(call: &Call, account: &Account) -> Result<(), Refusal> {
    let hold = Hold {
        at_ms: now_ms(),
        by: call.who().to_owned(),
    };
    let config = call.gateway.bus.bucket(Bucket::Config);
    config.put(&key(account), &hold).await?;
    tracing::info!(
        account = account.key,
        by = hold.by,
        "an operator has stopped `{}`",
        account.key
    );
    Ok(())
}

/// Where the adapter of the account looks.
fn key(account: &Account) -> String {
    format!("held.{}", account.key)
}
