//! What follows when tasks end, or give back their slots, in the same transaction: the slots go to the next
//! in line, the groups' counters go down, and a step that has ended moves its run on.
//!
//! Lock order, over the whole batch: own tasks (locked by the verb, by id) → tasks whose work they undo → counters → runs, each with its
//! steps. Slots are never waited for. Tasks that are not the verb's own are taken with SKIP LOCKED only. See docs/locking.md.

use super::runs::{self, Failure, Sequel};
use super::slots::{self, Leaving};
use super::{compensations, items};
use crate::model::run::{RunState, StepState, step_end};
use crate::model::state::State;
use crate::pg::datum::Jsonb;
use crate::pg::session::Session;
use crate::pg::{lock, settings, xact};
use crate::store::lease::Place;
use crate::store::step::{self, Due, Ended, Forgotten, Joined};
use crate::store::{compensation, on_final, run};
use std::collections::{BTreeMap, BTreeSet};

/// A task that has left its place: it has ended, is compensating, or is scheduled or blocked and holds no slot.
pub struct Left {
    pub task_id: i64,
    /// How it ended, if it did.
    pub ended: Option<State>,
    /// How it ended first, if its work is undone before that is so.
    pub first: Option<State>,
    /// The id drawn for the task that tells of its end, if its queue does.
    pub on_final_task_id: Option<i64>,
    /// A compensation that this has made ready.
    pub dispatched: Option<i64>,
    pub place: Place,
}

impl Left {
    /// It has failed, whatever becomes of it.
    fn has_failed(&self) -> bool {
        matches!(
            self.ended.or(self.first),
            Some(State::Failed | State::Quarantined)
        )
    }

    /// What is compensating keeps its slots.
    fn leaves_slots(&self) -> bool {
        !self.place.slot_keys.is_empty() && (self.ended.is_some() || self.first.is_none())
    }
}

/// What others left at a step, because its run's gate was closed.
#[derive(Clone, Copy)]
pub struct DueStep {
    pub step_id: i64,
    /// Where it was left.
    pub queue_id: i32,
    pub failed_task_id: Option<i64>,
}

/// Advances what depends on these tasks; returns the tasks made ready.
pub fn after(session: &Session, left: Vec<Left>) -> Vec<i64> {
    after_all(session, left, &Dues::default())
}

/// The same for tasks that were ended with their run, and items that will never be tasks.
pub fn after_cancel(session: &Session, left: Vec<Left>, forgotten: &[Forgotten]) {
    advance(session, &left, forgotten, BTreeMap::new());
}

/// The same, and what others left.
pub fn after_all(session: &Session, mut left: Vec<Left>, dues: &Dues) -> Vec<i64> {
    let due = &dues.steps;
    if left.is_empty() && due.is_empty() && dues.owners.is_empty() {
        return Vec::new();
    }
    let mut sequels: BTreeMap<i64, Sequel> = BTreeMap::new();
    for (run_id, step_id) in runs_of(session, due.iter().map(|due| due.step_id).collect()) {
        let of_step = due.iter().filter(|due| due.step_id == step_id).copied();
        sequels.entry(run_id).or_default().due.extend(of_step);
    }
    let mut dispatched = compensations::go_on(session, &mut left, &dues.owners, &mut sequels);
    let forgotten = fail(session, &mut left, due, &mut sequels);
    dispatched.extend(advance(session, &left, &forgotten, sequels));
    dispatched
}

fn advance(
    session: &Session,
    left: &[Left],
    forgotten: &[Forgotten],
    mut sequels: BTreeMap<i64, Sequel>,
) -> Vec<i64> {
    let completed: Vec<i64> = left
        .iter()
        .filter(|task| task.ended == Some(State::Completed) && task.place.compensable)
        .map(|task| task.task_id)
        .collect();
    if !completed.is_empty() {
        compensation::define(session, completed);
    }
    let mut dispatched: Vec<i64> = left.iter().filter_map(|task| task.dispatched).collect();
    let leaving: Vec<Leaving> = left
        .iter()
        .filter(|task| task.leaves_slots())
        .map(|task| Leaving {
            task_id: task.task_id,
            queue_id: task.place.queue_id,
            slot_keys: task.place.slot_keys.clone(),
        })
        .collect();
    let freed = slots::release(session, &leaving);
    dispatched.extend(freed.ready);
    let mut shards: BTreeMap<i64, i32> = BTreeMap::new();
    for ((step_id, shard), count) in counts(left, forgotten) {
        if step::count_down(session, step_id, shard, count) {
            *shards.entry(step_id).or_default() += 1;
        }
    }
    for (run_id, step_id) in runs_of(session, shards.keys().copied().collect()) {
        let sequel = sequels.entry(run_id).or_default();
        sequel.shards.push((step_id, shards[&step_id]));
    }
    let due: BTreeSet<i64> = sequels
        .values()
        .flat_map(|sequel| &sequel.due)
        .map(|due| due.step_id)
        .collect();
    for (run_id, sequel) in sequels {
        let moved = runs::move_on(session, run_id, sequel);
        dispatched.retain(|task_id| !moved.blocked.contains(task_id));
        dispatched.extend(moved.ready);
    }
    for step_id in due {
        dispatched.extend(items::next_batch_if_dry(session, step_id));
    }
    for slot_key in freed.dry {
        dispatched.extend(items::next_batch_of_key(session, slot_key));
    }
    dispatched.extend(tell(session, left));
    dispatched
}

fn runs_of(session: &Session, mut step_ids: Vec<i64>) -> Vec<(i64, i64)> {
    if step_ids.is_empty() {
        return Vec::new();
    }
    step_ids.sort_unstable();
    step_ids.dedup();
    let mut runs = step::runs_of(session, step_ids);
    runs.sort_unstable();
    runs
}

/// Tasks of runs have failed: where that stops the run, what has not started goes with them, before any slot or counter is
/// locked. Returns the items that will never be tasks.
fn fail(
    session: &Session,
    left: &mut Vec<Left>,
    due: &[DueStep],
    sequels: &mut BTreeMap<i64, Sequel>,
) -> Vec<Forgotten> {
    let mut failed: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for task in &*left {
        if task.has_failed()
            && let (Some(step_id), Some(_)) = (task.place.step_id, task.place.shard)
        {
            failed.entry(step_id).or_default().push(task.task_id);
        }
    }
    for due in due {
        let failures = failed.entry(due.step_id).or_default();
        failures.extend(due.failed_task_id);
    }
    let mut forgotten = Vec::new();
    if failed.is_empty() {
        return forgotten;
    }
    for stoppable in run::on_error_of(session, failed.keys().copied().collect()) {
        let run_id = stoppable.run_id;
        let mut failures = Vec::new();
        if stoppable.on_error.is_some() {
            for (step_id, task_ids) in &failed {
                if stoppable.step_ids.contains(step_id) {
                    failures.extend(task_ids.iter().map(|task_id| Failure::Task(*task_id)));
                }
            }
        }
        let has_failed = !failures.is_empty();
        if has_failed {
            sequels.entry(run_id).or_default().failures = failures;
        }
        match run::try_lock(session, run_id) {
            Some(state) if runs::stops(state, stoppable.on_error, has_failed) => {
                let handlers_stay = state != RunState::Cancelling;
                let (ended, items) =
                    runs::end_unstarted(session, run_id, "run_cancelled", handlers_stay, false);
                left.extend(ended);
                forgotten.extend(items);
            }
            Some(_) => {}
            // The gate may open before the run's turn comes.
            None => {
                sequels.entry(run_id).or_default().gate_was_closed =
                    stoppable.step_ids.first().copied();
            }
        }
    }
    forgotten
}

fn counts(left: &[Left], forgotten: &[Forgotten]) -> BTreeMap<(i64, i16), Ended> {
    let mut counts: BTreeMap<(i64, i16), Ended> = BTreeMap::new();
    for task in left {
        let (Some(state), Some(step_id), Some(shard)) =
            (task.ended, task.place.step_id, task.place.shard)
        else {
            continue;
        };
        let count = counts.entry((step_id, shard)).or_default();
        let compensated = state == State::Compensated;
        let counted = if compensated {
            task.first.unwrap_or(State::Failed)
        } else {
            state
        };
        match counted {
            State::Completed => count.completed += 1,
            State::Cancelled => count.cancelled += 1,
            _ => count.failed += 1,
        }
        count.quarantined += i32::from(state == State::Quarantined);
        count.compensated += i32::from(compensated);
        count.compensated_failed += i32::from(compensated && counted != State::Cancelled);
    }
    for gone in forgotten {
        for index in gone.first_index..gone.first_index + gone.items {
            let shard = (index % i32::from(gone.shards)) as i16;
            let count = counts.entry((gone.step_id, shard)).or_default();
            count.cancelled += 1;
            count.forgotten += 1;
        }
    }
    counts
}

/// Ends a step whose last item has ended; its run is locked, unless its gate is closed.
pub fn join(session: &Session, step_id: i64, joined: &Joined) {
    let (_, completed, failed, cancelled) = step::counts(session, step_id);
    let mut state = step_end(completed, failed, cancelled);
    let mut error = None;
    if joined.wide {
        let (bytes, most) = (
            step::join_bytes(session, step_id),
            settings::max_join_bytes(),
        );
        if bytes > most {
            state = StepState::Failed;
            error = Some(Jsonb::from_text(&format!(
                r#"{{"message": "the results of its items have {bytes} bytes together; at most {most} are allowed (pg_baton.max_join_bytes)"}}"#
            )));
        }
    }
    step::end(session, step_id, state, error, false);
}

/// Creates the tasks that tell of these ends, where the ended tasks' queues ask for it. Whoever ended them comes
/// here: every end is heard.
fn tell(session: &Session, left: &[Left]) -> Vec<i64> {
    let ended: Vec<i64> = left
        .iter()
        .filter(|task| task.on_final_task_id.is_some())
        .map(|task| task.task_id)
        .collect();
    if ended.is_empty() {
        return Vec::new();
    }
    // Asked again once the queues are held: somebody may have made the ends be told elsewhere, and dropped them.
    let mut targets = on_final::targets(session, ended.clone());
    loop {
        let queues: BTreeSet<i32> = targets.iter().map(|target| target.queue_id).collect();
        for queue_id in queues {
            lock::hold_queue(queue_id);
        }
        let now = on_final::targets(session, ended.clone());
        if now == targets {
            break;
        }
        targets = now;
    }
    xact::force_id();
    let told = on_final::insert(session, &targets);
    if told.len() < ended.len() {
        on_final::forget(session, ended);
    }
    told
}

/// What others left in a queue.
#[derive(Default)]
pub struct Dues {
    steps: Vec<DueStep>,
    /// Tasks that are compensating, each with the queue where it was left.
    owners: Vec<(i64, i32)>,
    /// Queues in which slots may have been left.
    queues: Vec<i32>,
}

impl Dues {
    /// Takes up what others left in a queue, bounded.
    pub fn take(&mut self, session: &Session, queue_id: i32) {
        xact::force_id();
        self.queues.push(queue_id);
        for due in step::take_due(session, queue_id) {
            match due {
                Due::Step {
                    step_id,
                    failed_task_id,
                } => self.steps.push(DueStep {
                    step_id,
                    queue_id,
                    failed_task_id,
                }),
                Due::Owner { task_id } => self.owners.push((task_id, queue_id)),
            }
        }
    }

    /// Hands out the slots that may be free.
    pub fn fill(self, session: &Session) {
        for queue_id in self.queues {
            for slot_key in slots::take_up(session, queue_id).dry {
                items::next_batch_of_key(session, slot_key);
            }
        }
    }
}
