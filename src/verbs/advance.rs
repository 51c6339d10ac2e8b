//! What follows when tasks end, or give back their slots, in the same transaction: the slots go to the next
//! in line, the groups' counters go down, and a step that has ended moves its run on.
//!
//! Lock order, over the whole batch: own tasks (locked by the verb, by id) → slot keys → counters → runs, each with its
//! steps. Tasks that are not the verb's own are taken with SKIP LOCKED only. See docs/locking.md.

use super::items;
use super::runs::{self, Failure, Sequel};
use crate::model::run::{RunState, StepState, step_end};
use crate::model::state::State;
use crate::pg::datum::Jsonb;
use crate::pg::session::Session;
use crate::pg::{lock, settings, xact};
use crate::store::floors::{self, Line};
use crate::store::lease::{self, Place};
use crate::store::run;
use crate::store::slot::Given;
use crate::store::step::{self, Due, Ended, Forgotten, Joined};
use crate::store::{on_final, slot};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A task that has left its place: it has ended, or it is scheduled or blocked and holds no slot.
pub struct Left {
    pub task_id: i64,
    /// How it ended, if it did.
    pub ended: Option<State>,
    /// The id drawn for the task that tells of its end, if its queue does.
    pub on_final_task_id: Option<i64>,
    pub place: Place,
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
    after_all(session, left, &[])
}

/// The same for tasks that were ended with their run, and items that will never be tasks.
pub fn after_cancel(session: &Session, left: Vec<Left>, forgotten: &[Forgotten]) {
    advance(session, &left, forgotten, BTreeMap::new());
}

/// The same, and what others left at these steps.
pub fn after_all(session: &Session, mut left: Vec<Left>, due: &[DueStep]) -> Vec<i64> {
    if left.is_empty() && due.is_empty() {
        return Vec::new();
    }
    let mut sequels: BTreeMap<i64, Sequel> = BTreeMap::new();
    for (run_id, step_id) in runs_of(session, due.iter().map(|due| due.step_id).collect()) {
        let of_step = due.iter().filter(|due| due.step_id == step_id).copied();
        sequels.entry(run_id).or_default().due.extend(of_step);
    }
    let forgotten = fail(session, &mut left, due, &mut sequels);
    advance(session, &left, &forgotten, sequels)
}

fn advance(
    session: &Session,
    left: &[Left],
    forgotten: &[Forgotten],
    mut sequels: BTreeMap<i64, Sequel>,
) -> Vec<i64> {
    let mut dispatched = Vec::new();
    let mut dry = Vec::new();
    let mut half = Vec::new();
    for ((Reverse(slot_key), queue_id), holders) in holders(left) {
        let (given, is_dry) = free_slots(session, slot_key, queue_id, holders);
        for (task_id, needs) in given {
            match needs {
                None => dispatched.push(task_id),
                Some(other_key) => half.push((task_id, other_key, queue_id)),
            }
        }
        if is_dry {
            dry.push(slot_key);
        }
    }
    // Who was handed one slot asks for the other when no key is waited for any more: it may keep others from freeing that.
    for (task_id, slot_key, queue_id) in half {
        if take_or_wait(session, slot_key, task_id, queue_id) {
            dispatched.push(task_id);
        }
    }
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
        dispatched.extend(runs::move_on(session, run_id, sequel));
    }
    for step_id in due {
        dispatched.extend(items::next_batch_if_dry(session, step_id));
    }
    for slot_key in dry {
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
        if let (Some(State::Failed | State::Quarantined), Some(step_id), Some(_)) =
            (task.ended, task.place.step_id, task.place.shard)
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

/// Who holds, or may hold, slots of which key. Steps' keys come before runs': who is handed the one asks for the other.
fn holders(left: &[Left]) -> BTreeMap<(Reverse<i64>, i32), Vec<i64>> {
    let mut holders: BTreeMap<(Reverse<i64>, i32), Vec<i64>> = BTreeMap::new();
    for task in left {
        let place = task.place;
        for slot_key in [place.slot_key, place.run_slot_key].into_iter().flatten() {
            holders
                .entry((Reverse(slot_key), place.queue_id))
                .or_default()
                .push(task.task_id);
        }
    }
    holders
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
        match state {
            State::Completed => count.completed += 1,
            State::Cancelled | State::Compensated => count.cancelled += 1,
            _ => count.failed += 1,
        }
        count.quarantined += i32::from(state == State::Quarantined);
        count.compensated += i32::from(state == State::Compensated);
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

/// Hands the slots of tasks that need them no longer to the next in line, or frees them: (who was given one, whether nobody
/// is in line any more).
///
/// A slot that finds nobody in line is freed only under the key's lock, after a second look: who gets in
/// line holds that key FOR SHARE, so either is seen by the other.
fn free_slots(
    session: &Session,
    slot_key: i64,
    queue_id: i32,
    holders: Vec<i64>,
) -> (Vec<Given>, bool) {
    let line = || Line::Waiting { slot_key };
    let (freed, mut given) =
        slot::hand_over(session, slot_key, holders.clone(), floors::scan(line()));
    let mut dry = false;
    if given.len() < freed {
        slot::exclude(session, slot_key);
        let scan = floors::sure_scan(line());
        let (freed, again) = slot::hand_over(session, slot_key, holders.clone(), scan);
        dry = freed > again.len();
        given.extend(again);
        if dry {
            // Waiters that others have locked, or that a fixed snapshot does not show, are looked for later.
            let waiting = xact::has_fixed_snapshot() || slot::waiter_exists(session, slot_key);
            slot::free(session, slot_key, holders);
            if waiting {
                step::insert_due_slot(session, slot_key, queue_id);
            }
        }
    }
    (given, dry)
}

/// Those that were given a slot and need no other one; the others take the other one, or get in line for it.
fn make_ready(session: &Session, given: Vec<Given>, queue_id: i32) -> Vec<i64> {
    given
        .into_iter()
        .filter(|(task_id, needs)| {
            needs.is_none_or(|slot_key| take_or_wait(session, slot_key, *task_id, queue_id))
        })
        .map(|(task_id, _)| task_id)
        .collect()
}

/// Whether a locked task took the last slot that it needs, and is ready; else it is in line for it.
pub fn take_or_wait(session: &Session, slot_key: i64, task_id: i64, queue_id: i32) -> bool {
    let slot = take_slot(session, slot_key, task_id);
    if matches!(slot, Slot::Taken) {
        lease::make_ready(session, task_id);
        return true;
    }
    lease::make_waiting(session, task_id, Some(slot_key));
    if matches!(slot, Slot::Busy) {
        step::insert_due_slot(session, slot_key, queue_id);
    }
    false
}

/// Whether a task may get in line.
pub enum Slot {
    Taken,
    /// None is free, and none will be without its being handed to who is in line.
    None,
    /// Somebody is freeing one, or may be: look again later.
    Busy,
}

/// Takes a free slot for a locked task; never waits, because an acquire may hold other keys by now.
pub fn take_slot(session: &Session, slot_key: i64, task_id: i64) -> Slot {
    if slot::take(session, slot_key, task_id) {
        return Slot::Taken;
    }
    if !slot::try_share(session, slot_key) {
        return Slot::Busy;
    }
    if slot::take(session, slot_key, task_id) {
        Slot::Taken
    } else if xact::has_fixed_snapshot() || slot::has_free(session, slot_key) {
        // One is free, and locked by somebody who may yet leave it free.
        Slot::Busy
    } else {
        Slot::None
    }
}

/// Puts tasks in line for a key, and gives them what is free; returns those made ready. Never waits for the key: who
/// frees a slot of it right now may not see them, so the key is looked at again later.
pub fn line_up(
    session: &Session,
    slot_key: i64,
    queue_id: i32,
    put_in_line: impl FnOnce(),
) -> Vec<i64> {
    let sure = slot::try_share(session, slot_key) && !xact::has_fixed_snapshot();
    put_in_line();
    fill(session, slot_key, queue_id, !sure)
}

/// Gives free slots of a key to who is in line; returns the tasks made ready. If some may be left free (or `unsure`), the
/// key is looked at again later.
pub fn fill(session: &Session, slot_key: i64, queue_id: i32, unsure: bool) -> Vec<i64> {
    let mut ready = Vec::new();
    loop {
        let given = slot::fill(session, slot_key);
        if given.is_empty() {
            break;
        }
        ready.extend(make_ready(session, given, queue_id));
    }
    if (unsure || slot::has_free(session, slot_key)) && slot::waiter_exists(session, slot_key) {
        step::insert_due_slot(session, slot_key, queue_id);
    }
    ready
}

/// What others left in a queue.
#[derive(Default)]
pub struct Dues {
    pub steps: Vec<DueStep>,
    /// Keys that may have free slots, each with its queue.
    keys: Vec<(i64, i32)>,
}

impl Dues {
    /// Takes up what others left in a queue, bounded.
    pub fn take(&mut self, session: &Session, queue_id: i32) {
        xact::force_id();
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
                Due::Slot { slot_key } => self.keys.push((slot_key, queue_id)),
            };
        }
    }

    /// Hands out the slots that may be free. After everything that waits for a key: it keeps others from freeing slots.
    pub fn fill(mut self, session: &Session) {
        self.keys.sort_unstable();
        self.keys.dedup();
        for (slot_key, queue_id) in self.keys {
            fill(session, slot_key, queue_id, false);
        }
    }
}
