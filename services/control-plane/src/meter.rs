//! The numbers that this service keeps, by name.

/// Clients that are connected now.
pub(crate) fn connections(count: usize) {
    metrics::gauge!("openclaw_gateway_clients")
        .set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

/// A socket was refused or closed: `full`, `turned`, `handshake`, `auth`, `slow`, `tls`; or an announcement was not understood: `announcement`.
pub(crate) fn refused(why: &'static str) {
    metrics::counter!("openclaw_gateway_refused_total", "why" => why).increment(1);
}

/// A method was called; the name only where it is one of ours.
pub(crate) fn called(method: &'static str, ok: bool) {
    let ok = if ok { "true" } else { "false" };
    metrics::counter!("openclaw_gateway_calls_total", "method" => method, "ok" => ok).increment(1);
}
