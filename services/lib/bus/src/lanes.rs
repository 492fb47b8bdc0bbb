//! Which waiting message is next: in order within a lane, lanes in turn, priorities by weight.

use std::collections::{HashMap, VecDeque};

/// Turns of critical, high, normal and low, when all of them wait.
const WEIGHTS: [u32; 4] = [16, 8, 4, 1];

/// Waiting messages of one shard.
pub(crate) struct Lanes<T> {
    priorities: [Priority<T>; 4],
    credits: [u32; 4],
}

struct Priority<T> {
    lanes: HashMap<String, Lane<T>>,
    /// Lanes with something waiting and nothing running, first come first.
    ready: VecDeque<String>,
    waiting: usize,
}

struct Lane<T> {
    queue: VecDeque<T>,
    busy: bool,
}

impl<T> Lanes<T> {
    pub(crate) fn new() -> Self {
        let priority = || Priority {
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            waiting: 0,
        };
        Self {
            priorities: std::array::from_fn(|_| priority()),
            credits: WEIGHTS,
        }
    }

    /// Messages of this priority that wait.
    pub(crate) fn waiting(&self, priority: usize) -> usize {
        self.priorities[priority].waiting
    }

    pub(crate) fn push(&mut self, priority: usize, name: String, item: T) {
        let priority = &mut self.priorities[priority];
        priority.waiting += 1;
        let lane = priority.lanes.entry(name.clone()).or_insert_with(|| Lane {
            queue: VecDeque::new(),
            busy: false,
        });
        lane.queue.push_back(item);
        if !lane.busy && lane.queue.len() == 1 {
            priority.ready.push_back(name);
        }
    }

    /// The next message and its lane, which is busy until [`Lanes::done`].
    pub(crate) fn next(&mut self) -> Option<(usize, String, T)> {
        let ready = |priority: &Priority<T>| !priority.ready.is_empty();
        if !self.priorities.iter().any(ready) {
            return None;
        }
        let with_credit =
            |lanes: &Self| (0..4).find(|&n| ready(&lanes.priorities[n]) && lanes.credits[n] > 0);
        let chosen = with_credit(self).or_else(|| {
            self.credits = WEIGHTS;
            with_credit(self)
        })?;
        self.credits[chosen] -= 1;
        let priority = &mut self.priorities[chosen];
        let name = priority.ready.pop_front()?;
        let lane = priority.lanes.get_mut(&name)?;
        lane.busy = true;
        let item = lane.queue.pop_front()?;
        priority.waiting -= 1;
        Some((chosen, name, item))
    }

    /// The lane's message is finished: the next one may run.
    pub(crate) fn done(&mut self, priority: usize, name: &str) {
        let priority = &mut self.priorities[priority];
        let Some(lane) = priority.lanes.get_mut(name) else {
            return;
        };
        lane.busy = false;
        if lane.queue.is_empty() {
            priority.lanes.remove(name);
        } else {
            priority.ready.push_back(name.to_owned());
        }
    }

    /// Takes out all that waits, because it will be delivered again; what runs keeps its lane.
    pub(crate) fn clear(&mut self) -> Vec<T> {
        let mut cleared = Vec::new();
        for priority in &mut self.priorities {
            priority.ready.clear();
            priority.waiting = 0;
            priority.lanes.retain(|_, lane| {
                cleared.extend(lane.queue.drain(..));
                lane.busy
            });
        }
        cleared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_keeps_its_order_and_holds_up_no_other() {
        let mut lanes = Lanes::new();
        for (lane, item) in [("a", 1), ("a", 2), ("b", 3)] {
            lanes.push(2, lane.into(), item);
        }
        assert_eq!(lanes.next(), Some((2, "a".into(), 1)));
        assert_eq!(lanes.next(), Some((2, "b".into(), 3)));
        assert_eq!(lanes.next(), None, "a is busy");
        lanes.done(2, "a");
        assert_eq!(lanes.next(), Some((2, "a".into(), 2)));
    }

    #[test]
    fn low_never_starves_and_high_goes_first() {
        let mut lanes = Lanes::new();
        for priority in 0..4 {
            for n in 0..100 {
                lanes.push(priority, format!("{n}"), n);
            }
        }
        let mut served = [0; 4];
        for _ in 0..29 {
            let (priority, _, _) = lanes.next().unwrap();
            served[priority] += 1;
        }
        assert_eq!(served, [16, 8, 4, 1]);
    }

    #[test]
    fn a_lone_low_message_waits_for_nobody() {
        let mut lanes = Lanes::new();
        for n in 0..50 {
            lanes.push(3, format!("{n}"), n);
        }
        for _ in 0..50 {
            assert!(lanes.next().is_some());
        }
    }

    #[test]
    fn clearing_keeps_the_running_lane_busy() {
        let mut lanes = Lanes::new();
        lanes.push(0, "a".into(), 1);
        lanes.push(0, "a".into(), 2);
        lanes.next();
        assert_eq!(lanes.clear(), [2]);
        lanes.push(0, "a".into(), 2);
        assert_eq!(lanes.next(), None);
        lanes.done(0, "a");
        assert_eq!(lanes.next(), Some((0, "a".into(), 2)));
        assert_eq!(lanes.waiting(0), 0);
    }
}
