//! What a platform can be asked to do.

use proto::v1::{Attachment, ButtonRow, Location, PartKind};

use crate::Rich;

/// One thing to do on a platform: one request, one message at most.
///
/// A new variant breaks the build of each adapter until it is handled; until then its capability is off and the runner
/// never asks for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A new message.
    Text {
        /// Not empty, and within [`Capabilities::max_text`](crate::Capabilities::max_text).
        body: Rich,
        /// Message that it answers.
        reply_to: Option<String>,
        /// Empty where the platform has none.
        buttons: Vec<ButtonRow>,
        /// Without a sound for the reader.
        silent: bool,
    },
    /// A new message of one or more files.
    Media {
        /// What all of `files` are.
        kind: PartKind,
        /// At least one; each lies in the media store or has a `url`.
        files: Vec<Attachment>,
        /// Within [`Capabilities::max_caption`](crate::Capabilities::max_caption); may be empty.
        caption: Rich,
        /// Message that it answers.
        reply_to: Option<String>,
    },
    /// A new text for a message of ours. To edit it to what it already says is a success.
    Edit {
        /// The message.
        message_id: String,
        /// As in [`Action::Text`].
        body: Rich,
        /// As in [`Action::Text`].
        buttons: Vec<ButtonRow>,
    },
    /// Removes a message. One that is already gone is a success.
    Delete {
        /// The message.
        message_id: String,
    },
    /// Sets our reaction to a message.
    React {
        /// The message.
        message_id: String,
        /// Empty removes the reaction.
        emoji: String,
    },
    /// Shows for a few seconds that an answer is being written.
    Typing,
    /// Ends the spinner of a pressed button.
    AnswerCallback {
        /// From `Pressed.callback_id`. One that is too old is a success.
        callback_id: String,
        /// Shown for a moment; may be empty.
        text: String,
    },
    /// A new message with a place.
    Location {
        /// The place.
        location: Location,
        /// Message that it answers.
        reply_to: Option<String>,
    },
}

impl Action {
    /// Whether doing it twice looks the same to people as doing it once.
    #[must_use]
    pub fn repeatable(&self) -> bool {
        match self {
            Self::Text { .. } | Self::Media { .. } | Self::Location { .. } => false,
            Self::Edit { .. }
            | Self::Delete { .. }
            | Self::React { .. }
            | Self::Typing
            | Self::AnswerCallback { .. } => true,
        }
    }

    /// Whether people see a new or another message by it: what the limits of conversations count.
    #[must_use]
    pub fn is_message(&self) -> bool {
        matches!(
            self,
            Self::Text { .. } | Self::Media { .. } | Self::Edit { .. } | Self::Location { .. }
        )
    }

    /// Name for logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Media { .. } => "media",
            Self::Edit { .. } => "edit",
            Self::Delete { .. } => "delete",
            Self::React { .. } => "react",
            Self::Typing => "typing",
            Self::AnswerCallback { .. } => "answer_callback",
            Self::Location { .. } => "location",
        }
    }
}
