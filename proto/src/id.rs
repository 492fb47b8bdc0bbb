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

/// Id of the outbound that tells a person that the turn `turn_id` came to nothing.
#[must_use]
pub fn of_dead_notice(turn_id: &str) -> String {
    format!("{turn_id}-dead")
}

/// Id of the outbound that tells a person that the turn `turn_id` waits.
#[must_use]
pub fn of_slow_notice(turn_id: &str) -> String {
    format!("{turn_id}-slow")
}

/// Whether `outbound_id` is one of the two notices, which nothing depends on.
#[must_use]
pub fn is_notice(outbound_id: &str) -> bool {
    outbound_id.ends_with("-dead") || outbound_id.ends_with("-slow")
}

/// Key under which it is kept how far the chunk `n` of an outbound has come. Ids that are no keys are hashed.
#[must_use]
pub fn of_chunk(outbound_id: &str, n: impl std::fmt::Display) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=');
    match !outbound_id.is_empty() && outbound_id.len() <= 128 && outbound_id.chars().all(good) {
        true => format!("{outbound_id}.{n}"),
        false => format!("{}.{n}", of_event(outbound_id)),
    }
}

/// Subject token of a session key: 16 hex digits of blake3.
///
/// A session key may hold characters that a subject may not; the whole key is in the message.
#[must_use]
pub fn of_session(session_key: &str) -> String {
    hex(session_key.as_bytes(), 8)
}

/// Key under which the bucket `people` keeps that `sender_id` is let in on an account of ours.
#[must_use]
pub fn of_approval(platform: &str, account: &str, sender_id: &str) -> String {
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "_");
    format!(
        "ok.{}.{}.{}",
        plain(platform),
        plain(account),
        of_session(sender_id)
    )
}

/// Key under which the bucket `sessions` keeps what was set for a session of `agent`.
#[must_use]
pub fn of_settings(agent: &str, session_key: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let sid = of_session(session_key);
    match !agent.is_empty() && agent.chars().all(good) {
        true => format!("{agent}.{sid}"),
        false => format!("={}.{sid}", of_session(agent)),
    }
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
        assert_ne!(
            of_approval("telegram", "main", "1"),
            of_approval("telegram", "shop", "1"),
            "an approval is bound to the account"
        );
        assert!(is_notice(&of_dead_notice("ab")) && is_notice(&of_slow_notice("ab")));
        assert!(!is_notice(&of_outbound("ab", 0)));
    }

    #[test]
    fn any_outbound_id_makes_a_key() {
        assert_eq!(of_chunk("ab-0", 3), "ab-0.3");
        assert_eq!(of_chunk("ab-0", "p"), "ab-0.p");
        let odd = of_chunk("odd id.*", 0);
        assert!(odd.ends_with(".0") && !odd.contains('*'));
        assert_ne!(of_chunk("", 0), ".0");
    }
}
