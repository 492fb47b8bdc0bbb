//! What became of each message: answered, marked unknown, or a broken promise.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use bus::Bucket;
use proto::v1::{Intent, IntentState};

use crate::{
    chaos::{
        load::{Load, Said},
        system::System,
    },
    eventually::{DEADLINE, eventually},
    platforms::telegram::Sent,
};

/// The streams in which work waits.
const QUEUES: [&str; 3] = ["IN", "TURN", "OUT"];

/// What became of the messages of a [`Load`].
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How many were said.
    pub said: usize,
    /// How many have their answer on the platform.
    pub answered: usize,
    /// How many were answered with words of the gateway's own: the model cannot be reached, say.
    pub told: usize,
    /// Some of these words.
    pub words: Vec<String>,
    /// How many answers are marked unknown, on the platform or not.
    pub unknown: usize,
    /// Those with neither an answer nor a mark.
    pub lost: Vec<String>,
    /// Answers that stand behind the answer to a later message.
    pub out_of_order: Vec<String>,
    /// Answers that stand there more than once.
    pub twice: Vec<String>,
    /// Longest time in which somebody waited and nobody was answered.
    pub longest_stall: Duration,
    /// When each answered message was said, and how long its answer took.
    pub latencies: Vec<(Instant, Duration)>,
}

impl Verdict {
    /// The promises that were broken, one line each.
    #[must_use]
    pub fn broken(&self) -> Vec<String> {
        let kinds = [
            ("lost", &self.lost),
            ("out of order", &self.out_of_order),
            ("twice", &self.twice),
        ];
        kinds
            .into_iter()
            .flat_map(|(kind, which)| which.iter().map(move |one| format!("{kind}: {one}")))
            .collect()
    }
}

/// Waits until every message has its end and nothing waits anywhere, or nothing moves any more.
pub async fn settle(system: &System, load: &Load) -> Verdict {
    let mut open = usize::MAX;
    loop {
        let ended = || async {
            let open = look(system, load).await?;
            (open.lost.is_empty() && quiet(system).await).then_some(())
        };
        // A little less than the deadline: not to get there is a finding, not a panic.
        let patience = DEADLINE.saturating_sub(Duration::from_secs(2));
        let ended = tokio::time::timeout(patience, eventually("the end of every message", ended))
            .await
            .is_ok();
        let verdict = eventually("the bus to be asked", || look(system, load)).await;
        if ended || verdict.lost.len() >= open {
            return count_unknown(system, load, verdict).await;
        }
        open = verdict.lost.len();
    }
}

/// Whether neither the platform nor the bus holds anything that could still become an answer.
async fn quiet(system: &System) -> bool {
    if system.stage.telegram.waiting() > 0 {
        return false;
    }
    for stream in QUEUES {
        match system.bus.stream_state(stream).await {
            Ok(state) if state.messages == 0 => {}
            _ => return false,
        }
    }
    true
}

/// How things stand now; `None` while the bus cannot be asked.
async fn look(system: &System, load: &Load) -> Option<Verdict> {
    let said = load.said();
    let mut verdict = Verdict {
        said: said.len(),
        ..Verdict::default()
    };
    let mut of_chat: HashMap<i64, Vec<&Said>> = HashMap::new();
    for one in &said {
        of_chat.entry(one.chat).or_default().push(one);
    }
    let mut answered_at = Vec::new();
    for (chat, said) in of_chat {
        let sent = system.stage.telegram.sent(chat);
        let (answers, told, late) = read(&mut verdict, &said, &sent);
        for one in late {
            // Where an answer stands that is marked unknown, nobody can say: a request that was under way when its
            // process froze arrives whenever the network lets it.
            if !is_unknown(system, one).await? {
                verdict.out_of_order.push(name(one));
            }
        }
        answered_at.extend(answers.iter().map(|(said, at)| (*said, *at)));
        let there: HashSet<i64> = answers.iter().map(|(said, _)| said.update_id).collect();
        let mut missing = Vec::new();
        for one in said.iter().filter(|one| !there.contains(&one.update_id)) {
            if !is_unknown(system, one).await? {
                missing.push(format!("`{}`", one.text()));
            }
        }
        // Which of them was answered with other words cannot be told apart, nor need it be.
        let told = told.min(missing.len());
        verdict.told += told;
        verdict.lost.extend(missing.into_iter().skip(told));
    }
    verdict.answered = answered_at.len();
    verdict.latencies = answered_at
        .iter()
        .map(|(said, at)| (said.at, at.saturating_duration_since(said.at)))
        .collect();
    verdict.longest_stall = longest_stall(
        answered_at
            .iter()
            .map(|(said, at)| (said.at, *at))
            .collect(),
    );
    Some(verdict)
}

fn name(said: &Said) -> String {
    format!("answer to `{}`", said.text())
}

/// Reads one chat: the first answer to each message with its time, how many other texts there are, and the messages
/// whose answers stand behind those to later ones.
fn read<'a>(
    verdict: &mut Verdict,
    said: &[&'a Said],
    sent: &[Sent],
) -> (Vec<(&'a Said, Instant)>, usize, Vec<&'a Said>) {
    let place: HashMap<String, usize> = said
        .iter()
        .enumerate()
        .map(|(place, one)| (one.answer(), place))
        .collect();
    let (mut answers, mut told, mut late) = (Vec::new(), 0, Vec::new());
    let (mut seen, mut newest) = (HashSet::new(), None);
    for sent in sent.iter().filter(|sent| !sent.deleted) {
        let Some(place) = place.get(&sent.text).copied() else {
            told += 1;
            if verdict.words.len() < 3 {
                verdict.words.push(sent.text.clone());
            }
            continue;
        };
        if !seen.insert(place) {
            verdict.twice.push(name(said[place]));
            continue;
        }
        if newest > Some(place) {
            late.push(said[place]);
        }
        newest = newest.max(Some(place));
        answers.push((said[place], sent.at));
    }
    (answers, told, late)
}

async fn is_unknown(system: &System, said: &Said) -> Option<bool> {
    let intents = system.bus.bucket(Bucket::Intents);
    let stored = intents.get::<Intent>(&said.intent()).await.ok()?;
    Some(stored.is_some_and(|(intent, _)| intent.state() == IntentState::Unknown))
}

async fn count_unknown(system: &System, load: &Load, mut verdict: Verdict) -> Verdict {
    for said in load.said() {
        let unknown = eventually("the bus to be asked", || is_unknown(system, &said)).await;
        verdict.unknown += usize::from(unknown);
    }
    verdict
}

/// The longest time without an answer while somebody waited; of each message, when it was said and when answered.
fn longest_stall(mut times: Vec<(Instant, Instant)>) -> Duration {
    let mut longest = Duration::ZERO;
    times.sort_by_key(|(_, answered)| *answered);
    // Of this answer and all later ones, who spoke first: he waited since then, or since the answer before.
    let mut first_said: Vec<Instant> = times.iter().map(|(said, _)| *said).collect();
    for place in (1..first_said.len()).rev() {
        first_said[place - 1] = first_said[place - 1].min(first_said[place]);
    }
    let mut before: Option<Instant> = None;
    for ((_, answered), said) in times.iter().zip(first_said) {
        let since = before.map_or(said, |before| before.max(said));
        longest = longest.max(answered.saturating_duration_since(since));
        before = Some(*answered);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(n: usize) -> Said {
        Said {
            chat: 7,
            n,
            update_id: i64::try_from(n).unwrap(),
            at: Instant::now(),
        }
    }

    fn sent(text: String) -> Sent {
        Sent {
            method: "sendmessage".into(),
            message_id: 0,
            text,
            params: serde_json::Value::Null,
            files: Vec::new(),
            at: Instant::now(),
            before: Vec::new(),
            deleted: false,
        }
    }

    fn judged(order: &[usize]) -> Verdict {
        let all = [said(0), said(1), said(2)];
        let mut verdict = Verdict::default();
        let texts: Vec<_> = order.iter().map(|n| sent(said(*n).answer())).collect();
        let chat: Vec<_> = all.iter().collect();
        let (_, _, late) = read(&mut verdict, &chat, &texts);
        verdict.out_of_order = late.into_iter().map(name).collect();
        verdict
    }

    #[test]
    fn a_repeated_and_a_late_answer_are_found() {
        assert!(judged(&[0, 1, 2]).broken().is_empty());
        assert!(
            judged(&[0, 2]).broken().is_empty(),
            "a gap is judged elsewhere"
        );
        assert_eq!(
            judged(&[0, 2, 1]).broken(),
            ["out of order: answer to `message 1 of 7`"]
        );
        assert_eq!(
            judged(&[0, 1, 0]).broken(),
            ["twice: answer to `message 0 of 7`"]
        );
    }

    #[test]
    fn silence_counts_only_while_somebody_waits() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // Nobody waits between 20 and 1000.
        let times = vec![
            (at(0), at(10)),
            (at(5), at(20)),
            (at(1000), at(1300)),
            (at(1100), at(1350)),
        ];
        assert_eq!(longest_stall(times), Duration::from_millis(300));
        assert_eq!(longest_stall(Vec::new()), Duration::ZERO);
    }
}
