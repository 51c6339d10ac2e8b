//! The ledger of what undoes the work of tasks, and how tasks ended first whose work is undone.

use crate::model::state::State;
use crate::pg::datum::Jsonb;
use crate::pg::session::Session;
use crate::pg::statement::Rows;
use crate::statements;
use crate::store::lease::Report;
use crate::store::task::state;

statements! {
    FIND = "compensation_find.sql",
    REGISTER = "compensation_register.sql",
    DEFINE = "compensations_define.sql",
    BEGIN = "compensate.sql",
    NEXT = "compensation_next.sql",
    NEXT_OF_RUN = "compensation_next_of_run.sql",
    DISPATCH = "compensation_dispatch.sql",
    END = "compensation_end.sql",
    GIVE_UP = "compensation_give_up.sql",
    NOTE = "compensation_note.sql",
    OF_LOCKED = "compensations_of_task.sql",
    DUE_INSERT = "due_insert_owner.sql",
    OF_RUN = "compensations_of_run.sql",
    SAGA_GET = "saga_get.sql",
    SAGA_SAME = "saga_same.sql",
    OF_TASK = "task_compensations.sql",
    LEDGER_OF_RUN = "workflow_compensations.sql",
}

/// The number of a compensation of a locked task that was registered under this name and payload.
pub fn find(session: &Session, task_id: i64, name: &str, payload: Jsonb) -> Option<i32> {
    let args = [task_id.into(), name.into(), payload.into()];
    FIND.with(|s| s.write(session, &args).first(|row| row.get()))
}

/// Registers one for a locked task; returns its number.
pub fn register(
    session: &Session,
    task_id: i64,
    token: i64,
    queue_id: i32,
    name: &str,
    payload: Jsonb,
) -> i32 {
    let args = [
        task_id.into(),
        token.into(),
        queue_id.into(),
        name.into(),
        payload.into(),
    ];
    REGISTER
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .expect("the task is locked by this transaction")
}

/// Registers what the definition says of the steps of these tasks, which have completed in this order.
pub fn define(session: &Session, task_ids: Vec<i64>) {
    DEFINE.with(|s| drop(s.write(session, &[task_ids.into()])));
}

/// A locked task has ended, and is to be undone first.
pub fn begin(session: &Session, task_id: i64, report: &Report, by_lease: bool, lost: bool) {
    let args = [
        task_id.into(),
        report.state.code().into(),
        report.reason.map(str::to_owned).into(),
        report.result.into(),
        report.error.into(),
        by_lease.into(),
        lost.into(),
    ];
    BEGIN.with(|s| drop(s.write(session, &args)));
}

/// What is to be undone next for a locked task: (compensation, queue).
pub fn next(session: &Session, task_id: i64) -> Option<(i64, i32)> {
    NEXT.with(|s| {
        s.write(session, &[task_id.into()])
            .first(|row| (row.get(), row.get()))
    })
}

/// What is to be undone next in a locked run.
pub struct Next {
    pub compensation_id: i64,
    pub queue_id: i32,
    pub task_id: i64,
    /// Its payload is what the step of this name says.
    pub by_definition: bool,
    pub name: String,
}

pub fn next_of_run(session: &Session, run_id: i64) -> Option<Next> {
    NEXT_OF_RUN.with(|s| {
        s.write(session, &[run_id.into()]).first(|row| Next {
            compensation_id: row.get(),
            queue_id: row.get(),
            task_id: row.get(),
            by_definition: row.get(),
            name: row.get(),
        })
    })
}

/// Makes the task that runs a compensation, for its owner: a task or a run.
pub fn dispatch(
    session: &Session,
    compensation_id: i64,
    payload: Option<Jsonb>,
    owner: i64,
) -> i64 {
    let args = [compensation_id.into(), payload.into(), owner.into()];
    DISPATCH
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .expect("a compensation is in the ledger as long as its task is")
}

/// A compensation's task has ended; returns whose work it undid.
pub fn end(session: &Session, task_id: i64) -> Option<i64> {
    END.with(|s| s.write(session, &[task_id.into()]).first(|row| row.get()))
}

/// A compensation that has ended.
pub struct Ended {
    pub compensation_no: i32,
    pub name: String,
    pub task_id: i64,
    pub state: State,
}

/// How the compensations of a locked task stand: whether one is under way, and how the last one ended.
pub fn of_locked(session: &Session, task_id: i64) -> (bool, Option<Ended>) {
    OF_LOCKED
        .with(|s| {
            s.write(session, &[task_id.into()]).first(|row| {
                let under_way = row.get();
                let compensation_no: Option<i32> = row.get();
                let ended = compensation_no.map(|compensation_no| Ended {
                    compensation_no,
                    name: row.get(),
                    task_id: row.get(),
                    state: state(row),
                });
                (under_way, ended)
            })
        })
        .expect("one row")
}

/// Leaves what follows for a compensating task to who looks into the queue: others hold it.
pub fn insert_due(session: &Session, task_id: i64, queue_id: i32) {
    DUE_INSERT.with(|s| drop(s.write(session, &[task_id.into(), queue_id.into()])));
}

/// A compensation that cannot be run.
pub fn give_up(session: &Session, compensation_id: i64, error: Jsonb) {
    GIVE_UP.with(|s| drop(s.write(session, &[compensation_id.into(), error.into()])));
}

/// Says on the tape of a locked task how one of its compensations ended.
pub fn note(session: &Session, task_id: i64, ended: &Ended) {
    let args = [
        task_id.into(),
        ended.compensation_no.into(),
        ended.name.as_str().into(),
        ended.task_id.into(),
        ended.state.code().into(),
    ];
    NOTE.with(|s| drop(s.write(session, &args)));
}

/// How the compensations of a run's tasks stand.
pub struct OfRun {
    pub under_way: bool,
    pub gave_up: bool,
    /// The last one that ended for the run: (of which task, number, name, its task, state).
    pub last: Option<(i64, i32, String, Option<i64>, State)>,
}

pub fn of_run(session: &Session, run_id: i64) -> OfRun {
    OF_RUN
        .with(|s| {
            s.write(session, &[run_id.into()]).first(|row| {
                let (under_way, gave_up) = (row.get(), row.get());
                let of_task_id: Option<i64> = row.get();
                OfRun {
                    under_way,
                    gave_up,
                    last: of_task_id.map(|of| (of, row.get(), row.get(), row.get(), state(row))),
                }
            })
        })
        .expect("one row")
}

/// How a task ended first.
pub struct First {
    pub state: State,
    pub reason: Option<String>,
    pub result: Option<Jsonb>,
    pub error: Option<Jsonb>,
}

pub fn first(session: &Session, task_id: i64) -> First {
    SAGA_GET
        .with(|s| {
            s.write(session, &[task_id.into()]).first(|row| First {
                state: state(row),
                reason: row.get(),
                result: row.get(),
                error: row.get(),
            })
        })
        .expect("a compensating task has ended before")
}

/// How the holder of this token ended a task first, if he did: (state, reason, whether with these values).
pub fn first_by(
    session: &Session,
    task_id: i64,
    token: i64,
    result: Option<Jsonb>,
    error: Option<Jsonb>,
) -> Option<(State, Option<String>, bool)> {
    let args = [task_id.into(), token.into(), result.into(), error.into()];
    SAGA_SAME.with(|s| {
        s.write(session, &args)
            .first(|row| (state(row), row.get(), row.get()))
    })
}

/// (number, name, task, state, error)
pub type Entry = (i32, String, Option<i64>, String, Option<Jsonb>);

pub fn of_task(session: &Session, task_id: i64) -> Vec<Entry> {
    let args = [task_id.into(), session.queues().into()];
    let read = |rows: Rows| rows.all(|row| (row.get(), row.get(), row.get(), row.get(), row.get()));
    OF_TASK.with(|s| read(s.read(session, &args)))
}

/// (step, item, of which task, number, name, task, state, error, queue, payload)
pub type RunEntry = (
    Option<String>,
    Option<i32>,
    i64,
    i32,
    String,
    Option<i64>,
    String,
    Option<Jsonb>,
    String,
    Option<Jsonb>,
);

pub fn ledger_of_run(session: &Session, run_id: i64) -> Vec<RunEntry> {
    let args = [run_id.into(), session.queues().into()];
    let read = |rows: Rows| {
        rows.all(|row| {
            (
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
            )
        })
    };
    LEDGER_OF_RUN.with(|s| read(s.read(session, &args)))
}
