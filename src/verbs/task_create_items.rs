use super::access;
use super::args::{self, Checked, answer};
use super::queues;
use crate::model::access::Capability::Produce;
use crate::model::limits;
use crate::model::run::RunState;
use crate::pg::datum::{Elements, Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::run::{self, New};
use crate::store::step::{self, FoundStep, Items, NewStep, Spec};
use crate::store::{queue, slot};
use pgrx::prelude::*;
use serde_json::json;

/// Creates a group of known size (with_items): a task per payload, and at its end one successor.
///
/// Arguments: `queue`; `name` (of the group: a step of the run, and the name of its tasks); `payloads` (1 to 100000);
/// `max_parallel` (at most so many ready or running at once; NULL: no bound); `max_attempts` (NULL: the queue's);
/// `run_id` (NULL: a new run); `key` (unique in the queue); `successor`, `successor_queue` (NULL: the group's), `successor_payload`:
/// the task that the finalize of the last item dispatches.
///
/// Outcomes, a row per item: `exists` (same run and name, or same key, and the same payloads),
/// `exists_with_different_payload` (the items that exist), `created`.
///
/// Errors: 22004, 22023 (bad value, no payloads), 42704 (no such queue or run), 54000 (too many or too
/// large), 55000 (the run is not running: over, paused, failing or being cancelled; another step or successor of it has the group's name or its successor's; or the
/// group's successor is dispatched and the payloads differ).
///
/// Locks: the run FOR NO KEY UPDATE, with a successor FOR UPDATE, waiting for who moves it on; waits for another transaction that is
/// creating the same group.
#[pg_extern(volatile, parallel_unsafe)]
fn task_create_items(
    queue: Option<Text>,
    name: Option<Text>,
    payloads: Option<Elements<Jsonb>>,
    max_parallel: default!(Option<i32>, "NULL"),
    max_attempts: default!(Option<i32>, "NULL"),
    run_id: default!(Option<i64>, "NULL"),
    key: default!(Option<Text>, "NULL"),
    successor: default!(Option<Text>, "NULL"),
    successor_queue: default!(Option<Text>, "NULL"),
    successor_payload: default!(Option<Jsonb>, "'{}'"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(run_id, Option<i64>),
        name!(item_index, Option<i32>),
        name!(task_id, Option<i64>),
        name!(state, Option<String>),
    ),
> {
    let session = access::verb(c"task_create_items()", &[Produce]);
    let create = || -> Checked<Group> {
        let queue = args::required_word("queue", queue)?;
        let name = args::required_word("name", name)?;
        let payloads = args::payloads(payloads, limits::ITEMS)?;
        if payloads.is_empty() {
            return Err(Misuse::bad_value("argument \"payloads\" is empty")
                .detail("A group has at least one item."));
        }
        let max_parallel = max_parallel
            .map(|max| args::in_range("max_parallel", max, 1, limits::ITEMS as i32))
            .transpose()?;
        let max_attempts = args::max_attempts(max_attempts)?;
        let key = args::optional_word("key", key)?;
        let successor = args::optional_word("successor", successor)?;
        let successor_queue = args::optional_word("successor_queue", successor_queue)?;
        let successor_payload = args::required_json("successor_payload", successor_payload)?;
        match (&successor, &successor_queue) {
            (None, Some(_)) => {
                return Err(
                    Misuse::bad_value("argument \"successor_queue\" needs a successor")
                        .detail("It is the queue of the successor."),
                );
            }
            (Some(successor), _) if *successor == name => {
                return Err(
                    Misuse::bad_value("argument \"successor\" is the group's own name")
                        .detail("A step of a run has a name of its own."),
                );
            }
            _ => {}
        }

        xact::force_id();
        let queue = queues::writable(&session, &queue)?;
        let successor_queue_id = match (&successor, &successor_queue) {
            (None, _) => None,
            (Some(_), None) => Some(queue.queue_id),
            (Some(_), Some(other)) => Some(queues::writable(&session, other)?.queue_id),
        };
        if let Some(run_id) = run_id {
            // With a successor it excludes who dispatches one of that name.
            let lock = if successor.is_some() {
                run::exclude
            } else {
                run::lock
            };
            // A replay is answered as such, whatever has become of the run.
            if run::exists(&session, run_id, session.queues())
                && let Some(found) = step::find(&session, Some(run_id), &name, queue.queue_id, None)
            {
                let group = existing(&session, &found, &name, &payloads)?;
                if !group.items.is_empty() {
                    return Ok(group);
                }
            }
            // By its state under its row's lock: it cannot end, or be told of a successor, while the group is being made.
            let held = lock(&session, run_id, session.queues());
            match held.and_then(|_| run::hold(&session, run_id)) {
                None => return Err(Misuse::no_run(run_id)),
                Some(held) if held.state == RunState::Running => {}
                Some(_) => {
                    return Err(Misuse::wrong_state(format!("run {run_id} is not running")));
                }
            }
        }
        let total = payloads.len() as i32;
        let new = NewStep {
            step_id: step::next_id(),
            run_id: run_id.unwrap_or_else(step::next_id),
            queue_id: queue.queue_id,
            total,
            max_parallel: max_parallel.filter(|max| *max < total),
            shards: limits::shards(payloads.len()),
            name: &name,
            key: key.as_deref(),
            successor: successor.as_deref(),
            successor_queue_id,
            successor_payload: successor.as_ref().map(|_| successor_payload),
            with_items: true,
        };
        let max_attempts = max_attempts.unwrap_or(queue.max_attempts);
        create(&session, &new, run_id.is_none(), payloads, max_attempts)
    };
    let group = answer(create());
    TableIterator::new(group.items.into_iter().map(move |(index, task_id, state)| {
        (
            group.outcome.to_owned(),
            Some(group.run_id),
            Some(index),
            Some(task_id),
            Some(state),
        )
    }))
}

struct Group {
    outcome: &'static str,
    run_id: i64,
    items: Vec<(i32, i64, String)>,
}

fn create(
    session: &Session,
    new: &NewStep,
    new_run: bool,
    payloads: Vec<Jsonb>,
    max_attempts: i32,
) -> Checked<Group> {
    loop {
        let run_id = (!new_run).then_some(new.run_id);
        if let Some(found) = step::find(session, run_id, new.name, new.queue_id, new.key) {
            let group = existing(session, &found, new.name, &payloads)?;
            if group.items.is_empty() {
                continue; // It was purged between the two statements.
            }
            return Ok(group);
        }
        if let Some(successor) = new.successor
            && step::find_dispatch(session, new.run_id, successor).is_some()
        {
            return Err(Misuse::wrong_state(format!(
                "run {} has dispatched successor \"{successor}\"",
                new.run_id
            ))
            .detail("It would never follow this group."));
        }
        if !new_run {
            free_names(session, new)?;
        }
        if step::insert(session, new) {
            break;
        }
        if let Some(successor) = new.successor
            && step::naming(session, new.run_id, successor).is_some()
            && step::find(session, run_id, new.name, new.queue_id, new.key).is_none()
        {
            return Err(Misuse::wrong_state(format!(
                "run {} has a group with successor \"{successor}\"",
                new.run_id
            ))
            .detail("A successor follows one group.")
            .hint("To follow several, dispatch it with task_dispatch_successor and needs."));
        }
        // Somebody has just created it: look again.
    }
    if new_run {
        run::insert(
            session,
            &New {
                run_id: new.run_id,
                workflow_id: None,
                slot_key: None,
                on_error: None,
                version: None,
                name: None,
                key: new.key,
                input: Jsonb::empty_object(),
                metadata: Jsonb::empty_object(),
            },
        );
    }
    let spec = Spec {
        run_id: new.run_id,
        step_id: new.step_id,
        queue_id: new.queue_id,
        name: new.name.to_owned(),
        max_attempts,
        priority: 0,
        max_runtime: None,
        slot_keys: new.max_parallel.map(|_| new.step_id).into_iter().collect(),
        compensable: false,
        shards: new.shards,
    };
    let items = Items {
        payloads,
        first_index: 0,
        ready: new.max_parallel.unwrap_or(new.total),
        waits_for: new.max_parallel.map(|_| new.step_id),
    };
    let items = step::insert_items(session, &spec, items);
    if let Some(capacity) = new.max_parallel {
        let holders = items
            .iter()
            .filter(|item| item.2)
            .map(|item| item.1)
            .collect();
        let lanes = queue::lane(0);
        let queues = vec![new.queue_id];
        slot::insert(session, new.step_id, capacity, holders, lanes, queues);
    }
    let started = new_run.then(|| ("started", "{}".to_owned()));
    let dispatched = json!({"step": new.name, "total": new.total}).to_string();
    let events = started.into_iter().chain([("step_dispatched", dispatched)]);
    let events = events.map(|(kind, body)| (kind, Jsonb::from_text(&body)));
    run::append(session, new.run_id, events.collect());
    let items = items
        .into_iter()
        .map(|(index, task_id, ready)| {
            (
                index,
                task_id,
                if ready { "ready" } else { "blocked" }.to_owned(),
            )
        })
        .collect();
    Ok(Group {
        outcome: "created",
        run_id: new.run_id,
        items,
    })
}

/// 55000 if the group has the name of a successor that is to come, or its successor that of a step. (The run's row is locked: it stays so.)
fn free_names(session: &Session, new: &NewStep) -> Checked<()> {
    let taken = |name: &str| {
        Misuse::wrong_state(format!("run {} has another use of \"{name}\"", new.run_id))
            .detail("A step of a run has a name of its own.")
    };
    if step::naming(session, new.run_id, new.name).is_some() {
        return Err(taken(new.name));
    }
    match new.successor {
        Some(successor) if step::has_name(session, new.run_id, successor) => Err(taken(successor)),
        _ => Ok(()),
    }
}

fn existing(
    session: &Session,
    found: &FoundStep,
    name: &str,
    payloads: &[Jsonb],
) -> Checked<Group> {
    if found.defined || !session.may_touch(found.queue_id) {
        return Err(Misuse::wrong_state(format!(
            "run {} has a group \"{}\"",
            found.run_id, found.name
        ))
        .detail("A step of a run has a name of its own."));
    }
    let same = found.name == name && step::same_payloads(session, found.step_id, payloads.to_vec());
    if !same && found.successor_dispatched {
        return Err(Misuse::wrong_state(format!(
            "group \"{}\" of run {} takes no more items",
            found.name, found.run_id
        ))
        .detail("It has dispatched its successor."));
    }
    Ok(Group {
        outcome: if same {
            "exists"
        } else {
            "exists_with_different_payload"
        },
        run_id: found.run_id,
        items: step::items(session, found.step_id),
    })
}
