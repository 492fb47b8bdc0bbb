//! Who may speak: one decision for every kind of event, from the event and the settings alone.

use proto::v1::{ConversationKind, Inbound, Trust, inbound::Body};

use crate::config::{Access, Direct, Group};

/// What is to become of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is let in.
    Admit(Trust),
    /// The person is unknown and may ask to be let in.
    Pair,
    /// It is not answered, for this stated reason.
    Silence(&'static str),
}

/// Decides whether an event is let in. `paired`: the operator approved this sender.
#[must_use]
pub fn decide(access: &Access, inbound: &Inbound, paired: bool) -> Verdict {
    let (Some(address), Some(sender)) = (&inbound.address, &inbound.sender) else {
        return Verdict::Silence("it does not say where it comes from");
    };
    if address.platform == "webchat" {
        return Verdict::Admit(Trust::Owner);
    }
    if sender.is_self {
        return Verdict::Silence("our own message");
    }
    if sender.is_bot {
        return Verdict::Silence("another bot's message");
    }
    if sender.id.is_empty() {
        return Verdict::Silence("it does not say whom it is from");
    }
    let known = paired || access.allow_from.contains(&sender.id);
    match address.kind() {
        ConversationKind::Direct => direct(access, known, asks(inbound)),
        ConversationKind::Group | ConversationKind::Channel => {
            group(access, &address.conversation, known, addressed(inbound))
        }
        ConversationKind::Unspecified => Verdict::Silence("an unknown kind of conversation"),
    }
}

fn direct(access: &Access, known: bool, asks: bool) -> Verdict {
    match access.direct {
        Direct::Disabled => Verdict::Silence("direct messages are disabled"),
        _ if known => Verdict::Admit(Trust::Paired),
        Direct::Open => Verdict::Admit(Trust::External),
        Direct::Allowlist => Verdict::Silence("the sender is not in the allowlist"),
        Direct::Pairing if asks => Verdict::Pair,
        Direct::Pairing => Verdict::Silence("the sender is not paired"),
    }
}

fn group(access: &Access, conversation: &str, known: bool, addressed: bool) -> Verdict {
    let listed = access.groups.iter().any(|id| id == conversation);
    match access.group {
        Group::Disabled => Verdict::Silence("groups are disabled"),
        Group::Allowlist if !listed => Verdict::Silence("the group is not in the allowlist"),
        _ if access.require_mention && !addressed => {
            Verdict::Silence("the account is not mentioned")
        }
        _ if known => Verdict::Admit(Trust::Paired),
        _ => Verdict::Admit(Trust::Group),
    }
}

/// Whether somebody wrote, as opposed to reacting, joining or editing.
fn asks(inbound: &Inbound) -> bool {
    matches!(inbound.body, Some(Body::Said(_)))
}

/// Whether a group's event is meant for the account: a mention, a reply, a command, a button of ours.
fn addressed(inbound: &Inbound) -> bool {
    match &inbound.body {
        Some(Body::Said(said)) => {
            let command = |text: &str| proto::priority::command(text).is_some();
            said.mentions
                .as_ref()
                .is_some_and(|mentions| mentions.self_)
                || (!said.no_commands && !said.forwarded)
                    && said.parts.first().is_some_and(|part| command(&part.text))
        }
        Some(Body::Edited(edited)) => {
            let mentions = edited.now.as_ref().and_then(|now| now.mentions.as_ref());
            mentions.is_some_and(|mentions| mentions.self_)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::{Address, Mentions, Part, Reacted, Said, Sender};

    use super::*;

    fn event(kind: ConversationKind, body: Body) -> Inbound {
        let mut address = Address {
            platform: "telegram".into(),
            account: "main".into(),
            conversation: "-7".into(),
            ..Address::default()
        };
        address.set_kind(kind);
        let sender = Sender {
            id: "42".into(),
            username: "boss".into(),
            ..Sender::default()
        };
        Inbound {
            address: Some(address),
            sender: Some(sender),
            body: Some(body),
            ..Inbound::default()
        }
    }

    fn said(text: &str, mentioned: bool) -> Body {
        let mentions = Mentions {
            self_: mentioned,
            ..Mentions::default()
        };
        let parts = vec![Part {
            text: text.into(),
            ..Part::default()
        }];
        Body::Said(Said {
            parts,
            mentions: Some(mentions),
            ..Said::default()
        })
    }

    fn reaction() -> Body {
        Body::Reacted(Reacted::default())
    }

    #[test]
    fn every_policy_for_direct_messages_and_every_kind_of_event() {
        let silence = |verdict| matches!(verdict, Verdict::Silence(_));
        for policy in [
            Direct::Pairing,
            Direct::Allowlist,
            Direct::Open,
            Direct::Disabled,
        ] {
            let access = Access {
                direct: policy,
                ..Access::default()
            };
            let listed = Access {
                allow_from: vec!["42".into()],
                ..access.clone()
            };
            for body in [said("hi", false), reaction()] {
                let event = event(ConversationKind::Direct, body);
                let unknown = decide(&access, &event, false);
                match policy {
                    Direct::Pairing if asks(&event) => assert_eq!(unknown, Verdict::Pair),
                    Direct::Open => assert_eq!(unknown, Verdict::Admit(Trust::External)),
                    _ => assert!(silence(unknown), "{policy:?}"),
                }
                for known in [
                    decide(&access, &event, true),
                    decide(&listed, &event, false),
                ] {
                    match policy {
                        Direct::Disabled => assert!(silence(known)),
                        _ => assert_eq!(known, Verdict::Admit(Trust::Paired)),
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_in_the_allowlist_lets_nobody_in() {
        let access = Access {
            direct: Direct::Allowlist,
            allow_from: vec!["boss".into(), "@boss".into()],
            ..Access::default()
        };
        let event = event(ConversationKind::Direct, said("hi", false));
        assert!(matches!(
            decide(&access, &event, false),
            Verdict::Silence(_)
        ));
    }

    #[test]
    fn a_group_is_answered_when_listed_and_mentioned() {
        let listed = Access {
            groups: vec!["-7".into()],
            ..Access::default()
        };
        let mentioned = event(ConversationKind::Group, said("@bot hi", true));
        let talk = event(ConversationKind::Group, said("hi all", false));
        assert_eq!(
            decide(&listed, &mentioned, false),
            Verdict::Admit(Trust::Group)
        );
        assert_eq!(
            decide(&listed, &mentioned, true),
            Verdict::Admit(Trust::Paired)
        );
        assert!(matches!(decide(&listed, &talk, true), Verdict::Silence(_)));
        assert!(matches!(
            decide(&Access::default(), &mentioned, true),
            Verdict::Silence(_)
        ));
        let command = event(ConversationKind::Group, said("/status", false));
        assert_eq!(
            decide(&listed, &command, false),
            Verdict::Admit(Trust::Group)
        );
    }

    #[test]
    fn an_unknown_kind_of_conversation_and_other_bots_are_not_answered() {
        let open = Access {
            direct: Direct::Open,
            group: Group::Open,
            require_mention: false,
            ..Access::default()
        };
        let strange = event(ConversationKind::Unspecified, said("hi", true));
        assert!(matches!(decide(&open, &strange, true), Verdict::Silence(_)));
        let mut bot = event(ConversationKind::Group, said("hi", true));
        bot.sender.as_mut().unwrap().is_bot = true;
        assert!(matches!(decide(&open, &bot, true), Verdict::Silence(_)));
    }
}
