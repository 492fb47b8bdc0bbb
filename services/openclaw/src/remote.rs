//! The gateway that operators' commands talk to: where it is, its token, and what it refuses.

use std::time::Duration;

use anyhow::{Context as _, bail};
use chassis::Secret;
use clap::Args;
use serde_json::Value;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::Settings;
use crate::home::Home;

/// How long the gateway may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to be reached.
const REACH: Duration = Duration::from_secs(10);

#[derive(Args, Default)]
pub(crate) struct Options {
    /// Where the admin API listens, as host:port; else as the settings say.
    #[arg(long, global = true, value_name = "ADDRESS")]
    address: Option<String>,
    /// Prints JSON.
    #[arg(long, global = true)]
    json: bool,
}

/// A gateway that was reached.
pub(crate) struct Remote {
    /// Where clients of its services get in.
    pub(crate) door: Door,
    json: bool,
    address: String,
}

/// Where clients get in.
pub(crate) type Door = InterceptedService<Channel, Bearer>;

/// Sends the token with every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let bearer = self.0.clone();
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

impl Remote {
    /// Reaches the gateway that the options or the settings name.
    ///
    /// # Errors
    /// When there is no token, or no gateway; the text says what to do.
    pub(crate) async fn reach(
        options: &Options,
        home: &Home,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let address = match &options.address {
            Some(address) => address.clone(),
            None => settings.admin_address().to_string(),
        };
        let token = Some(settings.gateway.token.clone()).filter(|token| !token.is_empty());
        let in_file = || std::fs::read_to_string(&settings.gateway.token_file).ok();
        let in_file = || in_file().map(|text| Secret::from(text.trim()));
        let token = token.or_else(in_file).or_else(|| home.token()).with_context(|| {
            format!(
                "no token: set OPENCLAW_GATEWAY_TOKEN, or name the gateway's data folder with --data \
                 (looked into {})",
                home.folder().display()
            )
        })?;
        let mut bearer: MetadataValue<Ascii> = format!("Bearer {}", token.expose())
            .parse()
            .context("the gateway's token cannot be sent")?;
        bearer.set_sensitive(true);
        let channel = connect(&address).await?;
        Ok(Self {
            door: InterceptedService::new(channel, Bearer(bearer)),
            json: options.json,
            address,
        })
    }

    /// What was refused, in words for people.
    pub(crate) fn refused(&self, status: &Status) -> anyhow::Error {
        match status.code() {
            Code::Unauthenticated => anyhow::anyhow!(
                "the gateway at {} does not take this token; is it the token of another gateway?",
                self.address
            ),
            Code::Unimplemented => anyhow::anyhow!(
                "the gateway at {} is of an older version and cannot do this; update it",
                self.address
            ),
            _ => anyhow::anyhow!("{}", status.message()),
        }
    }

    /// Prints `value` where JSON is wanted, else `text`.
    ///
    /// # Errors
    /// Never for values made here.
    pub(crate) fn print(
        &self,
        value: impl FnOnce() -> Value,
        text: impl FnOnce() -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            println!("{}", serde_json::to_string_pretty(&value())?);
        } else {
            println!("{}", text().trim_end());
        }
        Ok(())
    }
}

async fn connect(address: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .with_context(|| format!("{address} is not an address as 127.0.0.1:18790"))?;
    let endpoint = endpoint.connect_timeout(REACH).timeout(PATIENCE);
    match endpoint.connect().await {
        Ok(channel) => Ok(channel),
        Err(error) => {
            let error = anyhow::Error::new(error);
            bail!("no gateway answers at {address} ({error:#}); start it with `openclaw gateway`")
        }
    }
}
