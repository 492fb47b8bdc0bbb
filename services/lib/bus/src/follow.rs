//! Following a stream from a known sequence on: for whoever keeps a projection of it.

use async_nats::jetstream;
use futures_util::{Stream, StreamExt, stream};
use prost::Message;

use crate::{
    Bus, Error, bundle,
    pull::{Begin, Reader},
};

/// One message of a stream.
#[derive(Clone, Debug)]
pub struct Record<M> {
    /// Its sequence.
    pub sequence: u64,
    /// Its subject.
    pub subject: String,
    /// When the stream stored it, Unix epoch.
    pub at_ms: i64,
    /// Messages of the stream that wait behind it.
    pub waiting: u64,
    /// Records of the same sequence that follow: until they are done with, the sequence is not.
    pub rest: usize,
    /// What it says; `None` if it is not of this type.
    pub message: Option<M>,
}

/// How a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamState {
    /// When it was made, Unix epoch; another time is another stream.
    pub created_ms: i64,
    /// Sequence of the oldest message.
    pub first: u64,
    /// Sequence of the newest message ever.
    pub last: u64,
    /// Messages in it.
    pub messages: u64,
    /// Their size.
    pub bytes: u64,
    /// When the oldest was stored, Unix epoch; 0 when empty.
    pub oldest_ms: i64,
}

impl Bus {
    /// Every message of `stream` after sequence `after`, in order, then new ones as they come, for ever.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened now; later losses heal by themselves.
    pub async fn follow<M: Message + Default + 'static>(
        &self,
        stream: &str,
        after: u64,
    ) -> Result<impl Stream<Item = Record<M>> + Send + Unpin + 'static, Error> {
        let mut reader = Reader::new(self, stream, "", Begin::After(after));
        reader.open().await?;
        let messages = stream::unfold(reader, |mut reader| async move {
            let records = records(&reader.next().await);
            Some((stream::iter(records), reader))
        });
        Ok(Box::pin(messages.flatten()))
    }

    /// Takes the messages under `subject` (wildcards allowed) that are older than the sequence `before` out of `stream`,
    /// for good.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: some may be left; call again.
    pub async fn erase(&self, stream: &str, subject: &str, before: u64) -> Result<(), Error> {
        let context = &self.inner.context;
        let stream = context
            .get_stream_no_info(stream)
            .await
            .map_err(Error::away)?;
        let purge = stream.purge().filter(subject).sequence(before);
        purge.await.map(drop).map_err(Error::away)
    }

    /// How `stream` stands now. Costs a round trip: not for a hot path.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn stream_state(&self, stream: &str) -> Result<StreamState, Error> {
        let context = &self.inner.context;
        let info = context
            .get_stream(stream)
            .await
            .map_err(Error::away)?
            .cached_info()
            .clone();
        let empty = info.state.messages == 0;
        Ok(StreamState {
            created_ms: milliseconds(info.created),
            first: info.state.first_sequence,
            last: info.state.last_sequence,
            messages: info.state.messages,
            bytes: info.state.bytes,
            oldest_ms: if empty {
                0
            } else {
                milliseconds(info.state.first_timestamp)
            },
        })
    }
}

/// What `message` holds, in order.
pub(crate) fn records<M: Message + Default>(message: &jetstream::Message) -> Vec<Record<M>> {
    let Ok(info) = message.info() else {
        return Vec::new();
    };
    let opened = bundle::open(message);
    let last = opened.len().saturating_sub(1);
    let records = opened.into_iter().enumerate();
    let records = records.map(|(n, (subject, payload))| Record {
        sequence: info.stream_sequence,
        subject,
        at_ms: milliseconds(info.published),
        waiting: info.pending,
        rest: last - n,
        message: M::decode(payload).ok(),
    });
    records.collect()
}

/// Unix epoch, in milliseconds.
pub(crate) fn milliseconds(at: time::OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}
