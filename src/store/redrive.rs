//! Redrives: a new task in the place of one that ended badly.

use crate::model::run::RunState;
use crate::model::state::State;
use crate::pg::session::Session;
use crate::statements;
use crate::store::task;

statements! {
    OF_QUEUE = "redrive_of_queue.sql",
    LOCK_MANY = "redrive_lock_many.sql",
    INSERT = "redrive_insert.sql",
    FIND = "redrive_find.sql",
    RUN_OF = "redrive_run.sql",
    INSERT_IN_RUN = "redrive_in_run.sql",
}

/// The next tasks of a queue that may be redriven, in the order of their ids.
pub fn of_queue(
    session: &Session,
    queue_id: i32,
    states: Vec<i16>,
    after: i64,
    max: i32,
) -> Vec<i64> {
    let args = [
        queue_id.into(),
        states.into(),
        after.into(),
        i64::from(max).into(),
    ];
    OF_QUEUE.with(|s| s.write(session, &args).all(|row| row.get()))
}

/// Those of the tasks that nobody purges now, kept from it, in the order of their ids.
pub fn lock_many(session: &Session, task_ids: Vec<i64>) -> Vec<i64> {
    let mut locked: Vec<i64> =
        LOCK_MANY.with(|s| s.write(session, &[task_ids.into()]).all(|row| row.get()));
    locked.sort_unstable();
    locked
}

/// A task that was redriven.
pub struct Redriven {
    pub old: i64,
    pub new: i64,
    /// The key in whose line the new one stands.
    pub waits_for: Option<i64>,
    pub queue_id: i32,
}

/// Those that nobody has redriven yet.
pub fn insert(session: &Session, task_ids: Vec<i64>) -> Vec<Redriven> {
    INSERT.with(|s| {
        s.write(session, &[task_ids.into()]).all(|row| Redriven {
            old: row.get(),
            new: row.get(),
            waits_for: row.get(),
            queue_id: row.get(),
        })
    })
}

/// What a task was redriven as.
pub fn find(session: &Session, task_id: i64) -> Option<i64> {
    FIND.with(|s| s.write(session, &[task_id.into()]).first(|row| row.get()))
}

/// The run of a task, its state, and whether all its tasks have ended.
pub fn run_of(session: &Session, task_id: i64) -> Option<(i64, RunState, bool)> {
    RUN_OF.with(|s| {
        s.write(session, &[task_id.into()]).first(|row| {
            let run_id = row.get();
            let state = RunState::from_code(row.get()).expect("the table holds known states only");
            (run_id, state, row.get())
        })
    })
}

/// A task in the place of one that has ended.
pub struct InRun {
    pub task_id: i64,
    pub step_id: i64,
    pub shard: i16,
    /// How the old one ended.
    pub state: State,
    /// Before its work was undone.
    pub first: Option<State>,
}

/// The new task, blocked until the run is resumed; `None`: somebody has redriven the old one.
pub fn insert_in_run(session: &Session, task_id: i64) -> Option<InRun> {
    INSERT_IN_RUN.with(|s| {
        s.write(session, &[task_id.into()]).first(|row| InRun {
            task_id: row.get(),
            step_id: row.get(),
            shard: row.get(),
            state: task::state(row),
            first: row.get::<Option<i16>>().and_then(State::from_code),
        })
    })
}
