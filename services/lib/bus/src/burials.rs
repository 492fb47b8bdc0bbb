//! Reading what was given up, and looking for what still waits.

use async_nats::jetstream::{self, stream::RawMessageErrorKind};
use futures_util::{Stream, stream};

use crate::{
    Bus, Error, dead,
    follow::milliseconds,
    pull::{Begin, Reader},
};

/// The stream of what was given up.
const DEAD: &str = "DEAD";

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Burial {
    /// Its sequence in `DEAD`.
    pub sequence: u64,
    /// The subject it was on its way under.
    pub subject: String,
    /// When it was given up, Unix epoch.
    pub at_ms: i64,
    /// Why.
    pub reason: String,
    /// The message as it was.
    pub payload: bytes::Bytes,
}

impl Bus {
    /// Every dead letter after sequence `after`, in order, then new ones as they come, for ever.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it cannot be opened now; later losses heal by themselves.
    pub async fn follow_dead(
        &self,
        after: u64,
    ) -> Result<impl Stream<Item = Burial> + Send + Unpin + 'static, Error> {
        let mut reader = Reader::new(self, DEAD, "", Begin::After(after));
        reader.open().await?;
        let burials = stream::unfold(reader, |mut reader| async move {
            loop {
                if let Some(burial) = burial(&reader.next().await) {
                    return Some((burial, reader));
                }
            }
        });
        Ok(Box::pin(burials))
    }

    /// When the oldest message under `subject`, which may hold wildcards, was stored, Unix epoch; `None` if none waits.
    ///
    /// Costs a round trip: not for a hot path.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn waits_since(&self, subject: &str) -> Result<Option<i64>, Error> {
        let context = &self.inner.context;
        let stream = context.get_stream_no_info(dead::stream_of(subject)).await;
        let stream = stream.map_err(Error::away)?;
        match stream.get_next_raw_message_by_subject(subject).await {
            Ok(message) => Ok(Some(milliseconds(message.time))),
            Err(error) if matches!(error.kind(), RawMessageErrorKind::NoMessageFound) => Ok(None),
            Err(error) => Err(Error::away(error)),
        }
    }
}

fn burial(message: &jetstream::Message) -> Option<Burial> {
    let info = message.info().ok()?;
    let headers = message.headers.as_ref();
    let reason = headers.and_then(|headers| headers.get(dead::REASON));
    let subject = message.subject.as_str();
    Some(Burial {
        sequence: info.stream_sequence,
        subject: subject.strip_prefix("dead.").unwrap_or(subject).into(),
        at_ms: milliseconds(info.published),
        reason: reason
            .map(|reason| reason.as_str().into())
            .unwrap_or_default(),
        payload: message.payload.clone(),
    })
}
