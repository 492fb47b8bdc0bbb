//! One fault while people write: the load, the fault in the middle of it, and the verdict.

use std::time::Duration;

use crate::chaos::{
    fault::Fault,
    judge::settle,
    load::Load,
    system::System,
    table::{Row, seconds},
};

/// People who write.
const CHATS: i64 = 50;
/// Messages of each of them.
const EACH: usize = 10;
/// Of these, how many are said at once before the fault.
const BEFORE: usize = 4;
/// Pause between two messages during the fault.
const PAUSE: Duration = Duration::from_millis(15);

/// Has people write while `fault` happens, and says what became of each message.
pub async fn round(system: &System, fault: Fault) -> Row {
    round_named(system, fault, fault.to_string()).await
}

/// [`round`] under another name.
pub async fn round_named(system: &System, fault: Fault, name: String) -> Row {
    let (load, chats) = (Load::default(), system.fresh_chats(CHATS));
    let before = system.stage.telegram.sent_in_all();
    load.burst(system, &chats, 0..BEFORE);
    load.under_way(system, before, EACH).await;
    tokio::join!(
        fault.happen(system),
        load.talk(system, &chats, BEFORE..EACH, PAUSE)
    );
    judged(system, &load, name, fault.concerns_the_model()).await
}

/// Waits for the end of `load`, and says it.
pub async fn judged(system: &System, load: &Load, name: String, may_tell: bool) -> Row {
    let verdict = settle(system, load).await;
    // What was ordered and not used would spoil the next fault.
    system.stage.telegram.heal();
    system.ready().await;
    eprintln!(
        "{name}: {} of {} answered, {} unknown, {} broken, stall {}",
        verdict.answered,
        verdict.said,
        verdict.unknown,
        verdict.broken().len(),
        seconds(verdict.longest_stall)
    );
    Row {
        fault: name,
        verdict,
        may_tell,
    }
}
