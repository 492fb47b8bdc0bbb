//! What is done for each kind of event.

use proto::v1::{Address, ConversationKind, Part, Pressed, Reacted, Said, Sender, Stopped};

use super::*;

fn inbound(kind: ConversationKind, body: Body) -> Inbound {
    let mut address = Address {
        platform: "telegram".into(),
        account: "main".into(),
        conversation: "7".into(),
        ..Address::default()
    };
    address.set_kind(kind);
    Inbound {
        id: "ab".into(),
        address: Some(address),
        sender: Some(Sender {
            id: "42".into(),
            display_name: "Ann".into(),
            ..Sender::default()
        }),
        body: Some(body),
        raw: b"{}".to_vec(),
        ..Inbound::default()
    }
}

fn said(text: &str) -> Body {
    let parts = vec![Part {
        text: text.into(),
        ..Part::default()
    }];
    Body::Said(Said {
        message_id: "5".into(),
        parts,
        ..Said::default()
    })
}

fn routed(inbound: &Inbound) -> Decision {
    let admitted = Admitted {
        inbound,
        key: "telegram:dm:42",
        session: Session::begin(1),
        now_ms: 2,
    };
    route(&Config::default(), admitted)
}

#[test]
fn a_message_becomes_a_turn_that_knows_where_to_answer() {
    let inbound = inbound(ConversationKind::Direct, said("hi"));
    let decision = routed(&inbound);
    let turn = decision.turn.unwrap();
    assert_eq!(
        (turn.id.as_str(), turn.text.as_str(), turn.agent.as_str()),
        ("ab", "hi", "main")
    );
    assert_eq!(turn.reply_to, inbound.address);
    assert!(turn.deliver && turn.reply_to_message.is_empty());
    assert_eq!(decision.session.unwrap().turns, 1);
    assert!(matches!(decision.events[0].what, Some(What::Accepted(_))));
}

#[test]
fn in_a_group_the_speaker_is_named_and_answered_to() {
    let turn = routed(&inbound(ConversationKind::Group, said("hi")))
        .turn
        .unwrap();
    assert_eq!(
        (turn.text.as_str(), turn.reply_to_message.as_str()),
        ("Ann: hi", "5")
    );
}

#[test]
fn a_stop_cancels_and_is_answered() {
    let decision = routed(&inbound(ConversationKind::Direct, said("/stop")));
    let cancel = decision.cancel.unwrap();
    assert_eq!((cancel.cancel.as_str(), cancel.id.as_str()), ("*", "ab"));
    assert!(decision.turn.is_none());
    assert_eq!(decision.outbound.len(), 1);
    let stopped = routed(&inbound(
        ConversationKind::Direct,
        Body::Stopped(Stopped::default()),
    ));
    assert!(stopped.cancel.is_some() && stopped.outbound.is_empty());
}

#[test]
fn a_pressed_button_is_answered_at_once_and_is_a_turn() {
    let pressed = Pressed {
        callback_id: "c".into(),
        data: "yes".into(),
        ..Pressed::default()
    };
    let decision = routed(&inbound(ConversationKind::Direct, Body::Pressed(pressed)));
    assert!(matches!(
        decision.outbound[0].action,
        Some(Action::AnswerCallback(_))
    ));
    assert_eq!(decision.turn.unwrap().text, "yes");
}

#[test]
fn everything_else_is_a_stated_silence() {
    let decision = routed(&inbound(
        ConversationKind::Direct,
        Body::Reacted(Reacted::default()),
    ));
    assert!(decision.turn.is_none() && decision.outbound.is_empty());
    let Some(What::Refused(refused)) = &decision.events[0].what else {
        panic!("silence is stated")
    };
    assert_eq!(refused.reason, "a reaction");
}

#[test]
fn a_forwarded_command_is_a_message() {
    let mut inbound = inbound(ConversationKind::Direct, said("/stop"));
    if let Some(Body::Said(said)) = &mut inbound.body {
        said.forwarded = true;
    }
    assert!(routed(&inbound).turn.is_some());
}

#[test]
fn the_page_reads_events_and_nothing_is_sent() {
    let mut inbound = inbound(ConversationKind::Direct, said("/help"));
    inbound.address.as_mut().unwrap().platform = "webchat".into();
    let decision = routed(&inbound);
    assert!(decision.outbound.is_empty());
    assert!(matches!(decision.events[1].what, Some(What::Answered(_))));
}

#[test]
fn what_waited_longer_than_it_lives_is_expired() {
    let (config, mut inbound) = (
        Config::default(),
        inbound(ConversationKind::Direct, said("hi")),
    );
    let day_ms = 24 * 60 * 60 * 1000;
    assert!(
        !expired(&config, &inbound, 5, 4 + day_ms) && expired(&config, &inbound, 5, 5 + day_ms)
    );
    inbound.expires_at_ms = 7;
    assert!(!expired(&config, &inbound, 5, 6) && expired(&config, &inbound, 5, 7));
}

#[test]
fn only_who_talks_with_us_alone_is_told_that_a_message_waits() {
    let slow_at_ms = |inbound: &Inbound| match routed(inbound).events.remove(0).what {
        Some(What::Accepted(accepted)) => accepted.slow_at_ms,
        other => panic!("{other:?}"),
    };
    let mut direct = inbound(ConversationKind::Direct, said("hi"));
    assert_eq!(slow_at_ms(&direct), 60_002, "counted from now on");
    direct.received_at_ms = 1;
    assert_eq!(slow_at_ms(&direct), 60_001, "counted from when it came");
    let group = inbound(ConversationKind::Group, said("hi"));
    let command = inbound(ConversationKind::Direct, said("/help"));
    assert_eq!((slow_at_ms(&group), slow_at_ms(&command)), (0, 0));
    if let Some(address) = &mut direct.address {
        address.platform = "webchat".into();
    }
    assert_eq!(slow_at_ms(&direct), 0, "a page sees for itself");
}

#[test]
fn a_delivery_report_is_told_and_not_answered() {
    let delivery = proto::v1::Delivery {
        message_id: "5".into(),
        status: "read".into(),
        ..proto::v1::Delivery::default()
    };
    let report = inbound(ConversationKind::Direct, Body::Delivery(delivery));
    let decision = delivered(&Config::default(), &report, "telegram:dm:42", 2).unwrap();
    assert!(decision.turn.is_none() && decision.outbound.is_empty());
    assert!(matches!(&decision.events[0].what, Some(What::Delivered(it)) if it.status == "read"));
    let said = inbound(ConversationKind::Direct, said("hi"));
    assert_eq!(delivered(&Config::default(), &said, "k", 2), None);
}
