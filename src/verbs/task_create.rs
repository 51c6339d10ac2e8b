use super::args::{self, Checked, answer};
use super::{access, queues, slots};
use crate::model::access::Capability::Produce;
use crate::model::state::State;
use crate::pg::datum::{Elements, Instant, Jsonb, Text};
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::task::{self, New, Placed};
use crate::store::{queue, slot, step};
use pgrx::prelude::*;

/// Creates a task, in line at once or scheduled for later.
///
/// Arguments: `queue`; `payload` (JSON, at most pg_baton.max_payload_bytes); `name` and `key` (1 to 255 bytes);
/// `priority` (-9 to 9, higher first); `run_at` (a time in the future makes the task scheduled);
/// `max_attempts` (1 to 10000; NULL: the queue's); `slot_keys` (keys that an operator has set);
/// `metadata` (a JSON object). A key is unique in its queue until the task is purged.
///
/// Outcomes: `exists` (same queue and key, same payload: the task and its state), `exists_with_different_payload`
/// (likewise), `created`.
///
/// Errors: 22004 (queue, payload, priority or metadata is NULL), 22023 (bad value), 42704 (no such queue or slot key), 54000
/// (payload or metadata too large).
///
/// Locks: none but the new rows' own; waits for another transaction that is creating the same key. The first
/// use of a priority in a queue locks the queue's row.
#[pg_extern(volatile, parallel_unsafe)]
fn task_create(
    queue: Option<Text>,
    payload: default!(Option<Jsonb>, "'{}'"),
    name: default!(Option<Text>, "NULL"),
    key: default!(Option<Text>, "NULL"),
    priority: default!(Option<i32>, "0"),
    run_at: default!(Option<Instant>, "NULL"),
    max_attempts: default!(Option<i32>, "NULL"),
    slot_keys: default!(Option<Elements<String>>, "NULL"),
    metadata: default!(Option<Jsonb>, "'{}'"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(task_id, Option<i64>),
        name!(state, Option<String>),
    ),
> {
    let session = access::verb(c"task_create()", &[Produce]);
    let create = || -> Checked<(&'static str, i64, State)> {
        let new = New {
            queue: args::required_word("queue", queue)?,
            payload: args::required_json("payload", payload)?,
            name: args::optional_word("name", name)?,
            key: args::optional_word("key", key)?,
            priority: args::priority(priority)?,
            run_at: args::run_at(run_at)?,
            max_attempts: args::max_attempts(max_attempts)?,
            metadata: args::metadata(metadata)?,
        };
        let names = args::slot_keys(slot_keys)?;
        if names.is_empty() {
            create(&session, &new)
        } else {
            create_with_slots(&session, &new, &names)
        }
    };
    let (outcome, task_id, state) = answer(create());
    TableIterator::once((
        outcome.to_owned(),
        Some(task_id),
        Some(state.name().to_owned()),
    ))
}

fn create(session: &Session, new: &New) -> Checked<(&'static str, i64, State)> {
    xact::force_id();
    loop {
        if let Some(queue_id) = queues::held(session, &new.queue)
            && let Some(created) = task::create(session, queue_id, new, None)
        {
            queues::confirm(session, queue_id, &new.queue)?;
            queues::use_lane(session, queue_id, created.lanes, new.priority);
            return Ok(("created", created.task_id, created.state));
        }
        let queue = queues::writable(session, &new.queue)?;
        if let Some(found) = existing(session, queue.queue_id, new) {
            return Ok(found);
        }
        // The queue was not known here, or the holder of the key was purged between the two statements.
    }
}

/// The same for a task that needs slots: it takes one of each key, or stands in line for one that it lacks.
fn create_with_slots(
    session: &Session,
    new: &New,
    names: &[String],
) -> Checked<(&'static str, i64, State)> {
    xact::force_id();
    let lane = queue::lane(new.priority);
    let mut known = queues::held(session, &new.queue).zip(slot::known(names));
    known = known.filter(|(queue_id, slot_keys)| {
        slot::are_known(session, slot_keys, names, *queue_id, lane)
    });
    loop {
        let (queue_id, slot_keys) = match known.take() {
            Some(known) => known,
            None => {
                let queue = queues::writable(session, &new.queue)?;
                let queue_id = queue.queue_id;
                (queue_id, slots::named(session, names, queue_id, lane)?)
            }
        };
        if let Some(found) = existing(session, queue_id, new) {
            return Ok(found);
        }
        let task_id = step::next_id();
        let later = new.run_at.is_some_and(|run_at| run_at.0 > xact::clock());
        let (state, waits_for) = if later {
            (State::Scheduled, None)
        } else {
            match slots::take(session, task_id, queue_id, &slot_keys) {
                Ok(()) => (State::Ready, None),
                Err(slot_key) => (State::Blocked, Some(slot_key)),
            }
        };
        let placed = Placed {
            task_id,
            slot_keys: &slot_keys,
            state,
            waits_for,
        };
        if let Some(created) = task::create(session, queue_id, new, Some(&placed)) {
            queues::confirm(session, queue_id, &new.queue)?;
            queues::use_lane(session, queue_id, created.lanes, new.priority);
            return Ok(("created", task_id, state));
        }
        // Somebody has just created one with this key, or the queue is another one.
        slot::free(session, task_id, slot_keys);
    }
}

/// The task that has the key.
fn existing(session: &Session, queue_id: i32, new: &New) -> Option<(&'static str, i64, State)> {
    let key = new.key.as_ref()?;
    let (task_id, state, same) = task::by_key(session, queue_id, key, new.payload)?;
    let outcome = if same {
        "exists"
    } else {
        "exists_with_different_payload"
    };
    Some((outcome, task_id, state))
}
