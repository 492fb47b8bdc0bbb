//! From one outbound to the actions that do it, by pure functions.

use proto::v1::{ButtonRow, Outbound, outbound};

use crate::{Action, Capabilities, Rich, markdown};

/// The chunks of `outbound`, in order: always the same for the same outbound.
///
/// # Errors
/// When it can never be done; the sentence says why.
pub(crate) fn chunks(
    outbound: &Outbound,
    capabilities: &Capabilities,
) -> Result<Vec<Action>, String> {
    if let Some(why) = capabilities.missing(outbound) {
        return Err(why);
    }
    let actions = match outbound.action.clone() {
        None => Vec::new(),
        Some(outbound::Action::Text(text)) => texts(
            &text.markdown,
            text.buttons,
            text.reply_to,
            text.silent,
            capabilities,
        ),
        Some(outbound::Action::Media(media)) => {
            if media.files.is_empty() {
                return Err("a message of files without a file".into());
            }
            let caption = markdown::parse(&media.caption);
            let fits = capabilities.unit.length(&caption.text) <= capabilities.max_caption;
            let kind = media.kind();
            let reply_to = some(media.reply_to);
            let (caption, rest) = if fits {
                (caption, Rich::default())
            } else {
                (Rich::default(), caption)
            };
            let mut actions = vec![Action::Media {
                kind,
                files: media.files,
                caption,
                reply_to,
            }];
            actions.extend(pieces(&rest, capabilities).into_iter().map(text));
            actions
        }
        Some(outbound::Action::Edit(edit)) => {
            let mut actions = texts(
                &edit.markdown,
                edit.buttons,
                String::new(),
                false,
                capabilities,
            );
            if let Some(Action::Text { body, buttons, .. }) = actions.first().cloned() {
                actions[0] = Action::Edit {
                    message_id: edit.message_id,
                    body,
                    buttons,
                };
            }
            actions
        }
        Some(outbound::Action::Delete(delete)) => vec![Action::Delete {
            message_id: delete.message_id,
        }],
        Some(outbound::Action::React(react)) => {
            vec![Action::React {
                message_id: react.message_id,
                emoji: react.emoji,
            }]
        }
        Some(outbound::Action::Typing(_)) => vec![Action::Typing],
        Some(outbound::Action::AnswerCallback(answer)) => {
            vec![Action::AnswerCallback {
                callback_id: answer.callback_id,
                text: answer.text,
            }]
        }
        Some(outbound::Action::Location(place)) => {
            let location = place.location.ok_or("a place without coordinates")?;
            vec![Action::Location {
                location,
                reply_to: some(place.reply_to),
            }]
        }
    };
    if actions.is_empty() {
        Err("a message without a text".into())
    } else {
        Ok(actions)
    }
}

/// The pieces of a text that the platform takes.
pub(crate) fn pieces(rich: &Rich, capabilities: &Capabilities) -> Vec<Rich> {
    markdown::split(rich, capabilities.max_text, capabilities.unit)
}

/// The first piece answers a message, the last one has the buttons.
fn texts(
    markdown: &str,
    buttons: Vec<ButtonRow>,
    reply_to: String,
    silent: bool,
    capabilities: &Capabilities,
) -> Vec<Action> {
    let mut rich = markdown::parse(markdown);
    if !capabilities.buttons && !rich.is_empty() {
        spell_out(&mut rich, &buttons);
    }
    let mut actions: Vec<Action> = pieces(&rich, capabilities).into_iter().map(text).collect();
    for action in &mut actions {
        if let Action::Text { silent: quiet, .. } = action {
            *quiet = silent;
        }
    }
    if let Some(Action::Text {
        reply_to: first, ..
    }) = actions.first_mut()
    {
        *first = some(reply_to);
    }
    if let Some(Action::Text { buttons: last, .. }) =
        actions.last_mut().filter(|_| capabilities.buttons)
    {
        *last = buttons;
    }
    actions
}

/// Buttons as lines of text, for platforms that have none.
fn spell_out(rich: &mut Rich, buttons: &[ButtonRow]) {
    for (n, button) in buttons.iter().flat_map(|row| &row.buttons).enumerate() {
        rich.text.push_str(if n == 0 { "\n\n• " } else { "\n• " });
        rich.text.push_str(&button.label);
        if !button.url.is_empty() {
            rich.text.push_str(": ");
            rich.text.push_str(&button.url);
        }
    }
}

fn text(body: Rich) -> Action {
    Action::Text {
        body,
        reply_to: None,
        buttons: Vec::new(),
        silent: false,
    }
}

fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proto::v1::{Attachment, Button, Edit, Media, Text};

    use super::*;
    use crate::{Rate, RetryPolicy, Streaming, Unit, Via};

    fn able() -> Capabilities {
        Capabilities {
            platform: "test",
            max_text: 20,
            unit: Unit::Chars,
            max_caption: 5,
            edits: true,
            deletes: true,
            reactions: true,
            buttons: true,
            typing: true,
            media: true,
            locations: true,
            threads: true,
            streaming: Streaming::Off,
            min_edit_interval: Duration::ZERO,
            connection: Via::Events,
            retry: RetryPolicy::Fixed(Duration::ZERO),
            rate: Rate::default(),
            idempotent: false,
        }
    }

    fn outbound(action: outbound::Action) -> Outbound {
        Outbound {
            action: Some(action),
            ..Outbound::default()
        }
    }

    fn row(label: &str, url: &str) -> ButtonRow {
        ButtonRow {
            buttons: vec![Button {
                label: label.into(),
                url: url.into(),
                ..Button::default()
            }],
        }
    }

    #[test]
    fn a_long_text_answers_first_and_has_its_buttons_last() {
        let text = Text {
            markdown: "first words here\n\nsecond words".into(),
            reply_to: "7".into(),
            buttons: vec![row("Yes", "")],
            silent: true,
        };
        let chunks = chunks(&outbound(outbound::Action::Text(text)), &able()).unwrap();
        let [
            Action::Text {
                reply_to,
                buttons,
                silent: true,
                ..
            },
            Action::Text {
                reply_to: None,
                buttons: last,
                ..
            },
        ] = chunks.as_slice()
        else {
            panic!("{chunks:?}");
        };
        assert_eq!(
            (reply_to.as_deref(), buttons.len(), last.len()),
            (Some("7"), 0, 1)
        );
    }

    #[test]
    fn what_does_not_fit_a_caption_or_an_edit_follows_as_text() {
        let files = vec![Attachment::default()];
        let media = Media {
            files,
            caption: "too long for it".into(),
            ..Media::default()
        };
        let parts = chunks(&outbound(outbound::Action::Media(media)), &able()).unwrap();
        assert_eq!(
            parts.iter().map(Action::name).collect::<Vec<_>>(),
            ["media", "text"]
        );
        let edit = Edit {
            message_id: "7".into(),
            markdown: "first words here\n\nsecond words".into(),
            ..Edit::default()
        };
        let parts = chunks(&outbound(outbound::Action::Edit(edit)), &able()).unwrap();
        assert_eq!(
            parts.iter().map(Action::name).collect::<Vec<_>>(),
            ["edit", "text"]
        );
    }

    #[test]
    fn without_buttons_their_labels_are_read() {
        let text = Text {
            markdown: "Go?".into(),
            buttons: vec![row("Yes", ""), row("Site", "x.y")],
            ..Text::default()
        };
        let unable = Capabilities {
            buttons: false,
            max_text: 100,
            ..able()
        };
        let chunks = chunks(&outbound(outbound::Action::Text(text)), &unable).unwrap();
        let [Action::Text { body, buttons, .. }] = chunks.as_slice() else {
            panic!("{chunks:?}")
        };
        assert_eq!(
            (body.text.as_str(), buttons.len()),
            ("Go?\n\n• Yes\n• Site: x.y", 0)
        );
    }

    #[test]
    fn what_can_never_be_done_says_why() {
        let why = |outbound: &Outbound, able: &Capabilities| chunks(outbound, able).unwrap_err();
        assert!(why(&Outbound::default(), &able()).contains("unknown to this version"));
        let blank = outbound(outbound::Action::Text(Text {
            markdown: " \n".into(),
            ..Text::default()
        }));
        assert_eq!(why(&blank, &able()), "a message without a text");
        let edit = outbound(outbound::Action::Edit(Edit::default()));
        assert_eq!(
            why(
                &edit,
                &Capabilities {
                    edits: false,
                    ..able()
                }
            ),
            "test cannot edit messages"
        );
    }
}
