//! Which agents there are, and what each is told to be.

use super::{Call, Method, method};

mod files;
mod identity;
mod profiles;

pub(super) use profiles::listed;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("agents.list", Read, profiles::list),
    method!("agents.create", Admin, profiles::create),
    method!("agents.update", Admin, profiles::update),
    method!("agents.delete", Admin, profiles::delete),
    method!("agents.files.list", Read, files::list),
    method!("agents.files.get", Read, files::get),
    method!("agents.files.set", Admin, files::set),
    method!("agent.identity.get", Read, identity::get),
];

/// Where the files of an agent are, for clients that show a folder: a name in the gateway's records.
fn workspace(agent: &str) -> String {
    format!("agents/{agent}")
}
