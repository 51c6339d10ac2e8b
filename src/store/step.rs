//! Runs, steps, their join counters, and the dispatch of successors.

use crate::model::state::State;
use crate::pg::datum::{Jsonb, QueueIds};
use crate::pg::session::Session;
use crate::statements;

statements! {
    RUN_INSERT = "run_insert.sql",
    RUN_LOCK = "run_lock.sql",
    RUN_EXCLUDE = "run_exclude.sql",
    RUN_TRY_LOCK = "run_try_lock.sql",
    NEXT_ID = "next_id.sql",
    STEP_INSERT = "step_insert.sql",
    STEP_FIND = "step_find.sql",
    STEP_SAME_PAYLOADS = "step_same_payloads.sql",
    STEP_ITEMS_INSERT = "step_items_insert.sql",
    STEP_ITEMS_GET = "step_items_get.sql",
    STEP_COUNTS_INSERT = "step_counts_insert.sql",
    STEP_COUNT_DOWN = "step_count_down.sql",
    STEP_SHARDS_DOWN = "step_shards_down.sql",
    STEP_SUCCESSOR = "step_successor.sql",
    STEP_NAMING = "step_naming.sql",
    STEP_COUNTS = "step_counts.sql",
    STEPS_LOCK = "steps_lock.sql",
    DISPATCH_INSERT = "dispatch_insert.sql",
    DISPATCH_FIND = "dispatch_find.sql",
    SUCCESSOR_INSERT = "successor_insert.sql",
    SCOPE_OF_TASK = "scope_of_task.sql",
    NEEDS_OF_SCOPE = "needs_of_scope.sql",
    DUE_INSERT = "due_insert.sql",
    DUE_TAKE = "due_take.sql",
}

/// A run's state, by number as stored: below 10 it is not terminal.
pub const RUN_RUNNING: i16 = 0;

pub fn next_id(session: &Session) -> i64 {
    NEXT_ID
        .with(|s| s.write(session, &[]).first(|row| row.get()))
        .expect("one row")
}

pub fn insert_run(session: &Session, run_id: i64, key: Option<&str>) {
    let args = [run_id.into(), key.map(str::to_owned).into()];
    RUN_INSERT.with(|s| drop(s.write(session, &args)));
}

/// The run's state, its gate held open; waits. `None` too if it has no step in these queues.
pub fn lock_run(session: &Session, run_id: i64, queues: Option<&QueueIds>) -> Option<i16> {
    RUN_LOCK.with(|s| {
        s.write(session, &[run_id.into(), queues.into()])
            .first(|row| row.get())
    })
}

/// The same, its gate closed to everybody else.
pub fn exclude_run(session: &Session, run_id: i64, queues: Option<&QueueIds>) -> Option<i16> {
    RUN_EXCLUDE.with(|s| {
        s.write(session, &[run_id.into(), queues.into()])
            .first(|row| row.get())
    })
}

/// The same as `lock_run` without waiting: `None` if the gate is taken.
pub fn try_lock_run(session: &Session, run_id: i64) -> Option<i16> {
    RUN_TRY_LOCK.with(|s| s.write(session, &[run_id.into()]).first(|row| row.get()))
}

pub struct NewStep<'a> {
    pub step_id: i64,
    pub run_id: i64,
    pub queue_id: i32,
    pub total: i32,
    pub max_parallel: Option<i32>,
    pub shards: i16,
    pub name: &'a str,
    pub key: Option<&'a str>,
    pub successor: Option<&'a str>,
    pub successor_queue_id: Option<i32>,
    pub successor_payload: Option<Jsonb>,
}

/// `false`: its name in the run, its key, or its successor's name in the run is taken. Its counter is made with it.
pub fn insert(session: &Session, step: &NewStep) -> bool {
    let args = [
        step.step_id.into(),
        step.run_id.into(),
        step.queue_id.into(),
        step.total.into(),
        step.max_parallel.into(),
        step.shards.into(),
        step.name.into(),
        step.key.map(str::to_owned).into(),
        step.successor.map(str::to_owned).into(),
        step.successor_queue_id.into(),
        step.successor_payload.into(),
    ];
    let inserted = STEP_INSERT.with(|s| s.write(session, &args).len() == 1);
    if inserted {
        let args = [
            step.step_id.into(),
            step.total.into(),
            i32::from(step.shards).into(),
        ];
        STEP_COUNTS_INSERT.with(|s| drop(s.write(session, &args)));
    }
    inserted
}

pub struct FoundStep {
    pub step_id: i64,
    pub run_id: i64,
    pub queue_id: i32,
    pub name: String,
    pub successor_dispatched: bool,
}

pub fn find(
    session: &Session,
    run_id: Option<i64>,
    name: &str,
    queue_id: i32,
    key: Option<&str>,
) -> Option<FoundStep> {
    let args = [
        run_id.into(),
        name.into(),
        queue_id.into(),
        key.map(str::to_owned).into(),
    ];
    STEP_FIND.with(|s| {
        s.write(session, &args).first(|row| FoundStep {
            step_id: row.get(),
            run_id: row.get(),
            queue_id: row.get(),
            name: row.get(),
            successor_dispatched: row.get(),
        })
    })
}

pub fn same_payloads(session: &Session, step_id: i64, payloads: Vec<Jsonb>) -> bool {
    STEP_SAME_PAYLOADS
        .with(|s| {
            s.write(session, &[step_id.into(), payloads.into()])
                .first(|row| row.get())
        })
        .unwrap_or(false)
}

/// (index, task, whether it is ready rather than blocked)
pub fn insert_items(
    session: &Session,
    step: &NewStep,
    payloads: Vec<Jsonb>,
    max_attempts: i32,
) -> Vec<(i32, i64, bool)> {
    let args = [
        step.run_id.into(),
        step.step_id.into(),
        step.queue_id.into(),
        step.name.into(),
        max_attempts.into(),
        payloads.into(),
        step.total.into(),
        step.max_parallel.into(),
        i32::from(step.shards).into(),
    ];
    STEP_ITEMS_INSERT.with(|s| {
        s.write(session, &args)
            .all(|row| (row.get(), row.get(), row.get()))
    })
}

/// (index, task, state)
pub fn items(session: &Session, step_id: i64) -> Vec<(i32, i64, String)> {
    STEP_ITEMS_GET.with(|s| {
        s.write(session, &[step_id.into()])
            .all(|row| (row.get(), row.get(), row.get()))
    })
}

/// Items of one shard that have ended.
#[derive(Clone, Copy, Default)]
pub struct Ended {
    pub completed: i32,
    pub failed: i32,
    pub cancelled: i32,
}

/// Whether the shard has no item left.
pub fn count_down(session: &Session, step_id: i64, shard: i16, ended: Ended) -> bool {
    let args = [
        step_id.into(),
        shard.into(),
        ended.completed.into(),
        ended.failed.into(),
        ended.cancelled.into(),
    ];
    STEP_COUNT_DOWN
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .unwrap_or(false)
}

/// Whether the step has no item left, and names a successor.
pub fn shards_down(session: &Session, step_id: i64, shards: i32) -> bool {
    STEP_SHARDS_DOWN
        .with(|s| {
            s.write(session, &[step_id.into(), shards.into()])
                .first(|row| row.get())
        })
        .unwrap_or(false)
}

pub struct BuiltIn {
    pub run_id: i64,
    pub successor: String,
    pub successor_queue_id: i32,
    pub payload: Jsonb,
}

/// The successor that a step names, once all its items have ended.
pub fn successor(session: &Session, step_id: i64) -> Option<BuiltIn> {
    STEP_SUCCESSOR.with(|s| {
        s.write(session, &[step_id.into()]).first(|row| BuiltIn {
            run_id: row.get(),
            successor: row.get(),
            successor_queue_id: row.get(),
            payload: row.get(),
        })
    })
}

/// The step of the run that names this successor, and whether all its items have ended.
pub fn naming(session: &Session, run_id: i64, successor: &str) -> Option<(i64, bool)> {
    STEP_NAMING.with(|s| {
        s.write(session, &[run_id.into(), successor.into()])
            .first(|row| (row.get(), row.get()))
    })
}

/// (remaining, completed, failed, cancelled)
pub fn counts(session: &Session, step_id: i64) -> (i32, i32, i32, i32) {
    STEP_COUNTS
        .with(|s| {
            s.write(session, &[step_id.into()])
                .first(|row| (row.get(), row.get(), row.get(), row.get()))
        })
        .expect("an aggregate returns one row")
}

/// Of the step and those needed, held still: (how many of the names exist, how many have items left).
pub fn lock_needs(
    session: &Session,
    run_id: i64,
    step_id: Option<i64>,
    needs: Vec<String>,
) -> (i64, i64) {
    STEPS_LOCK
        .with(|s| {
            s.write(session, &[run_id.into(), step_id.into(), needs.into()])
                .first(|row| (row.get(), row.get()))
        })
        .expect("an aggregate returns one row")
}

/// The new successor's id; `None` if the scope has one of that name.
pub fn insert_dispatch(session: &Session, scope_id: i64, successor: &str) -> Option<i64> {
    DISPATCH_INSERT.with(|s| {
        s.write(session, &[scope_id.into(), successor.into()])
            .first(|row| row.get())
    })
}

pub fn find_dispatch(session: &Session, scope_id: i64, successor: &str) -> Option<i64> {
    DISPATCH_FIND.with(|s| {
        s.write(session, &[scope_id.into(), successor.into()])
            .first(|row| row.get())
    })
}

pub struct NewSuccessor<'a> {
    pub task_id: i64,
    pub run_id: Option<i64>,
    pub step_id: Option<i64>,
    pub queue_id: i32,
    pub name: &'a str,
    pub payload: Jsonb,
    pub max_attempts: Option<i32>,
}

pub fn insert_successor(session: &Session, new: &NewSuccessor) {
    let args = [
        new.task_id.into(),
        new.run_id.into(),
        new.step_id.into(),
        new.queue_id.into(),
        new.name.into(),
        new.payload.into(),
        new.max_attempts.into(),
    ];
    SUCCESSOR_INSERT.with(|s| drop(s.write(session, &args)));
}

/// Where a task stands for a dispatch.
pub struct Scope {
    pub run_id: Option<i64>,
    pub step_id: Option<i64>,
    pub name: Option<String>,
    pub ended_as: Option<State>,
}

pub fn scope_of(session: &Session, task_id: i64) -> Option<Scope> {
    SCOPE_OF_TASK.with(|s| {
        let args = [task_id.into(), session.queues().into()];
        s.write(session, &args).first(|row| {
            let (run_id, step_id, name) = (row.get(), row.get(), row.get());
            let ended_as: Option<i16> = row.get();
            Scope {
                run_id,
                step_id,
                name,
                ended_as: ended_as.and_then(State::from_code),
            }
        })
    })
}

/// How many of the names needed have ended, in the scope of a task without a run.
pub fn needs_ended(session: &Session, task_id: i64, name: Option<&str>, needs: Vec<String>) -> i64 {
    NEEDS_OF_SCOPE
        .with(|s| {
            s.write(
                session,
                &[task_id.into(), name.map(str::to_owned).into(), needs.into()],
            )
            .first(|row| row.get())
        })
        .expect("an aggregate returns one row")
}

/// Work that a transaction leaves rather than wait for another one.
#[derive(Clone, Copy)]
pub enum Due {
    Successor { step_id: i64 },
    Slot { slot_key: i64 },
}

pub fn insert_due(session: &Session, due: Due, queue_id: i32) {
    let (step_id, slot_key) = match due {
        Due::Successor { step_id } => (Some(step_id), None),
        Due::Slot { slot_key } => (None, Some(slot_key)),
    };
    let args = [step_id.into(), slot_key.into(), queue_id.into()];
    DUE_INSERT.with(|s| drop(s.write(session, &args)));
}

pub fn take_due(session: &Session, queue_id: i32, max: i32) -> Vec<Due> {
    DUE_TAKE.with(|s| {
        s.write(session, &[queue_id.into(), i64::from(max).into()])
            .all(|row| {
                let (step_id, slot_key): (Option<i64>, Option<i64>) = (row.get(), row.get());
                match (step_id, slot_key) {
                    (Some(step_id), _) => Due::Successor { step_id },
                    (None, slot_key) => Due::Slot {
                        slot_key: slot_key.expect("one of the two is set"),
                    },
                }
            })
    })
}
