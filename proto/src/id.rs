//! Ids that are the same whenever the same thing is seen again.

/// Id of an event from its dedupe key (`platform:account:native id`): 32 hex digits of blake3.
#[must_use]
pub fn of_event(dedupe_key: &str) -> String {
    hex(dedupe_key.as_bytes(), 16)
}

/// Id of the `n`th outbound that the turn `turn_id` brings forth.
#[must_use]
pub fn of_outbound(turn_id: &str, n: usize) -> String {
    format!("{turn_id}-{n}")
}

/// Subject token of a session key: 16 hex digits of blake3.
///
/// A session key may hold characters that a subject may not; the whole key is in the message.
#[must_use]
pub fn of_session(session_key: &str) -> String {
    hex(session_key.as_bytes(), 8)
}

/// `bytes` bytes of the blake3 hash of `input`, as lower-case hex.
fn hex(input: &[u8], bytes: usize) -> String {
    let hash = blake3::hash(input).to_hex();
    hash[..bytes * 2].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_length_and_differ() {
        assert_eq!(of_event("telegram:main:1001").len(), 32);
        assert_eq!(of_session("telegram:dm:1").len(), 16);
        assert_ne!(of_session("telegram:dm:1"), of_session("telegram:dm:2"));
        assert_eq!(of_outbound("ab", 1), "ab-1");
    }
}
