//! What has come of an answer so far, whichever API it comes by.

use std::collections::VecDeque;

use crate::{
    backend::{End, Usage},
    failure::{Failure, Problem},
};

/// What has come of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Texts not handed on yet; none is empty.
    pub texts: VecDeque<String>,
    /// Whether there was any text.
    pub spoke: bool,
    /// Why it ended; set once the model has said its last word.
    pub stop_reason: Option<String>,
    /// What the provider counted.
    pub usage: Option<Usage>,
    /// Nothing more is to come.
    pub done: bool,
}

impl Progress {
    /// Adds a text; an empty one is none.
    pub(super) fn say(&mut self, text: String) {
        if !text.is_empty() {
            self.spoke = true;
            self.texts.push_back(text);
        }
    }

    /// The failure of an answer in which something came that we do not know.
    pub(super) fn garbage(&self) -> Failure {
        let place = if self.spoke {
            "in the middle"
        } else {
            "at the start"
        };
        Failure::new(Problem::Garbage, format!("unreadable answer, {place}"))
    }

    /// How the answer ended, now that nothing more comes.
    ///
    /// # Errors
    /// When it has no word in it, or breaks off before the model's last one.
    pub(super) fn end(&self) -> Result<End, Failure> {
        match &self.stop_reason {
            Some(reason) if reason == "content_filter" && !self.spoke => {
                Err(Failure::new(Problem::Filtered, "content_filter"))
            }
            _ if !self.spoke && (self.done || self.stop_reason.is_some()) => {
                Err(Failure::new(Problem::Empty, "no text"))
            }
            None if !self.spoke => Err(Failure::new(Problem::Garbage, "nothing that is an answer")),
            None if !self.done => Err(Failure::new(Problem::Unavailable, "answer cut off")),
            reason => Ok(End {
                stop_reason: reason.clone().unwrap_or_else(|| "stop".into()),
                usage: self.usage,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(spoke: bool, stop_reason: Option<&str>, done: bool) -> Result<String, Problem> {
        let progress = Progress {
            spoke,
            stop_reason: stop_reason.map(Into::into),
            done,
            ..Progress::default()
        };
        progress
            .end()
            .map(|end| end.stop_reason)
            .map_err(|failure| failure.problem)
    }

    #[test]
    fn an_answer_needs_words_and_an_end() {
        assert_eq!(ended(true, Some("length"), false), Ok("length".into()));
        assert_eq!(ended(true, None, true), Ok("stop".into()));
        assert_eq!(ended(true, None, false), Err(Problem::Unavailable));
        assert_eq!(ended(false, Some("stop"), true), Err(Problem::Empty));
        assert_eq!(ended(false, None, false), Err(Problem::Garbage));
        assert_eq!(
            ended(false, Some("content_filter"), true),
            Err(Problem::Filtered)
        );
    }
}
