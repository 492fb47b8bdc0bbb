//! Jobs and the record of their runs, as every replica sees them.

use bus::{Bucket, Bus};
use proto::v1::{Job, JobRun};

use crate::refusal::Refusal;

/// Most jobs there may be.
pub(crate) const MOST_JOBS: usize = 1000;
/// Runs of one job that are kept, and for 30 days at most.
pub(crate) const KEPT_RUNS: u64 = 100;
/// How often a change is tried anew after somebody else was faster.
const TRIES: usize = 20;

/// The job `id`.
///
/// # Errors
/// As [`bus::Store::get`].
pub(crate) async fn find(bus: &Bus, id: &str) -> Result<Option<Job>, bus::Error> {
    let found = bus.bucket(Bucket::Jobs).get::<Job>(&key(id)).await?;
    Ok(found.map(|(job, _)| job))
}

/// All jobs.
///
/// # Errors
/// As [`bus::Store::all`].
pub(crate) async fn all(bus: &Bus) -> Result<Vec<Job>, bus::Error> {
    let all = bus.bucket(Bucket::Jobs).all::<Job>().await?;
    Ok(all.into_iter().map(|(_, job, _)| job).collect())
}

/// Stores a job that is new; false where there is one of its id.
///
/// # Errors
/// As [`bus::Store::create`].
pub(crate) async fn add(bus: &Bus, job: &Job) -> Result<bool, bus::Error> {
    let jobs = bus.bucket(Bucket::Jobs);
    Ok(jobs.create(&key(&job.id), job).await?.is_some())
}

/// Changes the job `id` with `change`, seen as it is at that moment, whoever else changes it too. `change` says what
/// it has done, and an error leaves the job as it is; `None` where there is no such job.
///
/// # Errors
/// As `change`; [`Refusal::Busy`] when the bus is away or others were faster again and again.
pub(crate) async fn change<T>(
    bus: &Bus,
    id: &str,
    mut change: impl FnMut(&mut Job) -> Result<T, Refusal>,
) -> Result<Option<(Job, T)>, Refusal> {
    let (jobs, key) = (bus.bucket(Bucket::Jobs), key(id));
    for _ in 0..TRIES {
        let Some((mut job, revision)) = jobs.get::<Job>(&key).await? else {
            return Ok(None);
        };
        let before = job.clone();
        let done = change(&mut job)?;
        if job == before || jobs.update(&key, &job, revision).await?.is_some() {
            return Ok(Some((job, done)));
        }
    }
    let why = format!("the job `{id}` is being changed by others; try again");
    Err(Refusal::Busy(why))
}

/// Removes the job `id`; false where there is none.
///
/// # Errors
/// As [`bus::Store::delete`].
pub(crate) async fn remove(bus: &Bus, id: &str) -> Result<bool, bus::Error> {
    let known = find(bus, id).await?.is_some();
    if known {
        bus.bucket(Bucket::Jobs).delete(&key(id)).await?;
    }
    Ok(known)
}

/// Keeps how a run ended, in the place of the oldest one that is kept; again in the same place when it is repeated.
///
/// Where there is no room for it, it is not kept: no run may wait for that.
///
/// # Errors
/// [`bus::Error::Unavailable`].
pub(crate) async fn note(bus: &Bus, run: &JobRun, number: u64) -> Result<(), bus::Error> {
    let key = format!("{}.{}", key(&run.job_id), number % KEPT_RUNS);
    match bus.bucket(Bucket::Runs).put(&key, run).await {
        Err(error @ bus::Error::Full(_)) => {
            tracing::warn!(%error, job = run.job_id, "what became of a run is not kept");
            Ok(())
        }
        noted => noted.map(drop),
    }
}

/// The runs of the job `id`, or of all jobs, that are kept; the newest first.
///
/// # Errors
/// As [`bus::Store::all`].
pub(crate) async fn runs(bus: &Bus, id: Option<&str>) -> Result<Vec<JobRun>, bus::Error> {
    let bucket = bus.bucket(Bucket::Runs);
    let kept = match id {
        Some(id) => bucket.under::<JobRun>(&key(id)).await?,
        None => bucket.all::<JobRun>().await?,
    };
    let mut runs: Vec<_> = kept.into_iter().map(|(_, run, _)| run).collect();
    runs.sort_by(|a, b| (b.ended_at_ms, &b.id).cmp(&(a.ended_at_ms, &a.id)));
    Ok(runs)
}

/// Where a job is kept. Ids that clients make up are no keys, and are hashed.
fn key(id: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !id.is_empty() && id.len() <= 64 && id.chars().all(good) {
        true => id.to_owned(),
        false => proto::id::of_event(id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_client_calls_a_job_is_kept_under_a_key() {
        assert_eq!(key("93e112f0-9486"), "93e112f0-9486");
        for odd in ["heartbeat:main", "", "a.b", "a>", "../x"] {
            let key = key(odd);
            assert!(key.chars().all(|c| c.is_ascii_hexdigit()), "{odd}: {key}");
        }
    }
}
