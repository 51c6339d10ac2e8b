//! Queues.

use crate::pg::datum::Instant;
use crate::pg::session::Session;
use crate::pg::statement::{Arg, Row};
use crate::statements;
use crate::store::floors::Scan;
use pgrx::datum::Interval;

statements! {
    BY_NAME = "queue_by_name.sql",
    NAMES = "queue_names.sql",
    INSERT = "queue_insert.sql",
    UPDATE = "queue_update.sql",
    OPEN_LANE = "queue_open_lane.sql",
    ACQUIRE_OPEN = "acquire_open.sql",
}

/// A queue and its settings.
pub struct Queue {
    pub queue_id: i32,
    pub lanes: i32,
    pub settings: Settings,
}

pub struct Settings {
    pub lease_ttl: Interval,
    pub max_attempts: i32,
    pub max_lost_leases: i32,
    pub backoff_base: Interval,
    pub backoff_max: Interval,
    pub max_runtime: Option<Interval>,
    pub on_lost: String,
    pub on_final_queue: Option<String>,
    pub on_final_states: Option<Vec<String>>,
}

/// What `queue_alter` changes: NULL leaves as is.
#[derive(Default)]
pub struct Changes {
    pub lease_ttl: Option<Interval>,
    pub max_attempts: Option<i32>,
    pub max_lost_leases: Option<i32>,
    pub backoff_base: Option<Interval>,
    pub backoff_max: Option<Interval>,
    pub max_runtime: Option<Interval>,
    pub on_lost: Option<String>,
    pub on_final_queue: Option<String>,
    pub on_final_states: Option<Vec<String>>,
}

/// What an acquire needs to know first.
pub struct Open {
    pub queue_id: i32,
    pub lanes: i32,
    pub lease_ttl: Interval,
    pub max_runtime: Option<Interval>,
    pub overdue: bool,
    pub scheduled: bool,
    pub due: bool,
}

fn queue(row: &mut Row) -> Queue {
    Queue {
        queue_id: row.get(),
        lanes: row.get(),
        settings: Settings {
            lease_ttl: row.get(),
            max_attempts: row.get(),
            max_lost_leases: row.get(),
            backoff_base: row.get(),
            backoff_max: row.get(),
            max_runtime: row.get(),
            on_lost: row.get(),
            on_final_queue: row.get(),
            on_final_states: row.get(),
        },
    }
}

pub fn by_name(session: &Session, name: &str) -> Option<Queue> {
    BY_NAME.with(|s| s.write(session, &[name.into()]).first(queue))
}

pub fn names(session: &Session) -> Vec<String> {
    NAMES.with(|s| s.write(session, &[]).all(|row| row.get()))
}

/// `false`: the name is taken.
pub fn insert(session: &Session, name: &str, settings: &Settings) -> bool {
    let args: [Arg; 10] = [
        name.into(),
        settings.lease_ttl.into(),
        settings.max_attempts.into(),
        settings.max_lost_leases.into(),
        settings.backoff_base.into(),
        settings.backoff_max.into(),
        settings.max_runtime.into(),
        settings.on_lost.as_str().into(),
        settings.on_final_queue.clone().into(),
        settings.on_final_states.clone().into(),
    ];
    INSERT.with(|s| s.write(session, &args).len() == 1)
}

pub fn update(session: &Session, name: &str, changes: Changes) -> Option<Queue> {
    let args: [Arg; 10] = [
        name.into(),
        changes.lease_ttl.into(),
        changes.max_attempts.into(),
        changes.max_lost_leases.into(),
        changes.backoff_base.into(),
        changes.backoff_max.into(),
        changes.max_runtime.into(),
        changes.on_lost.into(),
        changes.on_final_queue.into(),
        changes.on_final_states.into(),
    ];
    UPDATE.with(|s| s.write(session, &args).first(queue))
}

/// The bit of a priority in `lanes`.
pub fn lane(priority: i16) -> i32 {
    1 << (priority + 9)
}

/// The priorities in use, highest first.
pub fn priorities(lanes: i32) -> impl Iterator<Item = i16> {
    (-9..=9)
        .rev()
        .filter(move |priority| lanes & lane(*priority) != 0)
}

pub fn open_lane(session: &Session, queue_id: i32, priority: i16) {
    OPEN_LANE.with(|s| drop(s.write(session, &[queue_id.into(), lane(priority).into()])));
}

/// Looks at a queue with the scans of its overdue leases and scheduled tasks.
pub fn open(session: &Session, name: &str, overdue: Scan, scheduled: Scan) -> Option<Open> {
    let args = [
        name.into(),
        overdue.start_time().into(),
        scheduled.start_time().into(),
    ];
    ACQUIRE_OPEN.with(|s| {
        s.write(session, &args).first(|row| {
            let (queue_id, lanes, lease_ttl, max_runtime) =
                (row.get(), row.get(), row.get(), row.get());
            let now: Instant = row.get();
            let first_overdue: Option<Instant> = row.get();
            let first_scheduled: Option<Instant> = row.get();
            overdue.end(first_overdue.map(|at| at.0), now.0);
            scheduled.end(first_scheduled.map(|at| at.0), now.0);
            Open {
                queue_id,
                lanes,
                lease_ttl,
                max_runtime,
                overdue: first_overdue.is_some(),
                scheduled: first_scheduled.is_some(),
                due: row.get(),
            }
        })
    })
}
