//! Every subject, made here and nowhere else.
//!
//! | subject | stream | published by | read by |
//! |---|---|---|---|
//! | `in.<part>.<prio>.<platform>.<sid>` | `IN` | adapters, control-plane | router |
//! | `turn.<part>.<prio>.<agent>.<sid>` | `TURN` | router | agent-bridge |
//! | `out.<platform>.<account>.<prio>.<conv>` | `OUT` | agent-bridge, router, ledger | that account's adapter |
//! | `event.<kind>.<platform>.<sid>` | `EVENT` | every service | ledger, control-plane; live as `live.event.…`: adapters that stream, agent-bridge |
//! | `dead.<original subject>` | `DEAD` | bus | operators, ledger |
//! | `live.delta.<platform>.<account>.<sid>` | – | agent-bridge | control-plane, adapters that stream |
//! | `ctl.<platform>.<account>.<verb>` | – | control-plane | the process that has the account |
//! | `live.cancel` | – | router, control-plane | agent-bridge |
//! | `live.announce` | – | control-plane | every replica of it |
//! | `live.replica` | – | control-plane | every replica of it |
//! | `live.mail.<replica>` | – | control-plane | that replica of it |
//! | `live.guess` | – | control-plane | every replica of it |
//! | `live.started` | – | agent-bridge | ledger |
//! | `rpc.ledger.history`, `rpc.ledger.sessions` | – | agent-bridge, control-plane | ledger |
//! | `rpc.ledger.journey`, `rpc.ledger.outcome` | – | control-plane | ledger |
//! | `rpc.agent.models` | – | control-plane | agent-bridge |
//! | `rpc.ledger.rows`, `rpc.ledger.usage` | – | control-plane | ledger |

use crate::{
    id,
    v1::{Address, Event, Priority, event::What},
};

/// Partition of a session: FNV-1a-32 of its `sid`, modulo the number of partitions.
///
/// The same function as nats-server's own `partition(N, token)` mapping.
#[must_use]
pub fn partition(sid: &str, partitions: u16) -> u16 {
    let hash = sid.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    u16::try_from(hash % u32::from(partitions.max(1))).unwrap_or_default()
}

/// Subject of an inbound of the session `session_key`.
#[must_use]
pub fn inbound(partitions: u16, priority: Priority, platform: &str, session_key: &str) -> String {
    let sid = id::of_session(session_key);
    format!(
        "in.{}.{}.{}.{sid}",
        partition(&sid, partitions),
        priority.letter(),
        token(platform)
    )
}

/// Subject of a turn of the session `session_key`.
#[must_use]
pub fn turn(partitions: u16, priority: Priority, agent: &str, session_key: &str) -> String {
    let sid = id::of_session(session_key);
    format!(
        "turn.{}.{}.{}.{sid}",
        partition(&sid, partitions),
        priority.letter(),
        token(agent)
    )
}

/// Subject of an outbound to `to`.
#[must_use]
pub fn outbound(to: &Address, priority: Priority) -> String {
    let conversation = id::of_session(&to.conversation);
    format!(
        "{}.{}.{conversation}",
        account(&to.platform, &to.account),
        priority.letter()
    )
}

/// What all outbounds of one account begin with.
#[must_use]
pub fn account(platform: &str, account: &str) -> String {
    format!("out.{}.{}", token(platform), token(account))
}

/// Where the process that has an account is told to `verb`: reconnect, drain, resume, probe.
#[must_use]
pub fn control(platform: &str, account: &str, verb: &str) -> String {
    format!("ctl.{}.{}.{verb}", token(platform), token(account))
}

/// All turns of a session, whatever their priority.
#[must_use]
pub fn turns(partitions: u16, agent: &str, session_key: &str) -> String {
    let sid = id::of_session(session_key);
    format!(
        "turn.{}.*.{}.{sid}",
        partition(&sid, partitions),
        token(agent)
    )
}

/// All outbounds to the conversation of `to`, whatever their priority.
#[must_use]
pub fn outbounds(to: &Address) -> String {
    let conversation = id::of_session(&to.conversation);
    format!("{}.*.{conversation}", account(&to.platform, &to.account))
}

/// Subject of an event.
#[must_use]
pub fn event(event: &Event) -> String {
    let platform = event.session_key.split(':').next().unwrap_or_default();
    format!(
        "event.{}.{}.{}",
        kind(event),
        token(platform),
        id::of_session(&event.session_key)
    )
}

/// All events of a session, whatever their kind.
#[must_use]
pub fn events(session_key: &str) -> String {
    let platform = session_key.split(':').next().unwrap_or_default();
    format!(
        "event.*.{}.{}",
        token(platform),
        id::of_session(session_key)
    )
}

/// Subject on which the pieces of an answer to `to` are told live.
#[must_use]
pub fn delta(to: &Address, session_key: &str) -> String {
    format!(
        "live.delta.{}.{}.{}",
        token(&to.platform),
        token(&to.account),
        id::of_session(session_key)
    )
}

/// Where one replica of the control plane gets its mail, as [`crate::v1::NodeParcel`].
#[must_use]
pub fn mail(replica: &str) -> String {
    format!("live.mail.{}", token(replica))
}

/// All events of sends that arrived.
pub const SENT: &str = "event.sent.>";
/// All events that end a run, or say something in its place.
pub const ENDS: [&str; 5] = [
    "event.answered.>",
    "event.failed.>",
    "event.aborted.>",
    "event.dead.>",
    "event.injected.>",
];
/// Injected lines, as they are told live to who keeps transcripts in memory.
pub const LIVE_INJECTED: &str = "live.event.injected.>";
/// All events of sends of which nobody knows whether they arrived.
pub const UNSURE: &str = "event.unsure.>";
/// What died, republished.
pub const LIVE_DEAD: &str = "live.event.dead.>";
/// What may or may not have arrived, republished.
pub const LIVE_UNSURE: &str = "live.event.unsure.>";
/// What republished events begin with.
pub const LIVE_EVENTS: &str = "live.event.>";
/// All deltas.
pub const LIVE_DELTAS: &str = "live.delta.>";
/// Where a running turn is told to stop, at once, before its cancelling turn arrives.
pub const CANCEL: &str = "live.cancel";
/// Where it is told that an agent is asked, as [`crate::v1::Started`].
pub const STARTED: &str = "live.started";
/// Where the replicas of the control plane tell each other events for clients, as [`crate::v1::Announcement`].
pub const ANNOUNCE: &str = "live.announce";
/// Where the replicas of the control plane tell each other that they live, as [`crate::v1::ReplicaBeat`].
pub const REPLICA: &str = "live.replica";
/// Where the replicas of the control plane tell each other who guesses at secrets, as [`crate::v1::Guess`].
pub const GUESS: &str = "live.guess";
/// Where the ledger answers [`crate::v1::TraceRequest`].
pub const JOURNEY: &str = "rpc.ledger.journey";
/// Where the ledger answers [`crate::v1::OutcomeRequest`].
pub const OUTCOME: &str = "rpc.ledger.outcome";
/// Where the ledger answers [`crate::v1::HistoryRequest`].
pub const HISTORY: &str = "rpc.ledger.history";
/// Where the ledger answers [`crate::v1::SessionsRequest`].
pub const SESSIONS: &str = "rpc.ledger.sessions";
/// Where the ledger answers [`crate::v1::RowsRequest`].
pub const ROWS: &str = "rpc.ledger.rows";
/// Where the ledger answers [`crate::v1::UsageRequest`].
pub const USAGE: &str = "rpc.ledger.usage";

/// Where the agent bridge answers [`crate::v1::ModelsRequest`].
pub const MODELS: &str = "rpc.agent.models";

/// Name of the event's kind, as in its subject.
#[must_use]
pub fn kind(event: &Event) -> &'static str {
    match &event.what {
        Some(What::Accepted(_)) => "accepted",
        Some(What::Refused(_)) => "refused",
        Some(What::Answered(_)) => "answered",
        Some(What::Failed(_)) => "failed",
        Some(What::Sent(_)) => "sent",
        Some(What::Unsure(_)) => "unsure",
        Some(What::Dead(_)) => "dead",
        Some(What::Aborted(_)) => "aborted",
        Some(What::Reset(_)) => "reset",
        Some(What::Delivered(_)) => "delivered",
        Some(What::Removed(_)) => "removed",
        Some(What::Compacted(_)) => "compacted",
        Some(What::Injected(_)) => "injected",
        None => "none",
    }
}

/// `text` with what a subject token may not hold replaced by "_"; never empty.
#[must_use]
pub fn token(text: &str) -> String {
    match text {
        "" => "_".into(),
        text => text.replace(
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>'),
            "_",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_those_of_the_server() {
        // FNV-1a-32 vectors of the reference implementation: "" 0x811c9dc5, "a" 0xe40c292c, "foobar" 0xbf9cf968.
        assert_eq!(partition("a", 1000), (0xe40c_292c_u32 % 1000) as u16);
        assert_eq!(partition("foobar", 64), (0xbf9c_f968_u32 % 64) as u16);
    }

    #[test]
    fn a_token_is_never_empty_and_holds_no_wildcard() {
        assert_eq!(token(""), "_");
        assert_eq!(token("a.b*c>d e\n"), "a_b_c_d_e_");
    }

    #[test]
    fn subjects_look_like_the_table() {
        let to = Address {
            platform: "telegram".into(),
            account: "main".into(),
            conversation: "-7".into(),
            ..Address::default()
        };
        assert!(outbound(&to, Priority::High).starts_with("out.telegram.main.h."));
        assert_eq!(
            inbound(16, Priority::Normal, "telegram", "telegram:dm:1")
                .split('.')
                .count(),
            5
        );
        assert!(turn(16, Priority::Low, "main", "telegram:dm:1").contains(".l.main."));
    }
}
