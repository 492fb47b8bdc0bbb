//! Whatever is killed, stopped or cut: nothing lost, nothing out of order.

mod killed;
mod system;
