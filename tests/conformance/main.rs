//! Every adapter on a fake of its platform, and WebSocket clients by bytes on the wire.

mod bad_input;
mod telegram;
mod websocket;
