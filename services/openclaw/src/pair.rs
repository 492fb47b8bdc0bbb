//! `openclaw pair`: makes a one-time claim, with which one more device is let in.

use chassis::clock::now_ms;
use clap::Args;
use proto::v1::devices_client::DevicesClient;
use proto::v1::{ClaimReply, ClaimRequest, DevicesRequest};
use serde_json::json;

use crate::Settings;
use crate::home::Home;
use crate::remote::{Options, Remote};

/// Scopes of `--admin`.
const ALL: [&str; 8] = [
    "operator.admin",
    "operator.read",
    "operator.write",
    "operator.approvals",
    "operator.questions",
    "operator.pairing",
    "operator.talk",
    "operator.talk.secrets",
];

#[derive(Args)]
pub(crate) struct Wanted {
    /// The device may do everything, as the Control UI asks for; else it reads and writes.
    #[arg(long)]
    admin: bool,
    /// Scopes that it may have, such as operator.read,operator.approvals.
    #[arg(long, value_delimiter = ',', conflicts_with = "admin")]
    scopes: Vec<String>,
    /// It becomes a node: a machine that does what agents ask. With --scopes an operator too, as apps of phones are.
    #[arg(long, conflicts_with = "admin")]
    node: bool,
    /// How long the claim is good, in minutes; 60 at most.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    minutes: u32,
    /// Where browsers reach the gateway, if not as the settings say: https://gateway.example
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

impl Wanted {
    fn request(&self) -> ClaimRequest {
        let scopes = match self.admin {
            true => ALL.map(ToOwned::to_owned).to_vec(),
            false => self.scopes.clone(),
        };
        ClaimRequest {
            role: if self.node { "node" } else { "operator" }.into(),
            scopes,
            lifetime_s: self.minutes * 60,
        }
    }
}

pub(crate) async fn run(
    remote: &Remote,
    settings: &Settings,
    wanted: &Wanted,
) -> anyhow::Result<()> {
    let mut client = DevicesClient::new(remote.door.clone());
    let claim = client
        .claim(wanted.request())
        .await
        .map_err(|status| remote.refused(&status))?
        .into_inner();
    let page = match &wanted.url {
        Some(url) => format!("{}/", url.trim_end_matches('/')),
        None => settings.page_url(),
    };
    let value = || json!({"code": claim.code, "url": format!("{page}{}", claim.fragment), "expiresAtMs": claim.expires_at_ms});
    remote.print(value, || text(&claim, &page, wanted.node, now_ms()))
}

/// What a gateway says on its console as long as no device was ever let in; `None` afterwards, and when it cannot say.
pub(crate) async fn first(settings: &Settings, home: &Home) -> Option<String> {
    let remote = Remote::reach(&Options::default(), home, settings)
        .await
        .ok()?;
    let mut client = DevicesClient::new(remote.door.clone());
    let known = client.list(DevicesRequest {}).await.ok()?.into_inner();
    if !known.devices.is_empty() {
        return None;
    }
    let claim = client
        .claim(ClaimRequest::default())
        .await
        .ok()?
        .into_inner();
    Some(text(&claim, &settings.page_url(), false, now_ms()))
}

fn text(claim: &ClaimReply, page: &str, node: bool, now_ms: i64) -> String {
    let minutes = (claim.expires_at_ms - now_ms)
        .max(0)
        .unsigned_abs()
        .div_ceil(60_000);
    let (code, left) = (&claim.code, format!("{minutes} min"));
    match node {
        true => {
            format!("Let the node come with this bootstrap token, once, within {left}:\n\n  {code}")
        }
        // In the fragment, which browsers send to nobody.
        false => format!(
            "Open this in the browser that is to be let in, once, within {left}:\n\n  {page}{}\n\n\
             Or type the code where the page asks for the token; other clients send it as their bootstrap token:\n\n  {code}",
            claim.fragment
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_stands_in_the_fragment_and_never_in_the_query() {
        let claim = ClaimReply {
            code: "ABCD-EFGH-JKLM-NPQR".into(),
            expires_at_ms: 600_000,
            fragment: "#claim=ABCD-EFGH-JKLM-NPQR".into(),
        };
        let text = text(&claim, "http://127.0.0.1:18789/", false, 0);
        assert!(
            text.contains("http://127.0.0.1:18789/#claim=ABCD-EFGH-JKLM-NPQR\n"),
            "{text}"
        );
        assert!(
            text.contains("within 10 min") && !text.contains('?'),
            "{text}"
        );
    }
}
