//! Promises of the libraries and services, kept against real servers.

mod agent;
mod ledger;
