//! The items of a step become tasks: when it starts, and of a wide step a batch at a time, as those before it are used up.

use super::{runs, slots};
use crate::model::definition::Step;
use crate::model::limits;
use crate::model::run::RunState;
use crate::pg::datum::JsonbArray;
use crate::pg::session::Session;
use crate::pg::{lock, xact};
use crate::store::run::{self, Held};
use crate::store::step::{self, Items, Spec};
use crate::store::{queue, slot, workflow};
use pgrx::datum::Interval;

/// Makes the tasks of a step that starts; returns those that are ready.
pub fn create(
    session: &Session,
    run: &Held,
    step: &Step,
    step_id: i64,
    queue_id: i32,
    payloads: JsonbArray,
    of_run: Option<i32>,
) -> Vec<i64> {
    let total = payloads.len() as i32;
    let shards = limits::shards(payloads.len());
    let bound = step.max_parallel.filter(|max| *max < total);
    let spec = spec(
        session,
        run,
        step,
        step_id,
        queue_id,
        bound.is_some(),
        shards,
    );
    step::dispatch(session, step_id, total, shards);
    if let Some(capacity) = bound {
        let lanes = queue::lane(step.priority);
        slot::insert(
            session,
            step_id,
            capacity,
            Vec::new(),
            lanes,
            vec![queue_id],
        );
    }
    if total <= limits::BATCH {
        return insert(session, &spec, payloads, 0);
    }
    let bounded = bound.is_some() || run.slot_key.is_some();
    let by_acquire = (!bounded).then_some(queue_id);
    step::insert_batches(session, step_id, payloads, limits::BATCH, by_acquire);
    // As many as may be ready at once; the others follow as these end.
    let mut ready = Vec::new();
    let at_once = bound.or(of_run).unwrap_or(1);
    for _ in 0..=(at_once - 1) / limits::BATCH {
        if let Some((first_index, payloads)) = step::take_batch(session, step_id) {
            ready.extend(insert(session, &spec, payloads, first_index));
        }
    }
    ready
}

fn spec(
    session: &Session,
    run: &Held,
    step: &Step,
    step_id: i64,
    queue_id: i32,
    bounded: bool,
    shards: i16,
) -> Spec {
    lock::hold_queue(queue_id);
    let queue = queue::by_id(session, queue_id);
    // The narrowest first: it is the line in which they stand.
    let own = bounded.then_some(step_id);
    let mut slot_keys: Vec<i64> = own.into_iter().chain(run.slot_key).collect();
    if !step.slot_keys.is_empty() {
        let lanes = queue::lane(step.priority);
        let named = slot::find(session, step.slot_keys.clone(), queue_id, lanes);
        slot_keys.extend(named.into_iter().filter_map(|(slot_key, _)| slot_key));
    }
    Spec {
        run_id: run.run_id,
        step_id,
        queue_id,
        name: step.name.clone(),
        max_attempts: step.max_attempts.unwrap_or(queue.max_attempts),
        priority: step.priority,
        max_runtime: step.max_runtime.as_deref().map(|text| {
            Interval::from_micros(workflow::interval(session, text).as_micros() as i64)
        }),
        slot_keys,
        compensable: step.compensate.is_some(),
        shards,
    }
}

fn insert(session: &Session, spec: &Spec, payloads: JsonbArray, first_index: i32) -> Vec<i64> {
    let items = |ready, waits_for| {
        let items = Items {
            payloads,
            first_index,
            ready,
            waits_for,
        };
        step::insert_items(session, spec, items)
    };
    match spec.slot_keys.first().copied() {
        None => items(payloads.len() as i32, None)
            .into_iter()
            .map(|(_, task_id, _)| task_id)
            .collect(),
        Some(slot_key) => {
            items(0, Some(slot_key));
            slots::line_up(session, slot_key, spec.queue_id)
        }
    }
}

/// If a slot of the key is free, and nobody waits for it any more: the next items of the step, or of a step of the run, become tasks.
pub fn next_batch_of_key(session: &Session, slot_key: i64) -> Vec<i64> {
    match step::batches_of_key(session, slot_key) {
        Some(step_id) if slot::look(session, slot_key, false) == (true, false) => {
            next_batch(session, step_id)
        }
        _ => Vec::new(),
    }
}

/// The same for one step, if it is bounded and has a free slot that nobody waits for.
pub fn next_batch_if_dry(session: &Session, step_id: i64) -> Vec<i64> {
    match step::key_of_batches(session, step_id) {
        Some(slot_key) if slot::look(session, slot_key, false) == (true, false) => {
            next_batch(session, step_id)
        }
        _ => Vec::new(),
    }
}

/// The next items of a step become tasks; returns those made ready. If the run's gate is closed, or it does not go on, they
/// wait for what comes of that.
pub fn next_batch(session: &Session, step_id: i64) -> Vec<i64> {
    let Some((run_id, state)) = run::try_lock_of_step(session, step_id) else {
        step::insert_due_step(session, step_id);
        return Vec::new();
    };
    let (Some(run), Some(standing)) =
        (run::seen(session, run_id), step::standing(session, step_id))
    else {
        return Vec::new();
    };
    let goes_on = match state {
        RunState::Running => true,
        RunState::Failing => standing.survives,
        _ => false,
    };
    let Some(workflow_id) = run.workflow_id.filter(|_| goes_on) else {
        return Vec::new();
    };
    let definition = runs::definition(session, workflow_id);
    let Some(step) = definition
        .steps
        .iter()
        .find(|step| step.name == standing.name)
    else {
        return Vec::new();
    };
    let Some((first_index, payloads)) = step::take_batch(session, step_id) else {
        return Vec::new();
    };
    xact::force_id();
    let spec = spec(
        session,
        &run,
        step,
        step_id,
        standing.queue_id,
        standing.bounded,
        standing.shards,
    );
    insert(session, &spec, payloads, first_index)
}
