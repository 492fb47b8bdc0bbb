//! Typed messages over JetStream: stored before anything is acknowledged, in order within a lane.
//!
//! The only crate that names async-nats.

mod bundle;
mod burials;
mod claim;
mod connect;
mod consume;
mod dead;
mod error;
mod follow;
mod lanes;
mod later;
mod letters;
mod live;
mod members;
mod mirror;
mod ownership;
mod publish;
mod pull;
mod queues;
mod sabotage;
mod scan;
mod settings;
mod store;
mod streams;
pub mod trace;

pub use burials::Burial;
pub use connect::Bus;
pub use consume::{Delivery, Outcome, Source, consume};
pub use error::Error;
pub use follow::{Record, StreamState};
pub use later::{Schedule, move_due};
pub use letters::{Letter, Wanted};
pub use mirror::Mirror;
pub use ownership::{Fence, owned};
pub use publish::Stored;
pub use queues::{Depth, Queue};
pub use sabotage::sabotaged;
pub use settings::Settings;
pub use store::{Bucket, Store};
