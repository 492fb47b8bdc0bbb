//! Promises of the libraries and services, kept against real servers.

mod adapter;
mod agent;
mod bus;
mod ledger;
mod router;
