//! Whether the webhook is being reached, told from what Telegram says about it: pure.

use std::time::Duration;

use serde::Deserialize;

/// Longest time of polling before the webhook is tried again.
const MAX_RETRY: Duration = Duration::from_secs(3600);

/// What getWebhookInfo says, as far as it is of use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct WebhookInfo {
    /// Where Telegram calls; empty when there is no webhook.
    pub(crate) url: String,
    /// Updates that wait.
    pub(crate) pending_update_count: u64,
    /// Why the last failed call failed, however long ago.
    pub(crate) last_error_message: String,
}

/// What one look at the webhook shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Telegram reaches us, or has nothing to say.
    Reached,
    /// Updates wait and none came: perhaps it does not.
    Doubtful,
    /// Doubtful often enough.
    Unreached,
    /// Somebody set another webhook, or took ours away.
    Replaced,
}

/// Looks at the webhook again and again.
#[derive(Debug)]
pub(crate) struct Watch {
    url: String,
    failures: u32,
    doubts: u32,
    delivered: u64,
}

impl Watch {
    /// Watches the webhook at `url`; `failures` doubts in a row are enough.
    pub(crate) fn new(url: &str, failures: u32, delivered: u64) -> Self {
        Self {
            url: url.to_owned(),
            failures: failures.max(1),
            doubts: 0,
            delivered,
        }
    }

    /// Judges what Telegram says, given how many calls have been answered well so far.
    pub(crate) fn look(&mut self, info: &WebhookInfo, delivered: u64) -> Verdict {
        let came = delivered != self.delivered;
        self.delivered = delivered;
        if info.url != self.url {
            return Verdict::Replaced;
        }
        if came || info.pending_update_count == 0 {
            self.doubts = 0;
            return Verdict::Reached;
        }
        self.doubts += 1;
        if self.doubts >= self.failures {
            Verdict::Unreached
        } else {
            Verdict::Doubtful
        }
    }
}

/// How long to poll after the webhook has failed `times` in a row.
pub(crate) fn polling_time(first: Duration, times: u32) -> Duration {
    first
        .saturating_mul(2_u32.saturating_pow(times.saturating_sub(1)))
        .min(MAX_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(pending_update_count: u64) -> WebhookInfo {
        WebhookInfo {
            url: "https://a".into(),
            pending_update_count,
            ..WebhookInfo::default()
        }
    }

    #[test]
    fn only_doubts_in_a_row_are_a_failure() {
        let mut watch = Watch::new("https://a", 2, 0);
        assert_eq!(watch.look(&waiting(3), 0), Verdict::Doubtful);
        assert_eq!(watch.look(&waiting(3), 1), Verdict::Reached, "one came");
        assert_eq!(watch.look(&waiting(3), 1), Verdict::Doubtful);
        assert_eq!(watch.look(&waiting(0), 1), Verdict::Reached, "none waits");
        assert_eq!(watch.look(&waiting(1), 1), Verdict::Doubtful);
        assert_eq!(watch.look(&waiting(1), 1), Verdict::Unreached);
    }

    #[test]
    fn a_webhook_of_somebody_else_is_noticed() {
        let mut watch = Watch::new("https://b", 2, 0);
        assert_eq!(watch.look(&waiting(0), 0), Verdict::Replaced);
    }

    #[test]
    fn each_failure_doubles_the_polling() {
        let first = Duration::from_secs(300);
        assert_eq!(
            [1, 2, 3, 9].map(|times| polling_time(first, times).as_secs()),
            [300, 600, 1200, 3600]
        );
    }
}
