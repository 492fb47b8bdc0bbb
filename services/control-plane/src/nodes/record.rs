//! The bucket `nodes`: a record a node, changed by comparing and swapping.

use bus::Store;
use proto::v1::Node;

use super::Nodes;
use crate::refusal::Refusal;

/// Attempts to change a record that others change too.
const ATTEMPTS: usize = 16;
/// Nodes that are kept. A record is a few kilobytes.
const MOST: usize = 4096;

/// What becomes of a record.
#[derive(Debug)]
pub(crate) enum Change {
    /// It is this from now on.
    To(Box<Node>),
    /// It stays as it is.
    Nothing,
    /// It is no more.
    Gone,
}

/// There is no room for one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl From<Full> for Refusal {
    fn from(_: Full) -> Self {
        Self::Invalid(format!(
            "{MOST} nodes are known, and no more are kept; remove some with `openclaw nodes remove`"
        ))
    }
}

impl Nodes {
    /// The record of the node `id`.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Node>, bus::Error> {
        let found = self.store.get::<Node>(&key(id)).await?;
        Ok(found.map(|(node, _)| node))
    }

    /// All records.
    pub(crate) async fn all(&self) -> Result<Vec<Node>, bus::Error> {
        let all = self.store.all::<Node>().await?;
        Ok(all.into_iter().map(|(_, node, _)| node).collect())
    }

    /// Changes the record of the node `id` as `decide` says, asked again when somebody else was faster. Returns what
    /// was there and what is there now.
    ///
    /// # Errors
    /// When the bus is away, or others change the record all the time.
    pub(crate) async fn change(
        &self,
        id: &str,
        mut decide: impl FnMut(Option<Node>) -> Change,
    ) -> Result<(Option<Node>, Option<Node>), bus::Error> {
        let key = key(id);
        for _ in 0..ATTEMPTS {
            let found = self.store.get::<Node>(&key).await?;
            let revision = found.as_ref().map(|(_, revision)| *revision);
            let before = found.map(|(node, _)| node);
            match decide(before.clone()) {
                Change::Nothing => return Ok((before.clone(), before)),
                Change::To(after) => {
                    if swap(&self.store, &key, &after, revision).await? {
                        return Ok((before, Some(*after)));
                    }
                }
                Change::Gone if before.is_none() => return Ok((None, None)),
                // Whoever changes it meanwhile made a record of what is to be no more.
                Change::Gone => {
                    self.store.delete(&key).await?;
                    return Ok((before, None));
                }
            }
        }
        Err(bus::Error::Refused(format!(
            "the record of node {id} changes all the time; try again in a moment"
        )))
    }

    /// Whether one more node can be kept.
    ///
    /// # Errors
    /// When the bus is away.
    pub(crate) async fn room(&self) -> Result<Result<(), Full>, bus::Error> {
        let many = self.all().await?.len() >= MOST;
        Ok(if many { Err(Full) } else { Ok(()) })
    }
}

async fn swap(
    store: &Store,
    key: &str,
    node: &Node,
    revision: Option<u64>,
) -> Result<bool, bus::Error> {
    let stored = match revision {
        Some(revision) => store.update(key, node, revision).await?,
        None => store.create(key, node).await?,
    };
    Ok(stored.is_some())
}

/// Ids of nodes may be anything, keys may not.
fn key(id: &str) -> String {
    blake3::hash(id.as_bytes()).to_hex()[..32].to_owned()
}
