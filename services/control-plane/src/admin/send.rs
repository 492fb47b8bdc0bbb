//! Messages that an operator sends, now or later, and what is still to come of them.

use bus::{Bucket, Bus, Schedule};
use chassis::clock::now_ms;
use prost::Message as _;
use proto::{
    subject,
    v1::{
        Outbound, Priority, ScheduleChoice, Scheduled, SchedulesReply, SchedulesRequest, SendReply,
        SendRequest, Text, messages_server::Messages, outbound::Action,
        schedules_server::Schedules,
    },
};
use tonic::{Code as Grpc, Request, Response, Status};

use super::{
    code::{Code, failed, wrong},
    connections, content,
};

/// Largest text, in bytes: with its envelope it fits the bus.
const MAX_TEXT_BYTES: usize = 5 * 1024 * 1024;
/// Longest idempotency key.
const MAX_KEY_CHARS: usize = 100;
/// What the ids of operators' messages begin with.
const PREFIX: &str = "send-";
/// Schedules of an answer where the request names no number, and the most there are.
const LISTED: (u32, u32) = (100, 1000);

/// The way out, for operators.
#[derive(Clone)]
pub(crate) struct Sending {
    bus: Bus,
}

impl Sending {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    async fn store(&self, request: SendRequest) -> Result<SendReply, Status> {
        let now_ms = now_ms();
        let at_ms = request.at_ms;
        let outbound = outbound(request, now_ms)?;
        let to = outbound.to.clone().unwrap_or_default();
        connections::known(&self.bus, &to.platform, &to.account).await?;
        let (subject, id) = (
            subject::outbound(&to, Priority::Normal),
            outbound.id.clone(),
        );
        let duplicate = self.once(&subject, &outbound, at_ms, now_ms).await;
        let duplicate = duplicate.map_err(failed)?;
        Ok(SendReply { id, duplicate })
    }

    /// Stores `outbound` unless one of its id is on its way; one that is not due yet is moved. True when it is.
    async fn once(
        &self,
        subject: &str,
        outbound: &Outbound,
        at_ms: i64,
        now_ms: i64,
    ) -> Result<bool, bus::Error> {
        let (sends, id) = (self.bus.bucket(Bucket::Sends), &outbound.id);
        let before = sends.get::<Scheduled>(id).await?;
        let before_ms = before.map(|(before, _)| before.at_ms);
        if before_ms.is_some_and(|before_ms| before_ms <= now_ms) {
            return Ok(true);
        }
        let stored = if at_ms > now_ms {
            self.bus.publish_at(subject, id, outbound, at_ms).await?
        } else {
            // What was to go later goes now, unless it has just gone.
            if before_ms.is_some() && !self.bus.cancel(id).await? {
                return Ok(true);
            }
            self.bus.publish(subject, id, outbound).await?
        };
        let record = Scheduled {
            id: id.clone(),
            at_ms: at_ms.max(now_ms),
            ..Scheduled::default()
        };
        // After the message: a key without its message would keep it from ever being sent.
        sends.put(id, &record).await?;
        Ok(stored.duplicate)
    }
}

/// The outbound that `request` asks for.
fn outbound(request: SendRequest, now_ms: i64) -> Result<Outbound, Status> {
    let key = request.idempotency_key;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '=');
    if key.is_empty() || key.len() > MAX_KEY_CHARS || !key.chars().all(good) {
        return Err(wrong(format!(
            "idempotency_key has 1 to {MAX_KEY_CHARS} letters, digits, \"-\", \"_\" or \"=\"; a UUID will do"
        )));
    }
    let to = request.to.unwrap_or_default();
    if to.platform.is_empty() || to.account.is_empty() || to.conversation.is_empty() {
        return Err(wrong(
            "say where to: platform, account and conversation, such as telegram, main and 123456789",
        ));
    }
    if request.text.trim().is_empty() {
        let text = "a message needs a text; say what is to be sent";
        return Err(Code::Transform.refuse(Grpc::InvalidArgument, text));
    }
    if request.text.len() > MAX_TEXT_BYTES {
        let text = format!(
            "a text of {} bytes is too large; send {MAX_TEXT_BYTES} bytes or less at once",
            request.text.len()
        );
        return Err(Code::TooLarge.refuse(Grpc::InvalidArgument, text));
    }
    let text = Text {
        markdown: request.text,
        silent: request.silent,
        ..Text::default()
    };
    Ok(Outbound {
        id: format!("{PREFIX}{key}"),
        to: Some(to),
        action: Some(Action::Text(text)),
        // Its life begins when it is due.
        created_at_ms: now_ms.max(request.at_ms),
        ..Outbound::default()
    })
}

#[tonic::async_trait]
impl Messages for Sending {
    async fn send(&self, request: Request<SendRequest>) -> Result<Response<SendReply>, Status> {
        Ok(Response::new(self.store(request.into_inner()).await?))
    }
}

#[tonic::async_trait]
impl Schedules for Sending {
    async fn list(
        &self,
        request: Request<SchedulesRequest>,
    ) -> Result<Response<SchedulesReply>, Status> {
        let limit = match request.into_inner().limit {
            0 => LISTED.0,
            limit => limit.min(LISTED.1),
        };
        let (schedules, total) = self.bus.schedules(limit as usize).await.map_err(failed)?;
        Ok(Response::new(SchedulesReply {
            schedules: schedules.into_iter().map(shown).collect(),
            total: total as u64,
        }))
    }

    async fn cancel(
        &self,
        request: Request<ScheduleChoice>,
    ) -> Result<Response<ScheduleChoice>, Status> {
        let choice = request.into_inner();
        match self.bus.cancel(&choice.id).await.map_err(failed)? {
            true => {
                // Its key may be used anew.
                let sends = self.bus.bucket(Bucket::Sends);
                if choice.id.starts_with(PREFIX) {
                    sends.delete(&choice.id).await.map_err(failed)?;
                }
                Ok(Response::new(choice))
            }
            false => Err(Status::not_found(format!(
                "nothing is scheduled as `{}`; it may have been sent. List the schedules to see what there is.",
                choice.id
            ))),
        }
    }
}

fn shown(schedule: Schedule) -> Scheduled {
    let outbound = match schedule.subject.starts_with("out.") {
        true => Outbound::decode(schedule.payload).ok(),
        false => None,
    };
    Scheduled {
        id: schedule.id,
        at_ms: schedule.at_ms,
        subject: schedule.subject,
        text: outbound
            .as_ref()
            .map(content::beginning)
            .unwrap_or_default(),
        to: outbound.and_then(|outbound| outbound.to),
    }
}

#[cfg(test)]
mod tests {
    use proto::v1::Address;

    use super::*;

    fn request() -> SendRequest {
        SendRequest {
            to: Some(Address {
                platform: "telegram".into(),
                account: "main".into(),
                conversation: "7".into(),
                ..Address::default()
            }),
            text: "hello".into(),
            idempotency_key: "k-1".into(),
            ..SendRequest::default()
        }
    }

    #[test]
    fn a_message_for_later_lives_from_then_on() {
        let made = outbound(request(), 5).unwrap();
        assert_eq!((made.id.as_str(), made.created_at_ms), ("send-k-1", 5));
        let later = SendRequest {
            at_ms: 9,
            ..request()
        };
        assert_eq!(outbound(later, 5).unwrap().created_at_ms, 9);
    }

    #[test]
    fn what_cannot_be_sent_says_how_it_could() {
        let refused = |change: fn(&mut SendRequest)| {
            let mut wrong = request();
            change(&mut wrong);
            outbound(wrong, 5).unwrap_err().message().to_owned()
        };
        assert!(refused(|wrong| wrong.idempotency_key.clear()).contains("UUID"));
        assert!(refused(|wrong| wrong.idempotency_key = "a.b".into()).contains("UUID"));
        assert!(refused(|wrong| wrong.to = None).contains("conversation"));
        assert!(refused(|wrong| wrong.text = " ".into()).starts_with("MSG_001: "));
        let large = refused(|wrong| wrong.text = "x".repeat(MAX_TEXT_BYTES + 1));
        assert!(large.starts_with("MSG_003: "), "{large}");
    }
}
