//! A replica dies at the moment when jobs are due: each of them is run once all the same.

use bus::{Bucket, Bus};
use proto::v1::{Job, JobAt, JobRun, JobTurn, job::What, job::When};
use tests::{
    eventually::eventually,
    gateway::Service,
    servers::free_port,
    stage::{Hears, Stage},
};

/// Jobs that are due at once.
const JOBS: usize = 8;
/// From now until they are due: long enough to store them all.
const SOON_MS: i64 = 1500;

fn replica(stage: &Stage) -> Service {
    let port = free_port().to_string();
    stage.service_with("control-plane", &[("OPENCLAW_GATEWAY_PORT", &port)])
}

/// Stores jobs that are all due at the same moment; that moment.
async fn schedule(bus: &Bus, round: &str) -> i64 {
    let at_ms = chassis::clock::now_ms() + SOON_MS;
    for n in 0..JOBS {
        let job = Job {
            id: format!("{round}-{n}"),
            name: format!("job {n}"),
            enabled: true,
            when: Some(When::At(JobAt { at_ms })),
            what: Some(What::Turn(JobTurn {
                message: format!("do {round}-{n}."),
                ..JobTurn::default()
            })),
            session_target: "isolated".into(),
            wake_mode: "now".into(),
            next_at_ms: at_ms,
            ..Job::default()
        };
        bus.bucket(Bucket::Jobs).put(&job.id, &job).await.unwrap();
    }
    at_ms
}

/// Waits until a run is being made of some job of the round, or was made.
async fn begun(bus: &Bus, round: &str) {
    eventually("a job to be begun", || async {
        let jobs = bus.bucket(Bucket::Jobs).all::<Job>().await.ok()?;
        jobs.iter()
            .any(|(id, job, _)| id.starts_with(round) && job.running.is_some() || job.runs > 0)
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_once_whichever_replica_dies_when_it_is_due() {
    let stage = Stage::set(Hears::Polling, "").await;
    let _others = ["router", "agent-bridge", "ledger"].map(|name| stage.service(name));
    let bus = Bus::connect(stage.nats.settings()).await.unwrap();
    let mut replicas = [replica(&stage), replica(&stage)];
    for replica in &replicas {
        replica.ready().await;
    }
    // One of the two owns the jobs, and nobody says which: each dies once.
    for (n, round) in ["first", "second"].into_iter().enumerate() {
        schedule(&bus, round).await;
        begun(&bus, round).await;
        replicas[n].kill9();
        replicas[n] = replica(&stage);
        for job in 0..JOBS {
            let asked = format!("do {round}-{job}.");
            let times = || {
                let requests = stage.model.requests();
                let asks = requests
                    .iter()
                    .filter(|request| request.last().contains(&asked));
                asks.count()
            };
            let ended = eventually("each job to end", || async {
                let runs = bus.bucket(Bucket::Runs);
                let run = runs
                    .get::<JobRun>(&format!("{round}-{job}.0"))
                    .await
                    .ok()??;
                (run.0.status == "ok").then_some(())
            });
            ended.await;
            assert_eq!(times(), 1, "{asked}");
        }
    }
    // The record of runs is written first, the job after it.
    eventually("every job to say that it ran once", || async {
        let jobs = bus.bucket(Bucket::Jobs).all::<Job>().await.ok()?;
        let ours = jobs
            .iter()
            .filter(|(_, job, _)| matches!(job.what, Some(What::Turn(_))));
        let ended = ours.filter(|(_, job, _)| job.runs == 1 && job.running.is_none());
        (ended.count() == 2 * JOBS).then_some(())
    })
    .await;
}
