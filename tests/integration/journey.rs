//! Messages on their way: each step is seen, and each ends as an answer, a stated silence, or a dead letter with a notice.

use chassis::clock::now_ms;
use proto::{
    id, subject,
    v1::{
        Accepted, Delivered, Inbound, Priority, Text, Turn, WalkEnd, event::What, outbound::Action,
    },
};
use tests::{
    eventually::eventually,
    servers::{Nats, Redis},
};

use bench::{Bench, accepted, address, answered, event, inbound, names, publish, sent, turn};

mod bench;

#[tokio::test]
async fn a_message_is_found_by_whatever_people_call_it() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let bench = Bench::start(&nats, &folder).await;
    for id in ["a", "b"] {
        publish(&bench.bus, &accepted(id, "1", |_| {})).await;
        publish(&bench.bus, &answered(id, "1")).await;
        publish(&bench.bus, &sent(id, &id::of_outbound(id, 0))).await;
    }
    let read = Delivered {
        platform_message_id: "p-a-0".into(),
        status: "read".into(),
        to: Some(address("1")),
        ..Delivered::default()
    };
    publish(&bench.bus, &event("report", "1", What::Delivered(read))).await;
    // The same number in another conversation is another message.
    let elsewhere = Delivered {
        platform_message_id: "p-a-0".into(),
        to: Some(address("2")),
        ..Delivered::default()
    };
    publish(
        &bench.bus,
        &event("elsewhere", "2", What::Delivered(elsewhere)),
    )
    .await;

    let walk = bench.trace("a").await.remove(0);
    let all = [
        "written", "received", "routed", "started", "answered", "sending", "sent", "read",
    ];
    assert_eq!(names(&walk), all);
    assert_eq!(
        (walk.end(), walk.from.clone()),
        (WalkEnd::Reply, Some(address("1")))
    );
    for about in ["a-0", "m-a", "p-a-0"] {
        assert_eq!(
            bench.trace(about).await,
            std::slice::from_ref(&walk),
            "{about}"
        );
    }
    for about in ["1", "telegram:dm:1"] {
        let ids: Vec<_> = bench
            .trace(about)
            .await
            .into_iter()
            .map(|walk| walk.turn_id)
            .collect();
        assert_eq!(ids, ["a", "b"], "{about}");
    }
    assert_eq!(bench.trace("nothing").await, []);
    bench.stop().await;
}

#[tokio::test]
async fn a_turn_that_is_given_up_ends_with_one_notice_even_if_the_ledger_is_written_anew() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start(&nats, &folder).await;
    publish(&bench.bus, &accepted("a", "1", |_| {})).await;
    bench.ask(&turn("a", "1")).await;
    bench
        .ask(&Turn {
            deliver: false,
            ..turn("page", "2")
        })
        .await;
    bench.give_up::<Turn>("TURN");
    assert_eq!(bench.told("a-dead").await, ["a-dead"]);
    let walk = bench.ends("a", WalkEnd::Dead).await;
    assert!(names(&walk).contains(&"dead"), "{walk:?}");
    bench.ends("page", WalkEnd::Dead).await;
    bench.stop().await;

    let other = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(&nats, &other).await;
    bench.ends("a", WalkEnd::Dead).await;
    // What dies later is seen to later: by then the old letters have been seen to again.
    bench.ask(&turn("b", "1")).await;
    bench.give_up::<Turn>("TURN");
    assert_eq!(bench.told("b-dead").await, ["b-dead"]);
    bench.stop().await;
}

#[tokio::test]
async fn nobody_is_told_who_was_not_let_in() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::start(&nats, &folder).await;
    publish(
        &bench.bus,
        &accepted("before", "1", |accepted| accepted.turn = false),
    )
    .await;
    bench.give_up::<Inbound>("IN");
    for (id, conversation) in [("stranger", "2"), ("friend", "1")] {
        let subject = subject::inbound(
            bench.bus.partitions(),
            Priority::Normal,
            "telegram",
            "the same lane",
        );
        bench
            .bus
            .publish(&subject, id, &inbound(id, conversation))
            .await
            .unwrap();
    }
    assert_eq!(bench.told("friend-dead").await, ["friend-dead"]);
    bench.ends("stranger", WalkEnd::Dead).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_turn_that_vanished_is_found_and_one_that_waits_is_left_alone() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let bench = Bench::start(&nats, &folder).await;
    let late = |accepted: &mut Accepted| accepted.deadline_ms = 1;
    bench.ask(&turn("waits", "2")).await;
    publish(&bench.bus, &accepted("waits", "2", late)).await;
    publish(&bench.bus, &accepted("vanished", "1", late)).await;
    publish(&bench.bus, &accepted("unsent", "3", late)).await;
    publish(&bench.bus, &answered("unsent", "3")).await;
    publish(&bench.bus, &accepted("done", "4", late)).await;
    publish(&bench.bus, &answered("done", "4")).await;
    publish(&bench.bus, &sent("done", "done-0")).await;

    for lost in ["vanished", "unsent"] {
        let walk = bench.ends(lost, WalkEnd::Dead).await;
        let dead = walk.steps.iter().find(|step| step.name == "dead").unwrap();
        assert!(dead.detail.starts_with("lost: "), "{dead:?}");
    }
    let told = eventually("both notices", || async {
        let told = bench.told.lock().await;
        let mut ids: Vec<_> = told.iter().map(|outbound| outbound.id.clone()).collect();
        ids.sort();
        (ids.len() >= 2).then_some(ids)
    })
    .await;
    assert_eq!(told, ["unsent-dead", "vanished-dead"]);
    bench.ends("waits", WalkEnd::None).await;
    bench.ends("done", WalkEnd::Reply).await;
    bench.stop().await;
}

#[tokio::test]
async fn who_waits_is_told_once_in_a_conversation_and_not_once_an_agent_has_begun() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let bench = Bench::start(&nats, &folder).await;
    bench.ends_listening().await;
    let slow = |accepted: &mut Accepted| accepted.slow_at_ms = now_ms() - 1;
    publish(&bench.bus, &accepted("begun", "1", slow)).await;
    publish(&bench.bus, &accepted("a", "2", slow)).await;
    assert_eq!(bench.told("a-slow").await, ["a-slow"]);
    publish(&bench.bus, &accepted("b", "2", slow)).await;
    publish(&bench.bus, &accepted("c", "3", slow)).await;
    assert_eq!(bench.told("c-slow").await, ["a-slow", "c-slow"]);
    bench.stop().await;
}

#[tokio::test]
async fn what_is_too_old_is_a_dead_letter_and_never_asked() {
    let (nats, folder, redis) = (Nats::start(), tempfile::tempdir().unwrap(), Redis::start());
    let bench = Bench::start(&nats, &folder).await;
    publish(
        &bench.bus,
        &accepted("before", "1", |accepted| accepted.turn = false),
    )
    .await;
    let ctx = chassis::Context::new(bench.bus.clone(), bench.stop.clone());
    let url = redis.url();
    let router =
        tokio::spawn(async move { router::run(ctx, router::Config::default(), &url).await });
    let old = Inbound {
        expires_at_ms: 1,
        ..inbound("old", "1")
    };
    let subject = subject::inbound(
        bench.bus.partitions(),
        Priority::Normal,
        "telegram",
        "telegram:dm:1",
    );
    bench.bus.publish(&subject, "old", &old).await.unwrap();
    let walk = bench.ends("old", WalkEnd::Dead).await;
    let dead = walk.steps.iter().find(|step| step.name == "dead").unwrap();
    assert_eq!(dead.detail, "expired");
    bench.told("old-dead").await;
    let told = bench.told.lock().await.pop().unwrap();
    let Some(Action::Text(Text { markdown, .. })) = told.action else {
        panic!("a text")
    };
    assert!(markdown.contains("waited too long"), "{markdown}");
    bench.stop().await;
    router.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_turn_that_waited_past_its_deadline_is_answered_all_the_same() {
    let (nats, folder) = (Nats::start(), tempfile::tempdir().unwrap());
    let bench = Bench::start(&nats, &folder).await;
    let deadline_ms = now_ms() + 1000;
    bench
        .ask(&Turn {
            deadline_ms,
            text: "hi".into(),
            ..turn("late", "1")
        })
        .await;
    eventually("the deadline to pass", || async {
        (now_ms() > deadline_ms).then_some(())
    })
    .await;
    let ctx = chassis::Context::new(bench.bus.clone(), bench.stop.clone());
    let bridge = tokio::spawn(agent_bridge::run(ctx, agent_bridge::Config::default()));
    assert_eq!(bench.told("late-0").await, ["late-0"]);
    let walk = bench.ends("late", WalkEnd::Reply).await;
    assert!(names(&walk).contains(&"answered"), "{walk:?}");
    bench.stop().await;
    bridge.await.unwrap().unwrap();
}
