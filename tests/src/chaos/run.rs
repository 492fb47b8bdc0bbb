//! A long run: people write all the time, and one fault follows the other.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    chaos::{
        clock::Clock,
        fault::Fault,
        judge::{Verdict, settle},
        load::Load,
        schedule::{Dice, Schedule},
        system::System,
        table::seconds,
    },
    process::lasting,
    servers::Nats,
    stage::Hears,
};

/// People who write.
const CHATS: i64 = 60;
/// Pause between two messages.
const PAUSE: Duration = Duration::from_millis(25);
/// How often a line of progress is printed.
const PROGRESS: Duration = Duration::from_secs(10);

/// What a run is to be.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The same seed makes the same faults and the same messages.
    pub seed: u64,
    /// How long faults go on.
    pub length: Duration,
}

/// A fault as it happened.
#[derive(Clone, Debug)]
pub struct Happened {
    /// Its name.
    pub fault: String,
    /// When it began, from the start of the run.
    pub from: Duration,
    /// When it was over.
    pub to: Duration,
}

/// What a run was.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As it was planned.
    pub plan: Plan,
    /// When it began.
    pub started: Instant,
    /// The program under test.
    pub program: String,
    /// The faults in their order.
    pub faults: Vec<Happened>,
    /// What became of the messages.
    pub verdict: Verdict,
}

/// Runs `plan` on a system of its own, printing what happens.
///
/// # Panics
/// When a server or service does not come up, or comes to an end that nobody asked for.
pub async fn run(plan: Plan) -> Outcome {
    let program = crate::gateway::program().display().to_string();
    println!("chaos: seed {}, {:?}, {program}", plan.seed, plan.length);
    let mut all = Fault::all();
    all.retain(|fault| *fault != Fault::Nothing);
    let clock = Clock::find();
    match clock {
        Some(_) => all.extend([Fault::Clock(1), Fault::Clock(-1)]),
        None => println!("chaos: no libfaketime here, so clocks do not jump"),
    }
    let system = System::start_on(Nats::start(), Hears::Polling, clock).await;
    let (load, faults, started) = (Load::default(), Mutex::new(Vec::new()), Instant::now());
    let chats = system.fresh_chats(CHATS);
    tokio::select! {
        () = talk(&system, &load, &chats, plan.seed) => {}
        () = progress(&system, &load, started) => {}
        () = harm(&system, Schedule::new(plan.seed, all), plan.length, started, &faults) => {}
    }
    system.stage.telegram.heal();
    println!(
        "{} all faults over; waiting for the end of every message",
        clock_of(started.elapsed())
    );
    system.ready().await;
    let verdict = settle(&system, &load).await;
    let faults = faults.into_inner().unwrap_or_else(PoisonError::into_inner);
    Outcome {
        plan,
        started,
        program,
        faults,
        verdict,
    }
}

/// Says one message after the other, without end, each in a chat that the dice choose.
async fn talk(system: &System, load: &Load, chats: &[i64], seed: u64) {
    let (mut dice, mut beat) = (Dice::new(!seed), tokio::time::interval(PAUSE));
    let mut said: HashMap<i64, usize> = HashMap::new();
    loop {
        beat.tick().await;
        let place = dice.throw(0..chats.len() as u64);
        let chat = chats[usize::try_from(place).unwrap_or_default()];
        let n = said.entry(chat).or_default();
        load.say(system, chat, *n);
        *n += 1;
    }
}

async fn progress(system: &System, load: &Load, started: Instant) {
    let mut beat = tokio::time::interval(PROGRESS);
    loop {
        beat.tick().await;
        let (said, sent) = (load.said().len(), system.stage.telegram.sent_in_all());
        println!("{} said {said}, sent {sent}", clock_of(started.elapsed()));
    }
}

/// Lets one fault follow the other until the time is over.
async fn harm(
    system: &System,
    schedule: Schedule,
    length: Duration,
    started: Instant,
    done: &Mutex<Vec<Happened>>,
) {
    for (pause, fault) in schedule {
        let left = length.saturating_sub(started.elapsed());
        lasting(pause.min(left)).await;
        if started.elapsed() >= length {
            return;
        }
        let from = started.elapsed();
        println!("{} {fault}", clock_of(from));
        fault.happen(system).await;
        let happened = Happened {
            fault: fault.to_string(),
            from,
            to: started.elapsed(),
        };
        done.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(happened);
    }
}

/// Minutes and seconds.
#[must_use]
pub fn clock_of(since: Duration) -> String {
    format!("{:02}:{:02}", since.as_secs() / 60, since.as_secs() % 60)
}

impl Outcome {
    /// The verdict in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let of = &self.verdict;
        format!(
            "{} faults, {} said, {} answered, {} told, {} unknown, {} lost, {} out of order, {} twice, longest stall {}",
            self.faults.len(),
            of.said,
            of.answered,
            of.told,
            of.unknown,
            of.lost.len(),
            of.out_of_order.len(),
            of.twice.len(),
            seconds(of.longest_stall)
        )
    }
}
