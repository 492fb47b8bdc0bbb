//! Temporary, until control-plane and router exist.
#![allow(missing_docs, unreachable_pub, clippy::all, clippy::allow_attributes)]
pub mod control_plane {
    #[derive(Debug, Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config { pub host: std::net::IpAddr, pub port: u16, pub grpc_port: u16, pub token: chassis::Secret }
    impl Default for Config { fn default() -> Self { Self { host: [127,0,0,1].into(), port: 18789, grpc_port: 18790, token: Default::default() } } }
    pub async fn run(ctx: chassis::Context, _: Config) -> anyhow::Result<()> { let s = ctx.stop.clone(); drop(ctx); s.cancelled().await; Ok(()) }
}
pub mod router {
    #[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Config {}
    pub async fn run(ctx: chassis::Context, _: Config) -> anyhow::Result<()> { let s = ctx.stop.clone(); drop(ctx); s.cancelled().await; Ok(()) }
}
pub mod adapter_loopback {
    #[derive(Debug, Clone, Default)]
    pub struct Config {}
    pub async fn run(ctx: chassis::Context, _: Config) -> anyhow::Result<()> { let s = ctx.stop.clone(); drop(ctx); s.cancelled().await; Ok(()) }
}
