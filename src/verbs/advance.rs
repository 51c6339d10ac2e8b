//! What follows when tasks end, or give back their slots, in the same transaction: the slots go to the next
//! in line, the groups' counters go down, and a group that has ended dispatches its successor.
//!
//! Lock order, over the whole batch: own tasks (locked by the verb, by id) → slot keys → counters → steps
//! → runs. Tasks that are not the verb's own are taken with SKIP LOCKED only. See docs/locking.md.

use crate::model::limits;
use crate::model::state::State;
use crate::pg::session::Session;
use crate::pg::{lock, xact};
use crate::store::floors::{self, Line};
use crate::store::lease::Place;
use crate::store::step::{self, Due, Ended, NewStep, NewSuccessor};
use crate::store::{on_final, slot};
use std::collections::{BTreeMap, BTreeSet};

/// A task that has left its place: it has ended, or it is scheduled and holds no slot.
pub struct Left {
    pub task_id: i64,
    /// How it ended, if it did.
    pub ended: Option<State>,
    /// The id drawn for the task that tells of its end, if its queue does.
    pub on_final_task_id: Option<i64>,
    pub place: Place,
}

/// Advances what depends on these tasks; returns the tasks made ready.
pub fn after(session: &Session, left: &[Left]) -> Vec<i64> {
    let mut dispatched = Vec::new();
    let mut holders: BTreeMap<(i64, i32), Vec<i64>> = BTreeMap::new();
    let mut counts: BTreeMap<(i64, i16), Ended> = BTreeMap::new();
    for task in left {
        let place = task.place;
        if let Some(slot_key) = place.slot_key {
            holders
                .entry((slot_key, place.queue_id))
                .or_default()
                .push(task.task_id);
        }
        if let (Some(state), Some(step_id), Some(shard)) = (task.ended, place.step_id, place.shard)
        {
            let count = counts.entry((step_id, shard)).or_default();
            match state {
                State::Completed => count.completed += 1,
                State::Cancelled | State::Compensated => count.cancelled += 1,
                _ => count.failed += 1,
            }
        }
    }
    for ((slot_key, queue_id), holders) in holders {
        dispatched.extend(free_slots(session, slot_key, queue_id, holders));
    }
    let mut shards: BTreeMap<i64, i32> = BTreeMap::new();
    for ((step_id, shard), count) in counts {
        if step::count_down(session, step_id, shard, count) {
            *shards.entry(step_id).or_default() += 1;
        }
    }
    let mut joined = BTreeSet::new();
    for (step_id, shards) in shards {
        if step::shards_down(session, step_id, shards) {
            joined.insert(step_id);
        }
    }
    for step_id in joined {
        dispatched.extend(dispatch_built_in(session, step_id));
    }
    dispatched.extend(tell(session, left));
    dispatched
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

/// Hands the slots of tasks that need them no longer to the next in line, or frees them.
///
/// A slot that finds nobody in line is freed only under the key's lock, after a second look: who gets in
/// line holds that key FOR SHARE, so either is seen by the other.
fn free_slots(session: &Session, slot_key: i64, queue_id: i32, holders: Vec<i64>) -> Vec<i64> {
    let line = || Line::Waiting { slot_key };
    let (freed, mut woken) =
        slot::hand_over(session, slot_key, holders.clone(), floors::scan(line()));
    if woken.len() < freed {
        slot::exclude(session, slot_key);
        let scan = floors::sure_scan(line());
        let (freed, again) = slot::hand_over(session, slot_key, holders.clone(), scan);
        let left = freed > again.len();
        woken.extend(again);
        if left {
            // Waiters that others have locked, or that a fixed snapshot does not show, are looked for later.
            let waiting = xact::has_fixed_snapshot() || slot::waiter_exists(session, slot_key);
            slot::free(session, slot_key, holders);
            if waiting {
                step::insert_due(session, Due::Slot { slot_key }, queue_id);
            }
        }
    }
    woken
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

/// Dispatches the successor that a step names, if all its items have ended and nobody has dispatched it.
/// The run's gate is tried, never waited for: if it is taken, the work is left for later.
pub fn dispatch_built_in(session: &Session, step_id: i64) -> Option<i64> {
    let built_in = step::successor(session, step_id)?;
    match step::try_lock_run(session, built_in.run_id) {
        None => {
            // Where it is to be dispatched: somebody looks there, and the queue cannot be dropped before it is.
            let queue_id = built_in.successor_queue_id;
            step::insert_due(session, Due::Successor { step_id }, queue_id);
            None
        }
        Some(step::RUN_RUNNING) => {
            lock::hold_queue(built_in.successor_queue_id);
            let successor = Successor {
                run_id: Some(built_in.run_id),
                scope_id: built_in.run_id,
                name: &built_in.successor,
                queue_id: built_in.successor_queue_id,
                payload: built_in.payload,
                max_attempts: None,
            };
            dispatch(session, &successor)
        }
        Some(_) => None,
    }
}

/// A successor to be dispatched.
pub struct Successor<'a> {
    pub run_id: Option<i64>,
    pub scope_id: i64,
    pub name: &'a str,
    pub queue_id: i32,
    pub payload: crate::pg::datum::Jsonb,
    pub max_attempts: Option<i32>,
}

/// Creates the successor; `None` if its scope has one. In a run it is a step of its own, unless a group has
/// taken its name.
pub fn dispatch(session: &Session, successor: &Successor) -> Option<i64> {
    let task_id = step::insert_dispatch(session, successor.scope_id, successor.name)?;
    let step_id = successor.run_id.and_then(|run_id| {
        let step_id = step::next_id(session);
        let inserted = step::insert(
            session,
            &NewStep {
                step_id,
                run_id,
                queue_id: successor.queue_id,
                total: 1,
                max_parallel: None,
                shards: limits::shards(1),
                name: successor.name,
                key: None,
                successor: None,
                successor_queue_id: None,
                successor_payload: None,
            },
        );
        inserted.then_some(step_id)
    });
    step::insert_successor(
        session,
        &NewSuccessor {
            task_id,
            run_id: successor.run_id,
            step_id,
            queue_id: successor.queue_id,
            name: successor.name,
            payload: successor.payload,
            max_attempts: successor.max_attempts,
        },
    );
    Some(task_id)
}

/// Works off what others left in a queue, bounded.
pub fn work_off_due(session: &Session, queue_id: i32) {
    let mut due = step::take_due(session, queue_id, limits::SWEEP);
    due.sort_by_key(|due| match due {
        Due::Successor { step_id } => (0, *step_id),
        Due::Slot { slot_key } => (1, *slot_key),
    });
    for due in due {
        match due {
            Due::Successor { step_id } => {
                dispatch_built_in(session, step_id);
            }
            Due::Slot { slot_key } => {
                slot::fill(session, slot_key);
                if slot::waiter_exists(session, slot_key) && slot::has_free(session, slot_key) {
                    step::insert_due(session, due, queue_id);
                }
            }
        }
    }
}
