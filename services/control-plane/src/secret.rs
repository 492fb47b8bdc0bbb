//! The shared token while the gateway runs: its file is read again when it changes, and who came with the old one leaves.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;

use crate::{
    Config,
    client::Client,
    gateway::Gateway,
    handshake::{Proof, Secret},
};

/// How often the file is looked at: a token that is out must be void soon.
const LOOK: Duration = Duration::from_millis(500);
/// Close code of a client that came with a token that is no longer the gateway's.
const CLOSE: u16 = 4001;

/// Takes the token from its file, if the settings name one.
///
/// # Errors
/// When there is no token in it.
pub(crate) fn read_into(config: &mut Config) -> anyhow::Result<()> {
    if config.token_file.as_os_str().is_empty() {
        return Ok(());
    }
    let file = &config.token_file;
    config.token = read(file)
        .with_context(|| {
            format!(
                "gateway.token_file: no token can be read from {}",
                file.display()
            )
        })?
        .into();
    Ok(())
}

fn read(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let token = text.trim();
    (!token.is_empty()).then(|| token.to_owned())
}

/// Follows the file until the gateway stops. While it is away or empty the token stays as it was.
pub(crate) async fn follow(gateway: &Gateway) {
    let file = &gateway.config.token_file;
    if file.as_os_str().is_empty() {
        return gateway.stop.cancelled().await;
    }
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            () = gateway.stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let token = tokio::fs::read_to_string(file).await.unwrap_or_default();
        let token = token.trim();
        if !token.is_empty() && !gateway.secret().is(token) {
            change(gateway, token);
        }
    }
}

fn change(gateway: &Gateway, token: &str) {
    gateway.change_secret(Secret::new(token));
    tracing::info!("the gateway's token was changed; who came with the old one is closed");
    for client in gateway.clients.chosen(came_with_it) {
        client.leave(CLOSE, "gateway auth changed");
    }
}

/// Closes `client`, who was just added, if the token that it was judged by has changed meanwhile.
pub(crate) fn recheck(gateway: &Gateway, client: &Client, judged_by: &Arc<Secret>) {
    if came_with_it(client) && !Arc::ptr_eq(judged_by, &gateway.secret()) {
        client.leave(CLOSE, "gateway auth changed");
    }
}

fn came_with_it(client: &Client) -> bool {
    matches!(client.grant.proof, Proof::Owner | Proof::Secret)
}
