use super::access;
use super::advance::{self, Dues};
use super::args::{self, Checked, answer};
use super::overdue::{self, Swept};
use super::queues;
use super::{granted, items};
use crate::model::access::Capability::Work;
use crate::model::limits;
use crate::model::state::State;
use crate::pg::datum::{Instant, Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::floors::{self, Line};
use crate::store::lease::{self, Leased, Taker};
use crate::store::queue::{self, Open};
use crate::store::step;
use pgrx::prelude::*;

/// Leases up to `max_tasks` tasks of a queue: overdue leases first, then the highest priority, then in the order
/// in which they became ready.
///
/// Arguments: `queue`; `owner` (a name for people; it is no fence); `ttl` (100 ms to 24 hours; NULL: the queue's
/// lease_ttl); `max_tasks` (1 to 1000).
///
/// Returns no row if nothing was claimable, or the queue is paused; none of a run that is paused or called off. (While another transaction that writes stays open, a task may be found
/// up to 1 s late.) The token is authority for the outside world once this transaction has committed.
///
/// Errors: 22004, 22023, 42704 (no such queue), 54000 (max_tasks).
///
/// Locks: the tasks, FOR UPDATE SKIP LOCKED: it never waits for a task. It also settles expired leases, at
/// most max_tasks + 100, works off what others left, at most 100 rows, makes scheduled tasks ready that are due, at most 100, and if the line is
/// used up makes tasks of the next items of a wide step, at most 1000: what follows from these is locked as by task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn task_acquire_lease(
    queue: Option<Text>,
    owner: Option<Text>,
    ttl: default!(Option<Interval>, "NULL"),
    max_tasks: default!(Option<i32>, "1"),
) -> TableIterator<
    'static,
    (
        name!(task_id, i64),
        name!(lease_token, i64),
        name!(lease_expires_at, Instant),
        name!(attempt, i32),
        name!(lost_leases, i32),
        name!(name, Option<String>),
        name!(key, Option<String>),
        name!(payload, Jsonb),
        name!(run_id, Option<i64>),
        name!(item_index, Option<i32>),
        name!(metadata, Jsonb),
    ),
> {
    let session = access::verb(c"task_acquire_lease()", &[Work]);
    let acquire = || -> Checked<Vec<Leased>> {
        let queue = args::required_word("queue", queue)?;
        let owner = args::required_word("owner", owner)?;
        let ttl = args::ttl("ttl", ttl)?;
        let max_tasks = args::max_rows("max_tasks", max_tasks, limits::MAX_TASKS)?;
        acquire(&session, &queue, &owner, ttl, max_tasks)
    };
    TableIterator::new(answer(acquire()).into_iter().map(|task| {
        (
            task.task_id,
            task.lease_token,
            task.lease_expires_at,
            task.attempt,
            task.lost_leases,
            task.name,
            task.key,
            task.payload,
            task.run_id,
            task.item_index,
            task.metadata,
        )
    }))
}

fn acquire(
    session: &Session,
    name: &str,
    owner: &str,
    ttl: Option<Interval>,
    max_tasks: i32,
) -> Checked<Vec<Leased>> {
    let overdue = floors::scan(Line::Overdue {
        queue: name.to_owned(),
    });
    let scheduled = floors::scan(Line::Scheduled {
        queue: name.to_owned(),
    });
    let Some(open) = queue::open(session, name, overdue, scheduled) else {
        // The default queue exists after install, with nothing in it until its first use.
        return if name == queues::DEFAULT && session.queues().is_none() {
            Ok(Vec::new())
        } else {
            Err(Misuse::no_queue(name))
        };
    };
    let taker = Taker {
        owner,
        ttl: ttl.unwrap_or(open.lease_ttl),
        max_runtime: open.max_runtime,
    };
    let paused =
        open.paused || xact::has_fixed_snapshot() && queue::is_paused(session, open.queue_id);
    let mut left = Vec::new();
    let mut tasks = Vec::new();
    if open.overdue {
        let ready = |task: &&Swept| task.state == State::Ready;
        let room = |swept: &[Swept]| {
            let wanted = max_tasks - swept.iter().filter(ready).count() as i32;
            wanted.min(max_tasks + limits::SWEEP - swept.len() as i32)
        };
        let swept = overdue::sweep(session, &[(name, open.queue_id)], room, &mut left);
        let again: Vec<i64> = swept
            .iter()
            .filter(ready)
            .map(|task| task.task_id)
            .collect();
        if !again.is_empty() && !paused {
            tasks = granted::check(session, lease::lease(session, again, &taker)).leased;
        }
    }
    let mut dues = Dues::default();
    if open.due {
        dues.take(session, open.queue_id);
    }
    advance::after_all(session, left, &dues);
    if open.scheduled {
        overdue::promote(session, name, open.queue_id);
    }
    dues.fill(session);
    let lanes = if paused { 0 } else { open.lanes };
    claim(session, &open, lanes, max_tasks, &taker, &mut tasks);
    if open.batches && !paused && (tasks.len() as i32) < max_tasks {
        // The line is used up: the next items of a wide step become tasks.
        if let Some(step_id) = step::batch_of_queue(session, open.queue_id) {
            items::next_batch(session, step_id);
            claim(session, &open, lanes, max_tasks, &taker, &mut tasks);
        }
    }
    if !tasks.is_empty() {
        xact::make_durable();
    }
    Ok(tasks)
}

/// Leases what is in line, highest priority first, until there are enough.
fn claim(
    session: &Session,
    open: &Open,
    lanes: i32,
    max_tasks: i32,
    taker: &Taker,
    tasks: &mut Vec<Leased>,
) {
    for priority in queue::priorities(lanes) {
        loop {
            let room = max_tasks - tasks.len() as i32;
            if room == 0 {
                return;
            }
            let leased = lease::claim(session, open.queue_id, priority, room, taker);
            let granted = granted::check(session, leased);
            tasks.extend(granted.leased);
            // Some were of runs that are paused: look behind them, unless they are in line again.
            if granted.blocked == 0 || granted.in_line_again > 0 {
                break;
            }
        }
    }
}
