//! Which sessions there are, what was set for them, and what an operator orders of them.

use super::{Method, method};

mod list;
mod one;
mod orders;
mod patch;
mod resolve;
mod subscribe;
mod talk;
mod usage;

/// What it serves.
pub(super) const METHODS: &[Method] = &[
    method!("sessions.list", Read, list::list),
    method!("sessions.describe", Read, one::describe),
    method!("sessions.get", Read, one::get),
    method!("sessions.preview", Read, one::preview),
    method!("sessions.resolve", Read, resolve::resolve),
    method!("sessions.patch", Write, patch::patch),
    method!("sessions.create", Write, orders::create),
    method!("sessions.reset", Admin, orders::reset),
    method!("sessions.delete", Admin, orders::delete),
    method!("sessions.compact", Admin, orders::compact),
    method!("sessions.send", Write, talk::send),
    method!("sessions.steer", Write, talk::steer),
    method!("sessions.abort", Write, talk::abort),
    method!("sessions.usage", Read, usage::usage),
    method!("sessions.usage.timeseries", Read, usage::timeseries),
    method!("sessions.usage.logs", Read, usage::logs),
    method!("sessions.subscribe", Read, subscribe::subscribe),
    method!("sessions.unsubscribe", Read, subscribe::unsubscribe),
    method!("sessions.messages.subscribe", Read, subscribe::follow),
    method!("sessions.messages.unsubscribe", Read, subscribe::unfollow),
];
