//! From the events of one message to the steps it took: a pure function, and never a word of what was said.

use proto::{
    id,
    v1::{
        Accepted, Address, Answered, Dead, Delivered, Event, Failed, Sent, Step, Unsure, Walk,
        WalkEnd, event::What,
    },
};

use crate::mark::{self, DEAD, ENDED, OWED, SETTLED};

/// The way that `events`, all of one message and in the order of the stream, tell of.
pub(crate) fn walk(events: &[Event]) -> Walk {
    let first = events.first();
    let mut walk = Walk {
        turn_id: first.map(|event| event.turn_id.clone()).unwrap_or_default(),
        from: events.iter().find_map(from).cloned(),
        ..Walk::default()
    };
    let said = |of: fn(&Event) -> &String| {
        let found = events.iter().map(of).find(|text| !text.is_empty());
        found.cloned().unwrap_or_default()
    };
    walk.agent = said(|event| &event.agent);
    walk.session_key = said(|event| &event.session_key);
    walk.steps = events.iter().flat_map(steps).collect();
    // Clocks of platforms tell whole seconds, and steps of one event come in their own order.
    walk.steps.sort_by_key(|step| step.at_ms);
    walk.set_end(end(events));
    walk
}

/// The next piece of the answer that is to be sent, as outbound and number; `None` where nothing is owed.
pub(crate) fn owed(events: &[Event]) -> Option<(String, u32)> {
    let flags = events.iter().filter_map(mark::mark);
    let flags = flags.fold(0, |flags, mark| flags | mark.flags);
    let turn_id = &events.first()?.turn_id;
    let settled = events.iter().filter(|event| match &event.what {
        Some(What::Sent(sent)) => mark::is_answer(event, &sent.outbound_id),
        Some(What::Unsure(unsure)) => mark::is_answer(event, &unsure.outbound_id),
        _ => false,
    });
    let next = u32::try_from(settled.count()).unwrap_or(u32::MAX);
    (flags & (OWED | SETTLED | DEAD) == OWED).then(|| (id::of_outbound(turn_id, 0), next))
}

fn from(event: &Event) -> Option<&Address> {
    match event.what.as_ref()? {
        What::Accepted(accepted) => accepted.inbound.as_ref()?.address.as_ref(),
        What::Refused(refused) => refused.address.as_ref(),
        _ => None,
    }
}

fn end(events: &[Event]) -> WalkEnd {
    let flags = events.iter().filter_map(mark::mark);
    let flags = flags.fold(0, |flags, mark| flags | mark.flags);
    let any = |is: fn(&What) -> bool| {
        events
            .iter()
            .filter_map(|event| event.what.as_ref())
            .any(is)
    };
    let unsure = any(|what| matches!(what, What::Unsure(_)));
    let asked = any(|what| matches!(what, What::Accepted(_) | What::Refused(_)));
    // What an operator sends is asked by nobody, and ends as it was sent.
    let sent_at_all =
        !asked && any(|what| matches!(what, What::Sent(sent) if !id::is_notice(&sent.outbound_id)));
    if flags & SETTLED != 0 || sent_at_all {
        // A dead letter that was replayed ends as its replay did.
        return if unsure {
            WalkEnd::Unsure
        } else {
            WalkEnd::Reply
        };
    }
    if flags & DEAD != 0 {
        return WalkEnd::Dead;
    }
    if any(|what| matches!(what, What::Refused(_) | What::Aborted(_))) {
        return WalkEnd::Silence;
    }
    match flags & (ENDED | OWED) {
        // Nobody waits on a platform for it: the event is the answer.
        ENDED => WalkEnd::Reply,
        _ if unsure && !asked => WalkEnd::Unsure,
        _ => WalkEnd::None,
    }
}

fn steps(event: &Event) -> Vec<Step> {
    let step = |name: &str, detail: String| Step {
        name: name.into(),
        at_ms: event.at_ms,
        detail,
        ..Step::default()
    };
    let since = |started_at_ms, last| vec![earlier("started", started_at_ms), last];
    let mut steps = match &event.what {
        Some(What::Accepted(accepted)) => accepted_steps(event, accepted),
        Some(What::Refused(refused)) => vec![step("refused", refused.reason.clone())],
        Some(What::Answered(answered)) => {
            since(answered.started_at_ms, step("answered", by_whom(answered)))
        }
        Some(What::Failed(failed)) => {
            since(failed.started_at_ms, step("failed", why_failed(failed)))
        }
        Some(What::Aborted(aborted)) => since(
            aborted.started_at_ms,
            step("aborted", format!("by {}", aborted.why)),
        ),
        Some(What::Sent(sent)) => sent_steps(step("sent", String::new()), sent),
        Some(What::Unsure(unsure)) => vec![unsure_step(step("unsure", String::new()), unsure)],
        Some(What::Dead(dead)) => vec![dead_step(step("dead", String::new()), dead)],
        Some(What::Delivered(delivered)) => vec![report(step("", String::new()), delivered)],
        Some(What::Reset(_) | What::Removed(_) | What::Compacted(_) | What::Injected(_)) | None => {
            Vec::new()
        }
    };
    steps.retain(|step| step.at_ms > 0);
    steps
}

fn earlier(name: &str, at_ms: i64) -> Step {
    Step {
        name: name.into(),
        at_ms,
        ..Step::default()
    }
}

fn accepted_steps(event: &Event, accepted: &Accepted) -> Vec<Step> {
    let times = accepted
        .inbound
        .as_ref()
        .map(|inbound| (inbound.occurred_at_ms, inbound.received_at_ms));
    let (written_ms, received_ms) = times.unwrap_or_default();
    let to = match accepted.turn {
        true => format!("to the agent {}", event.agent),
        false => "answered by the gateway itself".into(),
    };
    let routed = Step {
        detail: to,
        ..earlier("routed", event.at_ms)
    };
    vec![
        earlier("written", written_ms),
        earlier("received", received_ms),
        routed,
    ]
}

fn by_whom(answered: &Answered) -> String {
    let Answered {
        provider,
        model,
        input_tokens,
        output_tokens,
        ..
    } = answered;
    match model.as_str() {
        "" => provider.clone(),
        _ => format!("{provider} {model}, {input_tokens} + {output_tokens} tokens"),
    }
}

fn why_failed(failed: &Failed) -> String {
    match failed.http_status {
        0 => failed.kind.clone(),
        status => format!("{}, HTTP {status}", failed.kind),
    }
}

fn sent_steps(step: Step, sent: &Sent) -> Vec<Step> {
    let sent_step = Step {
        detail: piece(&sent.outbound_id, sent.chunk, sent.chunks),
        outbound_id: sent.outbound_id.clone(),
        chunk: sent.chunk,
        platform_message_id: sent.platform_message_id.clone(),
        ..step
    };
    let sending = Step {
        name: "sending".into(),
        at_ms: sent.sending_at_ms,
        platform_message_id: String::new(),
        ..sent_step.clone()
    };
    vec![sending, sent_step]
}

fn unsure_step(step: Step, unsure: &Unsure) -> Step {
    Step {
        detail: unsure.why.clone(),
        outbound_id: unsure.outbound_id.clone(),
        chunk: unsure.chunk,
        ..step
    }
}

fn dead_step(step: Step, dead: &Dead) -> Step {
    Step {
        detail: dead.reason.clone(),
        outbound_id: dead.outbound_id.clone(),
        ..step
    }
}

fn report(step: Step, delivered: &Delivered) -> Step {
    let (name, detail) = match delivered.status.as_str() {
        "read" => ("read", String::new()),
        "delivered" => ("delivered", String::new()),
        "failed" => ("failed", format!("by the platform: {}", delivered.why)),
        other => ("delivered", format!("the platform says {other}")),
    };
    Step {
        name: name.into(),
        detail,
        platform_message_id: delivered.platform_message_id.clone(),
        ..step
    }
}

/// Which piece of what.
fn piece(outbound_id: &str, chunk: u32, chunks: u32) -> String {
    let what = match outbound_id.rsplit_once('-') {
        Some((_, "dead")) => "the notice that it was given up",
        Some((_, "slow")) => "the notice that it waits",
        _ => "",
    };
    match (chunks, what) {
        (0 | 1, what) => what.into(),
        (_, "") => format!("{} of {chunks}", chunk + 1),
        (_, what) => format!("{what}, {} of {chunks}", chunk + 1),
    }
}

#[cfg(test)]
mod tests;
