//! What is told but not stored: pieces of answers, and questions between services.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use prost::Message;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Bus, Error, bundle};

/// Questions answered at once by one service; more wait.
const ANSWERS_AT_ONCE: usize = 64;
/// Header of an answer that says why there is none.
const WHY_NOT: &str = "Openclaw-Error";

impl Bus {
    /// Tells whoever listens now; nobody may.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection is closed for good.
    pub async fn tell<M: Message>(&self, subject: &str, message: &M) -> Result<(), Error> {
        let payload = message.encode_to_vec().into();
        self.inner
            .client
            .publish(subject.to_owned(), payload)
            .await
            .map_err(Error::away)
    }

    /// Hears what is told on `subject` (wildcards allowed) from now on; the records of a bundle
    /// one by one. What is not of this type is left out.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn listen<M: Message + Default + 'static>(
        &self,
        subject: &str,
    ) -> Result<impl Stream<Item = (String, M)> + Send + Unpin + 'static, Error> {
        let heard = self
            .inner
            .client
            .subscribe(subject.to_owned())
            .await
            .map_err(Error::away)?;
        // From now on, not from whenever the connection writes next.
        self.inner.client.flush().await.map_err(Error::away)?;
        let opened = heard.flat_map(|message| stream::iter(bundle::open(&message)));
        let decoded = opened.filter_map(|(subject, payload)| async move {
            Some((subject, M::decode(payload).ok()?))
        });
        Ok(Box::pin(decoded))
    }

    /// Asks whoever answers `subject`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nobody answers within `patience`; [`Error::Refused`] with the answerer's reason.
    pub async fn ask<Q: Message, R: Message + Default>(
        &self,
        subject: &str,
        question: &Q,
        patience: Duration,
    ) -> Result<R, Error> {
        let payload = question.encode_to_vec().into();
        let request = async_nats::Request::new()
            .payload(payload)
            .timeout(Some(patience));
        let sent = self
            .inner
            .client
            .send_request(subject.to_owned(), request)
            .await;
        let answer = sent.map_err(Error::away)?;
        if let Some(why) = answer
            .headers
            .as_ref()
            .and_then(|headers| headers.get(WHY_NOT))
        {
            return Err(Error::Refused(why.to_string()));
        }
        R::decode(answer.payload)
            .map_err(|_| Error::Invalid(format!("strange answer on {subject}")))
    }

    /// Answers questions on `subject` until `stop`, sharing them with every other process that does.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection is closed for good.
    pub async fn answer<Q, R, F, Fut>(
        &self,
        subject: &str,
        stop: &CancellationToken,
        reply: F,
    ) -> Result<(), Error>
    where
        Q: Message + Default,
        R: Message,
        F: Fn(Q) -> Fut,
        Fut: Future<Output = Result<R, String>> + Send + 'static,
    {
        let client = &self.inner.client;
        let queue = subject.to_owned();
        let mut questions = client
            .queue_subscribe(subject.to_owned(), queue)
            .await
            .map_err(Error::away)?;
        let (room, tasks) = (
            Arc::new(Semaphore::new(ANSWERS_AT_ONCE)),
            TaskTracker::new(),
        );
        loop {
            let question = tokio::select! {
                () = stop.cancelled() => break,
                question = questions.next() => question,
            };
            let Some(question) = question else {
                return Err(Error::away("subscription ended"));
            };
            let (Some(to), Ok(asked)) = (question.reply, Q::decode(question.payload)) else {
                continue;
            };
            let Ok(permit) = room.clone().acquire_owned().await else {
                break;
            };
            let (client, answer) = (client.clone(), reply(asked));
            tasks.spawn(async move {
                let sent = match answer.await {
                    Ok(answer) => client.publish(to, answer.encode_to_vec().into()).await,
                    Err(why) => {
                        let mut headers = async_nats::HeaderMap::new();
                        headers.insert(WHY_NOT, why.replace(['\r', '\n'], " ").as_str());
                        client.publish_with_headers(to, headers, Bytes::new()).await
                    }
                };
                if let Err(error) = sent {
                    tracing::debug!(error = &error as &dyn std::error::Error, "answer not sent");
                }
                drop(permit);
            });
        }
        tasks.close();
        tasks.wait().await;
        Ok(())
    }
}
