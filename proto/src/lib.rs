//! What crosses a process border: bus messages, subjects, session keys, WebSocket frames.

#[allow(
    clippy::allow_attributes,
    missing_docs,
    clippy::all,
    unreachable_pub,
    reason = "generated; documented in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("openclaw.gateway.v1");
}

#[cfg(test)]
mod golden;
pub mod id;
pub mod priority;
pub mod session;
pub mod subject;
pub mod ws;
