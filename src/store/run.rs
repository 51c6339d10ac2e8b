//! Runs: their gate, their state, their tape, and their tasks in flight.

use crate::model::run::{OnError, RunState};
use crate::model::state::State;
use crate::pg::datum::{Instant, Jsonb, QueueIds};
use crate::pg::session::Session;
use crate::pg::statement::Row;
use crate::statements;
use crate::store::lease::{self, Holder, Place};

statements! {
    INSERT = "run_insert.sql",
    BY_KEY = "run_by_key.sql",
    LOCK = "run_lock.sql",
    EXCLUDE = "run_exclude.sql",
    TRY_LOCK = "run_try_lock.sql",
    TRY_LOCK_OF_STEP = "run_try_lock_of_step.sql",
    ON_ERROR_OF = "run_on_error.sql",
    HOLD = "run_hold.sql",
    CONTROL = "run_control.sql",
    SET_STATE = "run_set_state.sql",
    PAUSE = "run_pause.sql",
    ADD_FAILED = "run_add_failed.sql",
    TAKE_FAILED = "run_take_failed.sql",
    END = "run_end.sql",
    APPEND = "run_append.sql",
    APPEND_EVENT = "run_append_event.sql",
    TAPE_LOCK = "run_tape_lock.sql",
    EVENT_BY_DEDUP_KEY = "run_event_by_dedup_key.sql",
    ANNOTATE = "run_annotate.sql",
    FINALIZED_SAME = "run_finalized_same.sql",
    HAS_OPEN_STEP = "run_has_open_step.sql",
    TASKS_LOCK = "run_tasks_lock.sql",
    PAUSE_TASKS = "run_pause_tasks.sql",
    RESUME_KEYS = "run_resume_keys.sql",
    RESUME_TASKS = "run_resume_tasks.sql",
    END_TASKS = "run_end_tasks.sql",
    REQUEST_CANCEL = "run_request_cancel.sql",
    LOCK_REGISTERED = "run_lock_registered.sql",
    KEEP_FIRST = "run_keep_first.sql",
    STATE_OF_STEP = "run_state_of_step.sql",
    STATE_NOW = "run_state_now.sql",
    SEEN = "run_seen.sql",
    EXISTS = "run_exists.sql",
    SHAPE = "run_shape.sql",
    FORGET_FAILURE = "run_forget_failure.sql",
    DESCRIBE_FAILURES = "run_describe_failures.sql",
    FAILED_DETAIL = "run_failed_detail.sql",
}

fn state(row: &mut Row) -> RunState {
    RunState::from_code(row.get()).expect("the table holds known states only")
}

fn on_error(row: &mut Row) -> Option<OnError> {
    let code: Option<i16> = row.get();
    code.and_then(|code| OnError::ALL.get(code as usize).copied())
}

fn code(on_error: OnError) -> i16 {
    OnError::ALL
        .iter()
        .position(|known| *known == on_error)
        .expect("all are listed") as i16
}

/// A run to be started.
pub struct New<'a> {
    pub run_id: i64,
    pub workflow_id: Option<i64>,
    pub slot_key: Option<i64>,
    pub on_error: Option<OnError>,
    pub version: Option<i32>,
    pub name: Option<&'a str>,
    pub key: Option<&'a str>,
    pub input: Jsonb,
    pub metadata: Jsonb,
}

/// `false`: the workflow has a run with this key.
pub fn insert(session: &Session, new: &New) -> bool {
    let args = [
        new.run_id.into(),
        new.workflow_id.into(),
        new.slot_key.into(),
        new.on_error.map(code).into(),
        new.version.into(),
        new.name.map(str::to_owned).into(),
        new.key.map(str::to_owned).into(),
        new.input.into(),
        new.metadata.into(),
    ];
    INSERT.with(|s| s.write(session, &args).len() == 1)
}

/// (run, whether it was started with this input, whether the caller may touch all its steps' queues)
pub fn by_key(
    session: &Session,
    name: Option<&str>,
    key: &str,
    input: Jsonb,
) -> Option<(i64, bool, bool)> {
    let args = [
        name.map(str::to_owned).into(),
        key.into(),
        input.into(),
        session.queues().into(),
    ];
    BY_KEY.with(|s| {
        s.write(session, &args)
            .first(|row| (row.get(), row.get(), row.get()))
    })
}

/// The run, its gate held open; waits. `None` too if it has no step in these queues.
pub fn lock(session: &Session, run_id: i64, queues: Option<&QueueIds>) -> Option<RunState> {
    LOCK.with(|s| {
        s.write(session, &[run_id.into(), queues.into()])
            .first(state)
    })
}

/// The same, its gate closed to everybody else.
pub fn exclude(session: &Session, run_id: i64, queues: Option<&QueueIds>) -> Option<RunState> {
    EXCLUDE.with(|s| {
        s.write(session, &[run_id.into(), queues.into()])
            .first(state)
    })
}

/// The same as `lock` without waiting: `None` if the gate is closed.
pub fn try_lock(session: &Session, run_id: i64) -> Option<RunState> {
    TRY_LOCK.with(|s| s.write(session, &[run_id.into()]).first(state))
}

/// The run of a step and its state, its gate held open; `None` if it is closed.
pub fn try_lock_of_step(session: &Session, step_id: i64) -> Option<(i64, RunState)> {
    TRY_LOCK_OF_STEP.with(|s| {
        s.write(session, &[step_id.into()])
            .first(|row| (row.get(), state(row)))
    })
}

/// A run in which tasks have failed, or something was left to do, and what a failure does there.
pub struct Stoppable {
    pub run_id: i64,
    pub step_ids: Vec<i64>,
    pub on_error: Option<OnError>,
}

/// The runs of these steps.
pub fn on_error_of(session: &Session, step_ids: Vec<i64>) -> Vec<Stoppable> {
    ON_ERROR_OF.with(|s| {
        s.write(session, &[step_ids.into()]).all(|row| Stoppable {
            run_id: row.get(),
            step_ids: row.get(),
            on_error: on_error(row),
        })
    })
}

/// A run, its row locked.
pub struct Held {
    pub run_id: i64,
    pub state: RunState,
    pub on_error: Option<OnError>,
    pub workflow_id: Option<i64>,
    pub slot_key: Option<i64>,
    pub checkpoint: Option<String>,
}

fn held(run_id: i64, row: &mut Row) -> Held {
    Held {
        run_id,
        state: state(row),
        on_error: on_error(row),
        workflow_id: row.get(),
        slot_key: row.get(),
        checkpoint: row.get(),
    }
}

/// A run whose gate this transaction holds; waits for who else notes the end of a step.
pub fn hold(session: &Session, run_id: i64) -> Option<Held> {
    HOLD.with(|s| {
        s.write(session, &[run_id.into()])
            .first(|row| held(run_id, row))
    })
}

/// Whether there is such a run, with a step in these queues.
pub fn exists(session: &Session, run_id: i64, queues: Option<&QueueIds>) -> bool {
    EXISTS.with(|s| s.write(session, &[run_id.into(), queues.into()]).len() == 1)
}

/// The same without its row's lock: what it is, rather than where.
pub fn seen(session: &Session, run_id: i64) -> Option<Held> {
    SEEN.with(|s| {
        s.write(session, &[run_id.into()])
            .first(|row| held(run_id, row))
    })
}

/// Whether a fixed snapshot hides something that a resume would find to do.
pub fn is_hidden(session: &Session, run_id: i64) -> bool {
    let shape = |row: &mut Row| (row.get::<i64>(), row.get::<i64>(), row.get::<i64>());
    SHAPE.with(|s| {
        let args = [run_id.into()];
        s.write(session, &args).first(shape) != s.read_latest(session, &args).first(shape)
    })
}

/// Failures, as a checkpoint's detail lists them: a JSON array.
pub fn describe_failures(session: &Session, task_ids: Vec<i64>, steps: Vec<String>) -> Jsonb {
    DESCRIBE_FAILURES
        .with(|s| {
            s.write(session, &[task_ids.into(), steps.into()])
                .first(|row| row.get())
        })
        .expect("one row")
}

/// The detail of a checkpoint that lists these failures.
pub fn failed_detail(session: &Session, failed: Jsonb) -> Jsonb {
    FAILED_DETAIL
        .with(|s| s.write(session, &[failed.into()]).first(|row| row.get()))
        .expect("one row")
}

/// A run that the caller controls, its gate closed; waits.
pub fn control(session: &Session, run_id: i64) -> Option<Held> {
    CONTROL.with(|s| {
        s.write(session, &[run_id.into(), session.queues().into()])
            .first(|row| held(run_id, row))
    })
}

/// A run goes on in this state, not paused.
pub fn set_state(
    session: &Session,
    run_id: i64,
    state: RunState,
    on_error: Option<OnError>,
    cancel_reason: Option<&str>,
) {
    let args = [
        run_id.into(),
        state.code().into(),
        on_error.map(code).into(),
        cancel_reason.map(str::to_owned).into(),
    ];
    SET_STATE.with(|s| drop(s.write(session, &args)));
}

pub fn pause(session: &Session, run_id: i64, checkpoint: &str, detail: Option<Jsonb>) {
    let args = [run_id.into(), checkpoint.into(), detail.into()];
    PAUSE.with(|s| drop(s.write(session, &args)));
}

/// More failures (a JSON array) in a run that is paused.
pub fn add_failed(session: &Session, run_id: i64, failed: Jsonb) {
    ADD_FAILED.with(|s| drop(s.write(session, &[run_id.into(), failed.into()])));
}

/// The failures that came while the run was paused at another checkpoint, which are forgotten with this.
pub fn take_failed(session: &Session, run_id: i64) -> Option<Jsonb> {
    TAKE_FAILED.with(|s| s.write(session, &[run_id.into()]).first(|row| row.get()))
}

/// A failed task is no longer among the failures of a paused run.
pub fn forget_failure(session: &Session, run_id: i64, task_id: i64) {
    FORGET_FAILURE.with(|s| drop(s.write(session, &[run_id.into(), task_id.into()])));
}

/// Ends a run, with its final event.
pub fn end(session: &Session, run_id: i64, state: RunState, result: Option<Jsonb>) {
    let args = [run_id.into(), state.code().into(), result.into()];
    END.with(|s| drop(s.write(session, &args)));
}

/// The next events of a run's tape: kinds and bodies.
pub fn append(session: &Session, run_id: i64, events: Vec<(&str, Jsonb)>) {
    let (kinds, bodies): (Vec<String>, Vec<Jsonb>) = events
        .into_iter()
        .map(|(kind, body)| (kind.to_owned(), body))
        .unzip();
    APPEND.with(|s| drop(s.write(session, &[run_id.into(), kinds.into(), bodies.into()])));
}

/// (seq, at, cancel requested), if the run is open and its tape not full.
pub fn append_event(
    session: &Session,
    run_id: i64,
    kind: &str,
    body: Option<Jsonb>,
    dedup_key: Option<String>,
    max_events: i64,
) -> Option<(i64, Instant, bool)> {
    let args = [
        run_id.into(),
        kind.into(),
        body.into(),
        dedup_key.into(),
        max_events.into(),
        session.queues().into(),
    ];
    APPEND_EVENT.with(|s| {
        s.write(session, &args)
            .first(|row| (row.get(), row.get(), row.get()))
    })
}

/// Holds a run's tape still: (its state, its highest seq).
pub fn lock_tape(session: &Session, run_id: i64) -> Option<(RunState, i64)> {
    TAPE_LOCK.with(|s| {
        s.write(session, &[run_id.into(), session.queues().into()])
            .first(|row| (state(row), row.get()))
    })
}

/// (seq, at) of the event with this key.
pub fn event_by_dedup_key(session: &Session, run_id: i64, key: &str) -> Option<(i64, Instant)> {
    EVENT_BY_DEDUP_KEY.with(|s| {
        s.write(session, &[run_id.into(), key.into()])
            .first(|row| (row.get(), row.get()))
    })
}

/// The size of the run's metadata after these were merged into it.
pub fn annotate(session: &Session, run_id: i64, metadata: Jsonb) -> Option<i32> {
    let args = [run_id.into(), metadata.into(), session.queues().into()];
    ANNOTATE.with(|s| s.write(session, &args).first(|row| row.get()))
}

pub fn finalized_same(
    session: &Session,
    run_id: i64,
    state: RunState,
    result: Option<Jsonb>,
) -> bool {
    let args = [run_id.into(), state.code().into(), result.into()];
    FINALIZED_SAME
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .unwrap_or(false)
}

pub fn has_open_step(session: &Session, run_id: i64) -> bool {
    HAS_OPEN_STEP
        .with(|s| s.write(session, &[run_id.into()]).first(|row| row.get()))
        .expect("one row")
}

/// Waits for whoever holds one of the run's tasks in flight, up to this state.
pub fn lock_tasks(session: &Session, run_id: i64, up_to: State) {
    TASKS_LOCK.with(|s| drop(s.write(session, &[run_id.into(), up_to.code().into()])));
}

/// Blocks what is in line, never waiting; returns the tasks.
pub fn pause_tasks(session: &Session, run_id: i64) -> Vec<Holder> {
    PAUSE_TASKS.with(|s| s.write(session, &[run_id.into()]).all(lease::holder))
}

/// Tasks in flight of these steps whose work must be undone when they are called off: those that do not run, with `force` also
/// those that do. Passes over what others hold.
pub fn lock_registered(session: &Session, step_ids: Vec<i64>, force: bool) -> Vec<i64> {
    LOCK_REGISTERED.with(|s| {
        s.write(session, &[step_ids.into(), force.into()])
            .all(|row| row.get())
    })
}

/// How a run ended first that is undone before it ends.
pub fn keep_first(session: &Session, run_id: i64, state: RunState, result: Option<Jsonb>) {
    let args = [run_id.into(), state.code().into(), result.into()];
    KEEP_FIRST.with(|s| drop(s.write(session, &args)));
}

/// The slot keys in whose lines the blocked tasks of a run stand, or will, each with a queue of theirs.
pub fn resume_keys(session: &Session, run_id: i64) -> Vec<(i64, i32)> {
    RESUME_KEYS.with(|s| {
        s.write(session, &[run_id.into()])
            .all(|row| (row.get(), row.get()))
    })
}

/// What was blocked gets in line again.
pub fn resume_tasks(session: &Session, run_id: i64) {
    RESUME_TASKS.with(|s| drop(s.write(session, &[run_id.into()])));
}

/// A task that was ended as cancelled, where it stood, and who is to tell of it.
pub struct EndedTask {
    pub task_id: i64,
    pub on_final_task_id: Option<i64>,
    pub place: Place,
}

/// Ends what has not started (and with `force` what runs) as cancelled; passes over what others hold.
pub fn end_tasks(
    session: &Session,
    step_ids: Vec<i64>,
    reason: &str,
    force: bool,
) -> Vec<EndedTask> {
    let args = [step_ids.into(), reason.into(), force.into()];
    END_TASKS.with(|s| {
        s.write(session, &args).all(|row| EndedTask {
            task_id: row.get(),
            on_final_task_id: row.get(),
            place: Place::read(row),
        })
    })
}

/// How many tasks run; with `ask` they are asked to stop.
pub fn request_cancel(
    session: &Session,
    run_id: i64,
    reason: Option<&str>,
    role: &str,
    ask: bool,
) -> i64 {
    let args = [
        run_id.into(),
        reason.map(str::to_owned).into(),
        role.into(),
        ask.into(),
    ];
    REQUEST_CANCEL
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .expect("an aggregate returns one row")
}

/// The state of a step's run by what is committed now.
pub fn state_of_step(session: &Session, step_id: i64) -> Option<RunState> {
    STATE_OF_STEP.with(|s| s.read_latest(session, &[step_id.into()]).first(state))
}

/// A run's state by what is committed now, whatever the caller's snapshot.
pub fn state_now(session: &Session, run_id: i64) -> Option<RunState> {
    STATE_NOW.with(|s| s.read_latest(session, &[run_id.into()]).first(state))
}
