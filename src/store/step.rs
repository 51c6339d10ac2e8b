//! Steps, their items and join counters, and the dispatch of successors.

use crate::model::limits;
use crate::model::run::StepState;
use crate::model::state::State;
use crate::pg::datum::{Jsonb, JsonbArray};
use crate::pg::session::Session;
use crate::pg::statement::Arg;
use crate::pg::table::{self, Changed, Columns, Key, Moment, Strength};
use crate::statements;
use crate::store::tables::StepCount;
use pgrx::datum::Interval;

statements! {
    STEP_INSERT = "step_insert.sql",
    STEP_FIND = "step_find.sql",
    STEP_SAME_PAYLOADS = "step_same_payloads.sql",
    STEP_ITEMS_INSERT = "step_items_insert.sql",
    STEPS_INSERT = "steps_insert.sql",
    STEP_DISPATCH = "step_dispatch.sql",
    STEP_BATCHES_INSERT = "step_batches_insert.sql",
    STEP_BATCH_TAKE = "step_batch_take.sql",
    STEP_BATCHES_OF_KEY = "step_batches_of_key.sql",
    STEP_BATCHES_DROP = "step_batches_drop.sql",
    STEP_BATCH_OF_QUEUE = "step_batch_of_queue.sql",
    STEPS_RUNS = "steps_runs.sql",
    STEP_COUNT_UP = "step_count_up.sql",
    STEP_OPEN_AGAIN = "step_open_again.sql",
    KEY_OF_BATCHES = "step_key_of_batches.sql",
    FAILED_TASKS = "step_failed_tasks.sql",
    WITH_UNSTARTED = "step_with_unstarted.sql",
    DUE_INSERT_AGAIN = "due_insert_again.sql",
    STEP_OF_LIVE_TASK = "step_of_live_task.sql",
    DUE_INSERT_FAILED = "due_insert_failed.sql",
    DUE_INSERT_STEP = "due_insert_step.sql",
    STEP_JOIN_BYTES = "step_join_bytes.sql",
    STEP_END = "step_end.sql",
    STEPS_WAITING_END = "steps_waiting_end.sql",
    STEPS_UNNOTED = "steps_unnoted.sql",
    STEPS_NOTE = "steps_note.sql",
    STEPS_OF_RUN = "steps_of_run.sql",
    STEP_PASS_CHECKPOINT = "step_pass_checkpoint.sql",
    STEP_SPEC = "step_spec.sql",
    STEP_ITEMS_GET = "step_items_get.sql",
    STEP_COUNTS_INSERT = "step_counts_insert.sql",
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
    DUE_TAKE = "due_take.sql",
}

pub fn next_id() -> i64 {
    table::next_value(c"id_seq")
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
    pub with_items: bool,
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
        step.with_items.into(),
    ];
    let inserted = STEP_INSERT.with(|s| s.write(session, &args).len() == 1);
    if inserted {
        insert_counts(session, step.step_id, step.total, step.shards);
    }
    inserted
}

fn insert_counts(session: &Session, step_id: i64, total: i32, shards: i16) {
    let args = [step_id.into(), total.into(), i32::from(shards).into()];
    STEP_COUNTS_INSERT.with(|s| drop(s.write(session, &args)));
}

/// A step of a definition, before its run begins.
pub struct Waiting<'a> {
    pub name: &'a str,
    pub queue_id: i32,
    pub max_parallel: Option<i32>,
    pub with_items: bool,
    /// A JSON array of names.
    pub needs: Jsonb,
    /// It is there for failures.
    pub survives: bool,
    /// Where the work of its tasks is undone.
    pub compensate_queue_id: Option<i32>,
}

/// The steps of a run, in an order in which each comes after those it needs.
pub fn insert_waiting(session: &Session, run_id: i64, steps: &[Waiting]) {
    let args: [Arg; 8] = [
        run_id.into(),
        steps
            .iter()
            .map(|step| step.name.to_owned())
            .collect::<Vec<_>>()
            .into(),
        steps
            .iter()
            .map(|step| step.queue_id)
            .collect::<Vec<_>>()
            .into(),
        steps
            .iter()
            .map(|step| step.max_parallel)
            .collect::<Vec<_>>()
            .into(),
        steps
            .iter()
            .map(|step| step.with_items)
            .collect::<Vec<_>>()
            .into(),
        steps
            .iter()
            .map(|step| step.needs)
            .collect::<Vec<_>>()
            .into(),
        steps
            .iter()
            .map(|step| step.survives)
            .collect::<Vec<_>>()
            .into(),
        steps
            .iter()
            .map(|step| step.compensate_queue_id)
            .collect::<Vec<_>>()
            .into(),
    ];
    STEPS_INSERT.with(|s| drop(s.write(session, &args)));
}

/// A waiting step starts: so many items, its counter in so many rows.
pub fn dispatch(session: &Session, step_id: i64, total: i32, shards: i16) {
    let args = [step_id.into(), total.into(), i32::from(shards).into()];
    STEP_DISPATCH.with(|s| drop(s.write(session, &args)));
    insert_counts(session, step_id, total, shards);
}

pub struct FoundStep {
    pub step_id: i64,
    pub run_id: i64,
    pub queue_id: i32,
    pub name: String,
    /// It is a step of the run's definition.
    pub defined: bool,
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
            defined: row.get(),
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

/// What the tasks of a step have in common.
pub struct Spec {
    pub run_id: i64,
    pub step_id: i64,
    pub queue_id: i32,
    pub name: String,
    pub max_attempts: i32,
    pub priority: i16,
    pub max_runtime: Option<Interval>,
    /// Its own, its run's, and those with a name.
    pub slot_keys: Vec<i64>,
    /// Its definition says how to undo its work.
    pub compensable: bool,
    pub shards: i16,
}

/// Items to become tasks.
pub struct Items<P> {
    pub payloads: P,
    pub first_index: i32,
    /// So many of them are ready, the others blocked.
    pub ready: i32,
    /// In line for this key; `None`: until the run is resumed.
    pub waits_for: Option<i64>,
}

/// Slot keys as a table has them.
pub fn keys(slot_keys: &[i64]) -> Arg {
    let some = (!slot_keys.is_empty()).then(|| slot_keys.to_vec());
    some.into()
}

/// (index, task, whether it is ready rather than blocked)
pub fn insert_items<P: Into<Arg>>(
    session: &Session,
    step: &Spec,
    items: Items<P>,
) -> Vec<(i32, i64, bool)> {
    let args = [
        step.run_id.into(),
        step.step_id.into(),
        step.queue_id.into(),
        step.name.as_str().into(),
        step.max_attempts.into(),
        items.payloads.into(),
        items.ready.into(),
        keys(&step.slot_keys),
        i32::from(step.shards).into(),
        items.first_index.into(),
        step.priority.into(),
        step.max_runtime.into(),
        step.compensable.then_some(true).into(),
        items.waits_for.into(),
    ];
    STEP_ITEMS_INSERT.with(|s| {
        s.write(session, &args)
            .all(|row| (row.get(), row.get(), row.get()))
    })
}

/// Keeps items to be made tasks later, so many a batch: by an acquire of the queue, or (`None`) by who frees a slot.
pub fn insert_batches(
    session: &Session,
    step_id: i64,
    payloads: JsonbArray,
    batch: i32,
    queue_id: Option<i32>,
) {
    let args = [
        step_id.into(),
        0.into(),
        payloads.into(),
        batch.into(),
        queue_id.into(),
    ];
    STEP_BATCHES_INSERT.with(|s| drop(s.write(session, &args)));
}

/// The next batch of a step's items, taken out: from which index on, and what they carry. Never waits.
pub fn take_batch(session: &Session, step_id: i64) -> Option<(i32, JsonbArray)> {
    STEP_BATCH_TAKE.with(|s| {
        s.write(session, &[step_id.into()])
            .first(|row| (row.get(), row.get()))
    })
}

/// The unbounded step of a queue whose items are to become tasks next.
pub fn batch_of_queue(session: &Session, queue_id: i32) -> Option<i64> {
    STEP_BATCH_OF_QUEUE.with(|s| s.write(session, &[queue_id.into()]).first(|row| row.get()))
}

/// The step whose next batch is to be made when nobody waits for the key any more.
pub fn batches_of_key(session: &Session, slot_key: i64) -> Option<i64> {
    STEP_BATCHES_OF_KEY.with(|s| s.write(session, &[slot_key.into()]).first(|row| row.get()))
}

/// The key of which a step's tasks need a slot first, if it has items that are no tasks yet, and is bounded.
pub fn key_of_batches(session: &Session, step_id: i64) -> Option<i64> {
    KEY_OF_BATCHES
        .with(|s| s.write(session, &[step_id.into()]).first(|row| row.get()))
        .flatten()
}

/// Items that were forgotten before they became tasks.
pub struct Forgotten {
    pub step_id: i64,
    pub shards: i16,
    pub first_index: i32,
    pub items: i32,
}

pub fn drop_batches(session: &Session, step_ids: Vec<i64>) -> Vec<Forgotten> {
    STEP_BATCHES_DROP.with(|s| {
        s.write(session, &[step_ids.into()]).all(|row| Forgotten {
            step_id: row.get(),
            shards: row.get(),
            first_index: row.get(),
            items: row.get(),
        })
    })
}

/// Where a step stands that has started, for more tasks of it.
pub struct Standing {
    pub name: String,
    pub queue_id: i32,
    pub shards: i16,
    pub bounded: bool,
    /// It is there for failures.
    pub survives: bool,
}

pub fn standing(session: &Session, step_id: i64) -> Option<Standing> {
    STEP_SPEC.with(|s| {
        s.write(session, &[step_id.into()]).first(|row| Standing {
            name: row.get(),
            queue_id: row.get(),
            shards: row.get(),
            bounded: row.get(),
            survives: row.get(),
        })
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
    /// Of those failed.
    pub quarantined: i32,
    /// Compensated, and of these, those that had failed.
    pub compensated: i32,
    pub compensated_failed: i32,
    /// Of those cancelled: they never were tasks.
    pub forgotten: i32,
}

/// Items of a shard have ended; returns whether it has none left. Takes the row lock of the counter (NO KEY UPDATE), waiting for siblings of
/// the same shard.
pub fn count_down(session: &Session, step_id: i64, shard: i16, ended: Ended) -> bool {
    let moment = Moment::now();
    let counts = StepCount::write();
    let key = [Key::is(step_id), Key::is(shard)];
    let Some(mut count) = counts.find(&moment, "step_count_pkey", key) else {
        return false;
    };
    loop {
        let mut less = counts.next_version(&count);
        let mut add = |column, items: i32| {
            let sum = count.get::<i32>(session, column) + items;
            less.set(column, sum);
            sum
        };
        let items = ended.completed + ended.failed + ended.cancelled;
        let remaining = add(StepCount::remaining, -items);
        add(StepCount::completed, ended.completed);
        add(StepCount::failed, ended.failed);
        add(StepCount::cancelled, ended.cancelled);
        add(StepCount::quarantined, ended.quarantined);
        add(StepCount::compensated, ended.compensated);
        add(StepCount::compensated_failed, ended.compensated_failed);
        add(StepCount::forgotten, ended.forgotten);
        match counts.update(&moment, &count, less) {
            Changed::Done => return remaining == 0,
            Changed::Gone => return false,
            Changed::Moved | Changed::Busy => {
                match counts.lock(&moment, &count, Strength::NoKeyUpdate, true) {
                    Some(newest) => count = newest,
                    None => return false,
                }
            }
        }
    }
}

/// An item that has ended in this state (`had_failed`: before it was compensated) is open again; whether its shard had none left.
pub fn count_up(
    session: &Session,
    step_id: i64,
    shard: i16,
    state: State,
    had_failed: bool,
) -> bool {
    STEP_COUNT_UP
        .with(|s| {
            s.write(
                session,
                &[
                    step_id.into(),
                    shard.into(),
                    state.code().into(),
                    had_failed.into(),
                ],
            )
            .first(|row| row.get())
        })
        .unwrap_or(false)
}

/// A shard of the step has an item again.
pub fn open_again(session: &Session, step_id: i64) {
    STEP_OPEN_AGAIN.with(|s| drop(s.write(session, &[step_id.into()])));
}

/// A step whose last item has ended.
pub struct Joined {
    /// Its results are joined, and there are so many that they may be too much.
    pub wide: bool,
}

/// `None`: items of the step are left.
pub fn shards_down(session: &Session, step_id: i64, shards: i32, wide_from: i32) -> Option<Joined> {
    STEP_SHARDS_DOWN.with(|s| {
        s.write(session, &[step_id.into(), shards.into(), wide_from.into()])
            .first(|row| {
                let over: bool = row.get();
                let joined = Joined { wide: row.get() };
                over.then_some(joined)
            })
            .flatten()
    })
}

/// How many bytes the results of its items have together.
pub fn join_bytes(session: &Session, step_id: i64) -> i64 {
    STEP_JOIN_BYTES
        .with(|s| s.write(session, &[step_id.into()]).first(|row| row.get()))
        .expect("an aggregate returns one row")
}

/// Ends a step; `noted`: what follows is done by the caller.
pub fn end(session: &Session, step_id: i64, state: StepState, error: Option<Jsonb>, noted: bool) {
    let args = [
        step_id.into(),
        state.code().into(),
        error.into(),
        noted.into(),
    ];
    STEP_END.with(|s| drop(s.write(session, &args)));
}

/// Ends waiting steps of a run as cancelled (all, or those of these names); returns their names.
pub fn end_waiting(session: &Session, run_id: i64, names: Option<Vec<String>>) -> Vec<String> {
    STEPS_WAITING_END.with(|s| {
        s.write(session, &[run_id.into(), names.into()])
            .all(|row| row.get())
    })
}

/// A step that has ended, and nobody has looked at what follows.
pub struct Unnoted {
    pub step_id: i64,
    pub name: String,
    pub state: StepState,
    /// Why it ended failed by itself.
    pub problem: Option<String>,
    pub has_successor: bool,
}

fn step_state(code: i16) -> StepState {
    StepState::from_code(code).expect("the table holds known states only")
}

pub fn unnoted(session: &Session, run_id: i64) -> Vec<Unnoted> {
    STEPS_UNNOTED.with(|s| {
        s.write(session, &[run_id.into()]).all(|row| Unnoted {
            step_id: row.get(),
            name: row.get(),
            state: step_state(row.get()),
            problem: row.get(),
            has_successor: row.get(),
        })
    })
}

pub fn note(session: &Session, step_ids: Vec<i64>) {
    STEPS_NOTE.with(|s| drop(s.write(session, &[step_ids.into()])));
}

/// A step of a run, as it stands.
pub struct StepRow {
    pub step_id: i64,
    pub name: String,
    pub state: StepState,
    pub queue_id: i32,
    pub checkpoint_passed: bool,
    /// It is there for failures.
    pub survives: bool,
}

/// Whether a step of the run has this name.
pub fn has_name(session: &Session, run_id: i64, name: &str) -> bool {
    !of_run(session, run_id, Some(vec![name.to_owned()])).is_empty()
}

/// All steps of a run, or those of these names.
pub fn of_run(session: &Session, run_id: i64, names: Option<Vec<String>>) -> Vec<StepRow> {
    STEPS_OF_RUN.with(|s| {
        s.write(session, &[run_id.into(), names.into()])
            .all(|row| StepRow {
                step_id: row.get(),
                name: row.get(),
                state: step_state(row.get()),
                queue_id: row.get(),
                checkpoint_passed: row.get(),
                survives: row.get(),
            })
    })
}

/// The run is paused before this step, once.
pub fn pass_checkpoint(session: &Session, step_id: i64) {
    STEP_PASS_CHECKPOINT.with(|s| drop(s.write(session, &[step_id.into()])));
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
    /// The run is paused: it waits until that is resumed.
    pub blocked: bool,
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
        new.blocked.into(),
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

/// The step of a live task, and whether it is there for failures.
fn live(session: &Session, task_id: i64) -> Option<(i64, bool)> {
    STEP_OF_LIVE_TASK.with(|s| {
        s.write(session, &[task_id.into()])
            .first(|row| (row.get(), row.get()))
    })
}

pub fn of_live_task(session: &Session, task_id: i64) -> Option<i64> {
    live(session, task_id).map(|(step_id, _)| step_id)
}

pub fn survives(session: &Session, task_id: i64) -> bool {
    live(session, task_id).is_some_and(|(_, survives)| survives)
}

/// (run, step)
pub fn runs_of(session: &Session, step_ids: Vec<i64>) -> Vec<(i64, i64)> {
    STEPS_RUNS.with(|s| {
        s.write(session, &[step_ids.into()])
            .all(|row| (row.get(), row.get()))
    })
}

/// Leaves what follows from where a step is to who looks into its queue, or where something follows it.
pub fn insert_due_step(session: &Session, step_id: i64) {
    DUE_INSERT_STEP.with(|s| drop(s.write(session, &[step_id.into()])));
}

/// Puts back what was taken from a queue and could not be done.
pub fn insert_due_again(session: &Session, step_id: i64, queue_id: i32) {
    DUE_INSERT_AGAIN.with(|s| drop(s.write(session, &[step_id.into(), queue_id.into()])));
}

/// The tasks of these steps that failed.
pub fn failed_tasks(session: &Session, step_ids: Vec<i64>) -> Vec<i64> {
    FAILED_TASKS.with(|s| s.write(session, &[step_ids.into()]).all(|row| row.get()))
}

/// The first of these steps that has a task which has not started.
pub fn with_unstarted(session: &Session, step_ids: Vec<i64>) -> Option<i64> {
    WITH_UNSTARTED
        .with(|s| s.write(session, &[step_ids.into()]).first(|row| row.get()))
        .flatten()
}

/// Leaves the news of these failures to who looks into their queue.
pub fn insert_due_failed(session: &Session, task_ids: Vec<i64>) {
    DUE_INSERT_FAILED.with(|s| drop(s.write(session, &[task_ids.into()])));
}

/// What others left in a queue.
pub enum Due {
    /// What follows from where a step is, and from a failure of one of its tasks.
    Step {
        step_id: i64,
        failed_task_id: Option<i64>,
    },
    /// What follows for a task that is compensating.
    Owner { task_id: i64 },
}

pub fn take_due(session: &Session, queue_id: i32) -> Vec<Due> {
    DUE_TAKE.with(|s| {
        s.write(session, &[queue_id.into(), i64::from(limits::SWEEP).into()])
            .all(|row| {
                let (step_id, failed_task_id) = (row.get(), row.get());
                match step_id {
                    Some(step_id) => Due::Step {
                        step_id,
                        failed_task_id,
                    },
                    None => Due::Owner { task_id: row.get() },
                }
            })
    })
}
