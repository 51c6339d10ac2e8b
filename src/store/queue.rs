//! Queues.

use crate::pg::datum::Instant;
use crate::pg::session::Session;
use crate::pg::statement::{Arg, Row};
use crate::pg::table::{Columns, Key, Moment};
use crate::pg::xact;
use crate::statements;
use crate::store::floors::Scan;
use crate::store::tables::{self, Due, Live, StepBatch};
use pgrx::datum::Interval;

statements! {
    BY_NAME = "queue_by_name.sql",
    BY_ID = "queue_by_id.sql",
    SEEN = "queue_seen.sql",
    NAMES = "queue_names.sql",
    PAUSE = "queue_pause.sql",
    IS_PAUSED = "queue_is_paused.sql",
    USES = "queue_uses.sql",
    DROP = "queue_drop.sql",
    DROPPED = "queue_dropped.sql",
    INSERT = "queue_insert.sql",
    UPDATE = "queue_update.sql",
    OPEN_LANE = "queue_open_lane.sql",
}

/// A queue, and what a new task takes from it.
pub struct Queue {
    pub queue_id: i32,
    pub lanes: i32,
    pub max_attempts: i32,
}

pub struct Settings {
    pub lease_ttl: Interval,
    pub max_attempts: i32,
    pub max_lost_leases: i32,
    pub backoff_base: Interval,
    pub backoff_max: Interval,
    pub max_runtime: Option<Interval>,
    pub on_lost: String,
    pub on_final: Option<OnFinal>,
}

/// Where the ends of a queue's tasks are told, and which.
pub struct OnFinal {
    pub queue_id: i32,
    pub states: Vec<i16>,
}

/// What `queue_alter` does to a setting that may be absent.
pub enum Change<T> {
    Keep,
    Set(T),
    Remove,
}

impl<T> Change<T> {
    fn set(&self) -> Option<&T> {
        match self {
            Change::Set(value) => Some(value),
            _ => None,
        }
    }

    fn is_remove(&self) -> bool {
        matches!(self, Change::Remove)
    }
}

/// What `queue_alter` changes: `None` leaves as is.
pub struct Changes {
    pub lease_ttl: Option<Interval>,
    pub max_attempts: Option<i32>,
    pub max_lost_leases: Option<i32>,
    pub backoff_base: Option<Interval>,
    pub backoff_max: Option<Interval>,
    pub max_runtime: Change<Interval>,
    pub on_lost: Option<String>,
    pub on_final_queue_id: Change<i32>,
    pub on_final_states: Option<Vec<i16>>,
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
    pub paused: bool,
    /// Items of a wide step are to become tasks when there are no others.
    pub batches: bool,
}

fn queue(row: &mut Row) -> Queue {
    Queue {
        queue_id: row.get(),
        lanes: row.get(),
        max_attempts: row.get(),
    }
}

pub fn by_name(session: &Session, name: &str) -> Option<Queue> {
    BY_NAME.with(|s| s.write(session, &[name.into()]).first(queue))
}

/// A queue that is held.
pub fn by_id(session: &Session, queue_id: i32) -> Queue {
    BY_ID
        .with(|s| s.write(session, &[queue_id.into()]).first(queue))
        .expect("a queue's row is never removed")
}

/// A queue's id by its name, dropped or not, for the reading functions.
pub fn seen(session: &Session, name: &str) -> Option<i32> {
    SEEN.with(|s| s.read(session, &[name.into()]).first(|row| row.get()))
}

/// The queues that the caller may touch.
pub fn names(session: &Session) -> Vec<String> {
    NAMES.with(|s| {
        s.write(session, &[session.queues().into()])
            .all(|row| row.get())
    })
}

/// `false`: the name is taken.
pub fn insert(session: &Session, name: &str, settings: &Settings) -> bool {
    let on_final = settings.on_final.as_ref();
    let args: [Arg; 10] = [
        name.into(),
        settings.lease_ttl.into(),
        settings.max_attempts.into(),
        settings.max_lost_leases.into(),
        settings.backoff_base.into(),
        settings.backoff_max.into(),
        settings.max_runtime.into(),
        settings.on_lost.as_str().into(),
        on_final.map(|on_final| on_final.queue_id).into(),
        on_final.map(|on_final| on_final.states.clone()).into(),
    ];
    INSERT.with(|s| s.write(session, &args).len() == 1)
}

/// `false`: the queue was dropped, or has nobody to tell of these states.
pub fn update(session: &Session, queue_id: i32, changes: Changes, all_states: Vec<i16>) -> bool {
    let args: [Arg; 13] = [
        queue_id.into(),
        changes.lease_ttl.into(),
        changes.max_attempts.into(),
        changes.max_lost_leases.into(),
        changes.backoff_base.into(),
        changes.backoff_max.into(),
        changes.max_runtime.set().copied().into(),
        changes.on_lost.into(),
        changes.on_final_queue_id.set().copied().into(),
        changes.on_final_states.into(),
        changes.max_runtime.is_remove().into(),
        changes.on_final_queue_id.is_remove().into(),
        all_states.into(),
    ];
    UPDATE.with(|s| s.write(session, &args).len() == 1)
}

/// `false`: the queue was dropped, or there is nothing to do.
pub fn pause(session: &Session, queue_id: i32, paused: bool) -> bool {
    PAUSE.with(|s| s.write(session, &[queue_id.into(), paused.into()]).len() == 1)
}

/// Whether the queue is paused, by what is committed now.
pub fn is_paused(session: &Session, queue_id: i32) -> bool {
    IS_PAUSED
        .with(|s| {
            s.read_latest(session, &[queue_id.into()])
                .first(|row| row.get())
        })
        .unwrap_or(false)
}

/// What keeps a queue from being dropped, by what is committed now.
pub struct Uses {
    pub tasks: i64,
    pub successors: i64,
    pub due: i64,
    pub told_by: Option<(i32, String)>,
}

pub fn uses(session: &Session, queue_id: i32) -> Uses {
    USES.with(|s| {
        s.read_latest(session, &[queue_id.into()]).first(|row| {
            let (tasks, successors, due) = (row.get(), row.get(), row.get());
            let told_by: (Option<i32>, Option<String>) = (row.get(), row.get());
            Uses {
                tasks,
                successors,
                due,
                told_by: told_by.0.zip(told_by.1),
            }
        })
    })
    .expect("one row")
}

pub fn drop_queue(session: &Session, queue_id: i32) {
    DROP.with(|s| drop(s.write(session, &[queue_id.into()])));
}

/// The name of a queue, if it was dropped, by what is committed now.
pub fn dropped(session: &Session, queue_id: i32) -> Option<String> {
    DROPPED.with(|s| {
        s.read_latest(session, &[queue_id.into()])
            .first(|row| row.get())
    })
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

/// Looks at a queue that the caller may touch, with the scans of its overdue leases and scheduled tasks: what is due in it, whether others
/// left work, and whether items are to become tasks. Takes no lock.
pub fn open(session: &Session, name: &str, overdue: Scan, scheduled: Scan) -> Option<Open> {
    let moment = Moment::now();
    let queue = tables::Queue::read().find(&moment, "queue_name_key", [Key::is(name)])?;
    let queue_id = queue.get(session, tables::Queue::queue_id);
    if queue
        .get::<Option<Instant>>(session, tables::Queue::dropped_at)
        .is_some()
        || !session.may_touch(queue_id)
    {
        return None;
    }
    let now = xact::clock();
    let live = Live::write();
    let is_due = |index: &str, scan: Scan, column: Live| {
        // Dead entries of what was to be looked at later are not stepped over.
        let keys = [
            Key::is(queue_id),
            Key::after(scan.start_time()),
            Key::until(Instant(now)),
        ];
        let first: Option<Instant> = live
            .find(&moment, index, keys)
            .map(|task| task.get(session, column));
        scan.end(first.map(|at| at.0), now);
        first.is_some()
    };
    Some(Open {
        queue_id,
        lanes: queue.get(session, tables::Queue::lanes),
        lease_ttl: queue.get(session, tables::Queue::lease_ttl),
        max_runtime: queue.get(session, tables::Queue::max_runtime),
        overdue: is_due("task_live_overdue", overdue, Live::check_at),
        scheduled: is_due("task_live_scheduled", scheduled, Live::run_at),
        due: Due::read()
            .find(&moment, "due_queue", [Key::is(queue_id)])
            .is_some(),
        paused: queue
            .get::<Option<Instant>>(session, tables::Queue::paused_at)
            .is_some(),
        batches: StepBatch::read()
            .find(&moment, "step_batch_queue", [Key::is(queue_id)])
            .is_some(),
    })
}
