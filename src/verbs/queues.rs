//! The queue that a verb is about.

use super::args::Checked;
use crate::model::ending::OnLost;
use crate::pg::datum::QueueIds;
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::{lock, xact};
use crate::store::queue::{self, Queue, Settings};
use pgrx::datum::Interval;
use std::cell::RefCell;
use std::collections::HashMap;

/// The queue that exists after install; its row is made at first use, because a row written by the install
/// script would break the restore of a dump.
pub const DEFAULT: &str = "default";

pub fn default_settings() -> Settings {
    Settings {
        lease_ttl: Interval::from_micros(30_000_000),
        max_attempts: 5,
        max_lost_leases: 3,
        backoff_base: Interval::from_micros(1_000_000),
        backoff_max: Interval::from_micros(600_000_000),
        max_runtime: None,
        on_lost: OnLost::Requeue.name().to_owned(),
        on_final: None,
    }
}

/// The queue to write to, held: it cannot be dropped until the transaction ends, as PostgreSQL keeps a schema for who
/// creates something in it. So a task is never created in a queue that is gone, however the two race.
pub fn writable(session: &Session, name: &str) -> Checked<Queue> {
    writable_among(session, name, session.queues())
}

/// The same, confined to these queues.
pub fn writable_among(session: &Session, name: &str, queues: Option<&QueueIds>) -> Checked<Queue> {
    loop {
        let held = held_among(name, queues);
        let queue = among(session, name, queues)?;
        if held == Some(queue.queue_id) {
            confirm(session, queue.queue_id, name)?;
            return Ok(queue);
        }
        remember(name, queue.queue_id);
    }
}

/// The queue of this name, for who creates nothing in it.
pub fn named(session: &Session, name: &str) -> Checked<Queue> {
    among(session, name, session.queues())
}

/// The ids of the queue of this name, dropped or not, for who looks at what has ended there; none, if it is the default
/// queue before its first use.
pub fn seen(session: &Session, name: &str) -> Checked<Vec<i32>> {
    match queue::seen(session, name) {
        Some(queue_id) if session.may_touch(queue_id) => Ok(vec![queue_id]),
        None if name == DEFAULT && session.queues().is_none() => Ok(Vec::new()),
        _ => Err(Misuse::no_queue(name)),
    }
}

fn among(session: &Session, name: &str, queues: Option<&QueueIds>) -> Checked<Queue> {
    let mut queue = queue::by_name(session, name);
    if queue.is_none() && name == DEFAULT && queues.is_none() {
        queue::insert(session, name, &default_settings());
        queue = queue::by_name(session, name);
    }
    queue
        .filter(|queue| queues.is_none_or(|queues| queues.ids().contains(&queue.queue_id)))
        .ok_or_else(|| Misuse::no_queue(name))
}

/// Holds the queue of this name, if this backend knows its id, and the caller may touch it. It is a guess: who writes
/// compares.
pub fn held(session: &Session, name: &str) -> Option<i32> {
    held_among(name, session.queues())
}

fn held_among(name: &str, queues: Option<&QueueIds>) -> Option<i32> {
    let known = IDS
        .with_borrow(|ids| ids.get(name).copied())
        .filter(|queue_id| queues.is_none_or(|queues| queues.ids().contains(queue_id)));
    if let Some(queue_id) = known {
        lock::hold_queue(queue_id);
    }
    known
}

/// 42704 if the queue, held by now, was dropped: a fixed snapshot would not show it.
pub fn confirm(session: &Session, queue_id: i32, name: &str) -> Checked<()> {
    if xact::has_fixed_snapshot() && queue::dropped(session, queue_id).is_some() {
        return Err(Misuse::no_queue(name));
    }
    Ok(())
}

/// More queues than this are forgotten rather than remembered.
const QUEUES: usize = 4_096;

thread_local! {
    /// The ids of queues: a queue's id never changes.
    static IDS: RefCell<HashMap<String, i32>> = RefCell::default();
}

fn remember(name: &str, queue_id: i32) {
    IDS.with_borrow_mut(|ids| {
        if ids.len() > QUEUES {
            ids.clear();
        }
        ids.insert(name.to_owned(), queue_id);
    });
}

/// Notes a priority at its first use in a queue.
pub fn use_lane(session: &Session, queue_id: i32, lanes: i32, priority: i16) {
    if lanes & queue::lane(priority) == 0 {
        queue::open_lane(session, queue_id, priority);
    }
}
