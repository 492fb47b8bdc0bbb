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

/// All messages and services, as an encoded `FileDescriptorSet`: what reflection tells gRPC tools.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod golden;
pub mod id;
mod named;
pub mod priority;
pub mod session;
pub mod subject;
pub mod ws;
