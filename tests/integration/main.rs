//! Promises of the libraries and services, kept against real servers.

mod adapter;
mod admin;
mod agent;
mod bus;
mod journey;
mod ledger;
mod router;
