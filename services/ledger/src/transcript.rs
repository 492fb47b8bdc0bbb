//! What an event adds to a transcript: a pure function from event to line.

use proto::v1::{
    Aborted, Accepted, Answered, Attachment, ConversationKind, Event, Failed, Inbound, Injected,
    Line, Part, event::What, inbound::Body,
};

/// The line that `event` adds to its session; `None` where it adds nothing to read.
///
/// An aborted answer stays the assistant's words, marked by its stop reason: what a model wrote must never come back to
/// it as the system's.
pub(crate) fn line(event: &Event) -> Option<Line> {
    let line = match event.what.as_ref()? {
        What::Accepted(accepted) => user(accepted)?,
        What::Answered(answered) => assistant(answered),
        What::Aborted(aborted) => cut_off(aborted),
        What::Failed(failed) => failure(failed),
        What::Injected(injected) => injection(injected),
        What::Reset(_) => system("The session began anew.", "reset"),
        What::Refused(_)
        | What::Sent(_)
        | What::Unsure(_)
        | What::Dead(_)
        | What::Delivered(_)
        | What::Removed(_)
        | What::Compacted(_) => return None,
    };
    Some(Line {
        at_ms: event.at_ms,
        turn_id: event.turn_id.clone(),
        ..line
    })
}

/// The id of the session that `event` begins or goes on with; empty where it says none.
pub(crate) fn session_id(event: &Event) -> &str {
    match &event.what {
        Some(What::Accepted(accepted)) => &accepted.session_id,
        Some(What::Reset(reset)) => &reset.session_id,
        _ => "",
    }
}

/// What people call the conversation of `event`: the group's title, or the person's name; empty where it says none.
pub(crate) fn title(event: &Event) -> &str {
    let Some(What::Accepted(Accepted {
        inbound: Some(inbound),
        ..
    })) = &event.what
    else {
        return "";
    };
    let address = inbound.address.as_ref();
    let direct = address.is_some_and(|address| address.kind() == ConversationKind::Direct);
    match (address, &inbound.sender) {
        // The gateway's own page is everybody's, and its sender is a program.
        (Some(address), _) if address.platform == "webchat" => "",
        (Some(address), _) if !address.title.is_empty() => &address.title,
        (_, Some(sender)) if direct && !sender.display_name.is_empty() => &sender.display_name,
        (_, Some(sender)) if direct => &sender.username,
        _ => "",
    }
}

fn user(accepted: &Accepted) -> Option<Line> {
    let inbound = accepted.inbound.as_ref();
    let attachments = inbound.map(attachments).unwrap_or_default();
    if accepted.text.is_empty() && attachments.is_empty() {
        return None;
    }
    let sender = inbound.map(sender).unwrap_or_default();
    Some(Line {
        role: "user".into(),
        text: accepted.text.clone(),
        attachments,
        sender,
        ..Line::default()
    })
}

/// Who wrote, where more than one person could have.
fn sender(inbound: &Inbound) -> String {
    let direct = inbound
        .address
        .as_ref()
        .is_none_or(|address| address.kind() == ConversationKind::Direct);
    match &inbound.sender {
        Some(sender) if !direct && !sender.display_name.is_empty() => sender.display_name.clone(),
        Some(sender) if !direct => sender.username.clone(),
        _ => String::new(),
    }
}

fn attachments(inbound: &Inbound) -> Vec<Attachment> {
    let parts: &[Part] = match &inbound.body {
        Some(Body::Said(said)) => &said.parts,
        Some(Body::Edited(edited)) => edited.now.as_ref().map_or(&[], |said| &said.parts),
        _ => &[],
    };
    parts
        .iter()
        .filter_map(|part| part.attachment.clone())
        .collect()
}

fn assistant(answered: &Answered) -> Line {
    Line {
        role: "assistant".into(),
        text: answered.text.clone(),
        provider: answered.provider.clone(),
        model: answered.model.clone(),
        input_tokens: answered.input_tokens,
        output_tokens: answered.output_tokens,
        cost_micro_usd: answered.cost_micro_usd,
        stop_reason: answered.stop_reason.clone(),
        ..Line::default()
    }
}

fn cut_off(aborted: &Aborted) -> Line {
    match aborted.partial_text.as_str() {
        "" => system("The answer was stopped.", "aborted"),
        text => Line {
            role: "assistant".into(),
            text: text.into(),
            stop_reason: "aborted".into(),
            ..Line::default()
        },
    }
}

/// What an operator says in the agent's name; the agent reads it as its own.
fn injection(injected: &Injected) -> Line {
    Line {
        role: "assistant".into(),
        text: injected.text.clone(),
        provider: "gateway".into(),
        model: "injected".into(),
        stop_reason: "injected".into(),
        ..Line::default()
    }
}

fn failure(failed: &Failed) -> Line {
    let (provider, model) = (failed.provider.clone(), failed.model.clone());
    Line {
        provider,
        model,
        ..system(&failed.message, &failed.kind)
    }
}

fn system(text: &str, stop_reason: &str) -> Line {
    Line {
        role: "system".into(),
        text: text.into(),
        stop_reason: stop_reason.into(),
        ..Line::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::{Address, Refused, Reset, Said, Sender};

    fn event(what: What) -> Event {
        Event {
            id: "e".into(),
            at_ms: 7,
            turn_id: "t".into(),
            what: Some(what),
            ..Event::default()
        }
    }

    fn accepted(text: &str, kind: ConversationKind, attachments: Vec<Attachment>) -> What {
        let parts = attachments
            .into_iter()
            .map(|file| Part {
                attachment: Some(file),
                ..Part::default()
            })
            .collect();
        let inbound = Inbound {
            address: Some(Address {
                kind: kind.into(),
                ..Address::default()
            }),
            sender: Some(Sender {
                display_name: "Ann".into(),
                ..Sender::default()
            }),
            body: Some(Body::Said(Said {
                parts,
                ..Said::default()
            })),
            ..Inbound::default()
        };
        What::Accepted(Accepted {
            inbound: Some(inbound),
            text: text.into(),
            session_id: "s1".into(),
            ..Accepted::default()
        })
    }

    #[test]
    fn what_a_person_said_is_a_user_line_that_names_them_in_a_group() {
        let group = line(&event(accepted("hi", ConversationKind::Group, vec![]))).unwrap();
        assert_eq!(
            (group.role.as_str(), group.sender.as_str(), group.at_ms),
            ("user", "Ann", 7)
        );
        assert_eq!(group.turn_id, "t");
        let direct = line(&event(accepted("hi", ConversationKind::Direct, vec![]))).unwrap();
        assert_eq!(direct.sender, "");
    }

    #[test]
    fn a_picture_without_words_is_a_line_and_nothing_at_all_is_none() {
        let picture = accepted("", ConversationKind::Direct, vec![Attachment::default()]);
        assert_eq!(line(&event(picture)).unwrap().attachments.len(), 1);
        assert_eq!(
            line(&event(accepted("", ConversationKind::Direct, vec![]))),
            None
        );
        assert_eq!(line(&event(What::Refused(Refused::default()))), None);
    }

    #[test]
    fn a_stopped_answer_stays_the_assistants() {
        let aborted = Aborted {
            partial_text: "So far".into(),
            why: "stop".into(),
            ..Aborted::default()
        };
        let line = line(&event(What::Aborted(aborted))).unwrap();
        assert_eq!(
            (line.role.as_str(), line.stop_reason.as_str()),
            ("assistant", "aborted")
        );
    }

    #[test]
    fn an_injected_line_is_the_assistants() {
        let injected = Injected {
            text: "Done.".into(),
            ..Injected::default()
        };
        let line = line(&event(What::Injected(injected))).unwrap();
        assert_eq!(
            (line.role.as_str(), line.text.as_str()),
            ("assistant", "Done.")
        );
    }

    #[test]
    fn a_failure_and_a_reset_are_the_systems() {
        let failed = Failed {
            message: "Try later.".into(),
            kind: "timeout".into(),
            ..Failed::default()
        };
        let said = line(&event(What::Failed(failed))).unwrap();
        assert_eq!(
            (said.role.as_str(), said.stop_reason.as_str()),
            ("system", "timeout")
        );
        let reset = event(What::Reset(Reset {
            session_id: "s2".into(),
        }));
        assert_eq!(
            (line(&reset).unwrap().role.as_str(), session_id(&reset)),
            ("system", "s2")
        );
    }
}
