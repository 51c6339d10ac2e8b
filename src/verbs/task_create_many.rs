use super::access;
use super::args::{self, Checked, answer};
use super::{queues, slots};
use crate::model::access::Capability::Produce;
use crate::model::limits;
use crate::pg::datum::{Elements, Instant, Jsonb, Text};
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::queue;
use crate::store::task::{self, NewMany};
use pgrx::prelude::*;
use std::collections::HashMap;

/// Creates many tasks of one queue, in the order of the array.
///
/// Arguments: `queue`; `payloads` (at most 10000, each at most pg_baton.max_payload_bytes); `name`; `keys` (NULL, or as many as
/// payloads; an element may be NULL); `priority` (-9 to 9); `run_at`; `max_attempts` (1 to 10000; NULL: the
/// queue's); `slot_keys`, as in task_create.
///
/// Outcomes, a row per payload with its `ordinal` from 1: `exists`, `exists_with_different_payload`, `created`. A key
/// that stands twice in the array is created once.
///
/// Errors: as task_create; 22023 (arrays of unequal length), 54000 (too many).
///
/// Locks: as task_create; keys are inserted in their order, so that two callers never deadlock.
#[pg_extern(volatile, parallel_unsafe)]
fn task_create_many(
    queue: Option<Text>,
    payloads: Option<Elements<Jsonb>>,
    name: default!(Option<Text>, "NULL"),
    keys: default!(Option<Elements<String>>, "NULL"),
    priority: default!(Option<i32>, "0"),
    run_at: default!(Option<Instant>, "NULL"),
    max_attempts: default!(Option<i32>, "NULL"),
    slot_keys: default!(Option<Elements<String>>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(ordinal, i64),
        name!(outcome, String),
        name!(task_id, Option<i64>),
    ),
> {
    let session = access::verb(c"task_create_many()", &[Produce]);
    let create = || -> Checked<Vec<(i64, String, Option<i64>)>> {
        let queue = args::required_word("queue", queue)?;
        let payloads = args::payloads(payloads, limits::CREATE_MANY)?;
        let name = args::optional_word("name", name)?;
        let keys = keys
            .map(|keys| args::words("keys", Some(keys), limits::CREATE_MANY))
            .transpose()?;
        if let Some(keys) = &keys {
            args::same_length(("payloads", payloads.len()), ("keys", keys.len()))?;
        }
        let priority = args::priority(priority)?;
        let run_at = args::run_at(run_at)?;
        let max_attempts = args::max_attempts(max_attempts)?;
        let names = args::slot_keys(slot_keys)?;

        xact::force_id();
        let queue = queues::writable(&session, &queue)?;
        let lanes = queue::lane(priority);
        let slot_keys = slots::named(&session, &names, queue.queue_id, lanes)?;
        let new = NewMany {
            slot_keys,
            queue_id: queue.queue_id,
            payloads,
            name,
            keys,
            priority,
            run_at,
            max_attempts: max_attempts.unwrap_or(queue.max_attempts),
        };
        let rows = create(&session, &new);
        if let Some(slot_key) = new.slot_keys.first() {
            slots::line_up(&session, *slot_key, new.queue_id);
        }
        queues::use_lane(&session, queue.queue_id, queue.lanes, priority);
        Ok(rows)
    };
    TableIterator::new(answer(create()))
}

fn create(session: &Session, new: &NewMany) -> Vec<(i64, String, Option<i64>)> {
    let mut created: HashMap<i64, i64> = task::create_many(session, new).into_iter().collect();
    let mut rows = Vec::with_capacity(new.payloads.len());
    for (i, payload) in new.payloads.iter().enumerate() {
        let ordinal = i as i64 + 1;
        let (outcome, task_id) = loop {
            if let Some(task_id) = created.remove(&ordinal) {
                break ("created", task_id);
            }
            let key = new.keys.as_ref().and_then(|keys| keys[i].as_deref());
            let key = key.expect("only a key can be taken");
            match task::by_key(session, new.queue_id, key, *payload) {
                Some((task_id, _, true)) => break ("exists", task_id),
                Some((task_id, _, false)) => break ("exists_with_different_payload", task_id),
                // The holder was purged between the two statements: this one may be created.
                None => {
                    let alone = NewMany {
                        payloads: vec![*payload],
                        name: new.name.clone(),
                        keys: Some(vec![Some(key.to_owned())]),
                        slot_keys: new.slot_keys.clone(),
                        ..*new
                    };
                    let again = task::create_many(session, &alone);
                    created.extend(again.into_iter().map(|(_, task_id)| (ordinal, task_id)));
                }
            }
        };
        rows.push((ordinal, outcome.to_owned(), Some(task_id)));
    }
    rows
}
