//! Mail between replicas, which may be larger than a message on the bus: taken apart, and put together in order.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use prost::Message;
use proto::{
    subject,
    v1::{NodeMail, NodeNotice, NodeParcel, node_mail::What},
    ws::Event,
};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::gateway::Gateway;

/// Size of a piece: far below what the bus takes.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces of one mail: more than the largest frame of a client has.
const MAX_PARTS: u32 = 40;
/// Bytes of mail that is not whole yet; the oldest is given up first.
const MAX_WAITING_BYTES: usize = 256 << 20;

/// Mail that is not whole yet.
#[derive(Debug, Default)]
pub(super) struct Post(Mutex<VecDeque<Pile>>);

/// The pieces of one mail that have come.
#[derive(Debug)]
struct Pile {
    mail: String,
    next: u32,
    bytes: Vec<u8>,
}

impl Post {
    /// Takes a piece; the mail if it is whole with it.
    pub(super) fn take(&self, parcel: NodeParcel) -> Option<What> {
        NodeMail::decode(self.whole(parcel)?.as_slice()).ok()?.what
    }

    /// The bytes that are whole with this piece.
    fn whole(&self, parcel: NodeParcel) -> Option<Vec<u8>> {
        let NodeParcel {
            mail,
            part,
            parts,
            piece,
        } = parcel;
        if part >= parts || parts > MAX_PARTS || piece.len() > PIECE_BYTES {
            return None;
        }
        if parts == 1 {
            return Some(piece);
        }
        let mut piles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = piles.iter().position(|pile| pile.mail == mail);
        let mut pile = match (known, part) {
            (Some(at), _) => piles.remove(at)?,
            (None, 0) => Pile {
                mail,
                next: 0,
                bytes: Vec::new(),
            },
            // Its beginning was lost.
            (None, _) => return None,
        };
        if pile.next != part {
            return None;
        }
        pile.bytes.extend_from_slice(&piece);
        pile.next += 1;
        if pile.next == parts {
            return Some(pile.bytes);
        }
        piles.push_back(pile);
        while piles.iter().map(|pile| pile.bytes.len()).sum::<usize>() > MAX_WAITING_BYTES {
            piles.pop_front();
        }
        None
    }
}

/// The pieces of a mail.
fn parcels(mail: &NodeMail) -> impl Iterator<Item = NodeParcel> {
    let (bytes, id) = (mail.encode_to_vec(), Uuid::new_v4().simple().to_string());
    let parts = bytes.len().div_ceil(PIECE_BYTES).max(1);
    (0..parts).map(move |part| NodeParcel {
        mail: id.clone(),
        part: u32::try_from(part).unwrap_or(u32::MAX),
        parts: u32::try_from(parts).unwrap_or(u32::MAX),
        piece: bytes[part * PIECE_BYTES..bytes.len().min((part + 1) * PIECE_BYTES)].to_vec(),
    })
}

impl Gateway {
    /// Has `replica` open this; at once where that is us.
    ///
    /// # Errors
    /// When the bus is away. Mail may get lost on its way: whoever waits for an answer has a deadline.
    pub(super) async fn send_mail(&self, replica: &str, what: What) -> Result<(), bus::Error> {
        if replica == self.nodes.replicas.own() {
            // What we answer ourselves needs no answer.
            if let Some((_, answer)) = self.open(what) {
                self.open(answer);
            }
            return Ok(());
        }
        let to = subject::mail(replica);
        for parcel in parcels(&NodeMail { what: Some(what) }) {
            self.bus.tell(&to, &parcel).await?;
        }
        Ok(())
    }

    /// Does what a mail asks for; what to answer, and to which replica.
    pub(super) fn open(&self, what: What) -> Option<(String, What)> {
        match what {
            What::Call(call) => {
                let replica = call.replica.clone();
                let outcome = self.begin_call(call)?;
                return Some((replica, What::Outcome(outcome)));
            }
            What::Outcome(outcome) => self.nodes.calls.end(outcome),
            What::Cancel(cancel) => self.cancel_call(&cancel.id),
            What::Notice(notice) => self.pass_on_notice(&notice),
        }
        None
    }

    /// Tells a node of this replica an event.
    fn pass_on_notice(&self, notice: &NodeNotice) {
        let payload: Result<&RawValue, _> = serde_json::from_str(&notice.payload_json);
        let (Ok(payload), Some(client)) = (payload, self.clients.find(&notice.client)) else {
            return;
        };
        if client.grant.device.as_deref() == Some(&notice.node) {
            client
                .outbox
                .answer(Event::new(&notice.name, &payload, None).text(None));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1::NodeOutcome;

    fn mail(bytes: usize) -> NodeMail {
        let outcome = NodeOutcome {
            id: "call".into(),
            payload_json: "x".repeat(bytes),
            ..NodeOutcome::default()
        };
        NodeMail {
            what: Some(What::Outcome(outcome)),
        }
    }

    #[test]
    fn mail_of_any_size_arrives_whole_and_mixed_with_others() {
        let post = Post::default();
        for bytes in [0, 10, PIECE_BYTES, 26_214_400] {
            let (one, other) = (mail(bytes), mail(PIECE_BYTES + 7));
            let mut mixed: Vec<_> = parcels(&one).chain(parcels(&other)).collect();
            mixed.sort_by_key(|parcel| parcel.part);
            let whole: Vec<_> = mixed
                .into_iter()
                .filter_map(|parcel| post.take(parcel))
                .collect();
            assert_eq!(whole.len(), 2, "{bytes}");
            assert!(
                [one, other]
                    .iter()
                    .all(|mail| whole.contains(mail.what.as_ref().unwrap()))
            );
        }
    }

    #[test]
    fn a_mail_with_a_hole_is_given_up_and_nonsense_is_not_taken() {
        let post = Post::default();
        let pieces: Vec<_> = parcels(&mail(3 * PIECE_BYTES)).collect();
        assert!(post.take(pieces[0].clone()).is_none());
        assert!(post.take(pieces[2].clone()).is_none());
        assert!(post.take(pieces[1].clone()).is_none() && post.take(pieces[2].clone()).is_none());
        assert!(post.0.lock().unwrap().is_empty());
        let absurd = NodeParcel {
            part: 0,
            parts: u32::MAX,
            ..pieces[0].clone()
        };
        assert!(post.take(absurd).is_none());
    }

    #[test]
    fn mail_that_never_becomes_whole_is_bounded() {
        let post = Post::default();
        let begun = parcels(&mail(2 * PIECE_BYTES)).next().unwrap();
        for n in 0..300 {
            post.take(NodeParcel {
                mail: n.to_string(),
                ..begun.clone()
            });
        }
        assert_eq!(
            post.0.lock().unwrap().len(),
            MAX_WAITING_BYTES / PIECE_BYTES
        );
    }
}
