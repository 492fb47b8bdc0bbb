//! The harness: real servers, fake platforms, a fake model, and waiting for states.

pub mod browser;
pub mod chaos;
pub mod eventually;
pub mod gateway;
pub mod model;
pub mod official;
pub mod platforms;
pub mod process;
pub mod proxy;
pub mod servers;
pub mod stage;
