use super::access;
use super::args::{self, Checked, answer};
use super::queues;
use super::runs::{self, Moving};
use super::workflow_define::checked;
use crate::model::access::Capability::Produce;
use crate::model::definition::Definition;
use crate::model::run::survives_failure;
use crate::pg::datum::{Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::run::{self, New};
use crate::store::step::{self, Waiting};
use crate::store::{queue, slot, workflow};
use pgrx::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// Starts a run: of the latest version of a workflow, or of a definition of its own. What needs nothing is dispatched at
/// once.
///
/// Arguments: `name` (of a workflow) or `definition` (one of the two); `input` (JSON, which the paths of the definition read as
/// `$.input`); `key` (unique among the runs of that name, or among those without a name); `metadata` (a JSON object).
///
/// Outcomes: `exists` (same key, same input), `exists_with_different_input`, `started`.
///
/// Needs `produce` in every queue that the definition names.
///
/// Errors: 22004, 22023 (name and definition, or neither; a bad definition), 42501, 42704 (no such workflow or queue), 54000, 55000 (a run in
/// queues of others has the key).
///
/// Locks: none beyond the new rows' own, and the row of a queue where a priority is used for the first time; waits for another transaction that
/// starts a run with the same key.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_start(
    name: default!(Option<Text>, "NULL"),
    input: default!(Option<Jsonb>, "'{}'"),
    key: default!(Option<Text>, "NULL"),
    definition: default!(Option<Jsonb>, "NULL"),
    metadata: default!(Option<Jsonb>, "'{}'"),
) -> TableIterator<'static, (name!(outcome, String), name!(run_id, i64))> {
    let session = access::verb(c"workflow_start()", &[Produce]);
    let start = || -> Checked<(&'static str, i64)> {
        let name = args::optional_word("name", name)?;
        let input = args::required_json("input", input)?;
        let key = args::optional_word("key", key)?;
        let metadata = args::metadata(metadata)?;
        xact::force_id();
        let what = match (&name, definition) {
            (Some(name), None) => {
                let latest = workflow::latest(&session, name, None)
                    .ok_or_else(|| Misuse::no_workflow(name))?;
                What {
                    definition: runs::definition(&session, latest.workflow_id),
                    version: Some((latest.workflow_id, latest.version)),
                    written: None,
                }
            }
            (None, Some(definition)) => What {
                definition: Rc::new(checked(&session, definition)?),
                version: None,
                written: Some(definition),
            },
            (None, None) => {
                return Err(
                    Misuse::bad_value("neither \"name\" nor \"definition\" is given")
                        .detail("One of the two says what the run executes."),
                );
            }
            _ => {
                return Err(Misuse::bad_value(
                    "arguments \"name\" and \"definition\" exclude each other",
                )
                .detail("One of the two says what the run executes."));
            }
        };
        start(
            &session,
            name.as_deref(),
            &what,
            input,
            key.as_deref(),
            metadata,
        )
    };
    let (outcome, run_id) = answer(start());
    TableIterator::once((outcome.to_owned(), run_id))
}

/// What a run executes.
struct What {
    definition: Rc<Definition>,
    /// Its id and version, if it has a name.
    version: Option<(i64, i32)>,
    /// Else as it was given.
    written: Option<Jsonb>,
}

fn start(
    session: &Session,
    name: Option<&str>,
    what: &What,
    input: Jsonb,
    key: Option<&str>,
    metadata: Jsonb,
) -> Checked<(&'static str, i64)> {
    let definition = &what.definition;
    let queue_ids = match queues_of(session, definition) {
        Ok(queue_ids) => queue_ids,
        // A replay is answered as such, whatever has become of the queues. (A run that the caller may not see is not spoken of.)
        Err(misuse) => {
            return match existing(session, name, key, input) {
                Ok(Some(found)) => Ok(found),
                _ => Err(misuse),
            };
        }
    };
    use_slot_keys(session, definition, &queue_ids)?;
    use_lanes(session, definition, &queue_ids);
    let run_id = step::next_id();
    let workflow_id = match what.version {
        Some((workflow_id, _)) => workflow_id,
        None => {
            let written = what.written.expect("one of the two is given");
            workflow::insert(session, None, None, written).expect("one without a name is new")
        }
    };
    let slot_key = definition.max_parallel.map(|_| run_id);
    let new = New {
        run_id,
        workflow_id: Some(workflow_id),
        slot_key,
        on_error: Some(definition.on_error),
        version: what.version.map(|(_, version)| version),
        name,
        key,
        input,
        metadata,
    };
    while !run::insert(session, &new) {
        if let Some(found) = existing(session, name, key, input)? {
            if what.version.is_none() {
                workflow::forget(session, workflow_id);
            }
            return Ok(found);
        }
        // It was purged between the two statements.
    }
    if let Some(capacity) = definition.max_parallel {
        let lanes = definition.steps.iter();
        let lanes = lanes.fold(0, |lanes, step| lanes | queue::lane(step.priority));
        let queues = queue_ids.values().copied().collect();
        slot::insert(session, run_id, capacity, Vec::new(), lanes, queues);
    }
    let waiting: Vec<Waiting> = definition
        .steps
        .iter()
        .map(|step| {
            let needs: Vec<&str> = step
                .needs
                .iter()
                .map(|need| definition.steps[*need].name.as_str())
                .collect();
            Waiting {
                name: &step.name,
                queue_id: queue_ids[step.queue.as_str()],
                max_parallel: step.max_parallel,
                with_items: step.with_items.is_some(),
                needs: Jsonb::from_text(&json!(needs).to_string()),
                survives: survives_failure(step.when),
                compensate_queue_id: step
                    .compensate
                    .as_ref()
                    .map(|compensate| queue_ids[compensate.queue.as_str()]),
            }
        })
        .collect();
    step::insert_waiting(session, run_id, &waiting);
    let held = run::hold(session, run_id).expect("it is this transaction's own");
    let mut moving = Moving::new(session, held);
    moving.event("started", json!({"name": name, "version": new.version}));
    moving.look_at_all = true;
    moving.go();
    Ok(("started", run_id))
}

/// The queues that a definition names, held.
fn queues_of<'a>(session: &Session, definition: &'a Definition) -> Checked<BTreeMap<&'a str, i32>> {
    let mut queue_ids = BTreeMap::new();
    for step in &definition.steps {
        let undone_in = step.compensate.iter().map(|compensate| &compensate.queue);
        for queue in std::iter::once(&step.queue).chain(undone_in) {
            if !queue_ids.contains_key(queue.as_str()) {
                let held = queues::writable(session, queue)?;
                queue_ids.insert(queue.as_str(), held.queue_id);
            }
        }
    }
    Ok(queue_ids)
}

/// Notes now, key by key, which queues and priorities use the slot keys of all steps; 42704 if one is missing.
fn use_slot_keys(
    session: &Session,
    definition: &Definition,
    queue_ids: &BTreeMap<&str, i32>,
) -> Checked<()> {
    let mut new = BTreeSet::new();
    for step in &definition.steps {
        let (queue_id, lanes) = (queue_ids[step.queue.as_str()], queue::lane(step.priority));
        let found = slot::find(session, step.slot_keys.clone(), queue_id, lanes);
        for (name, (slot_key, known)) in step.slot_keys.iter().zip(found) {
            let slot_key = slot_key.ok_or_else(|| Misuse::no_slot_key(name))?;
            if !known {
                new.insert((slot_key, queue_id, lanes));
            }
        }
    }
    for (slot_key, queue_id, lanes) in new {
        slot::use_keys(session, vec![slot_key], queue_id, lanes);
    }
    Ok(())
}

/// Notes the priorities of all steps now, queue by queue: who dispatches one, with a run in its hands, waits for nobody.
fn use_lanes(session: &Session, definition: &Definition, queue_ids: &BTreeMap<&str, i32>) {
    let lanes: BTreeSet<(i32, i16)> = definition
        .steps
        .iter()
        .map(|step| (queue_ids[step.queue.as_str()], step.priority))
        .collect();
    for (queue_id, priority) in lanes {
        let queue = queue::by_id(session, queue_id);
        queues::use_lane(session, queue_id, queue.lanes, priority);
    }
}

fn existing(
    session: &Session,
    name: Option<&str>,
    key: Option<&str>,
    input: Jsonb,
) -> Checked<Option<(&'static str, i64)>> {
    let Some(key) = key else { return Ok(None) };
    let Some((run_id, same, touchable)) = run::by_key(session, name, key, input) else {
        return Ok(None);
    };
    if !touchable {
        return Err(Misuse::wrong_state(format!("run key \"{key}\" is taken"))
            .detail("A run in queues of others has it."));
    }
    let outcome = if same {
        "exists"
    } else {
        "exists_with_different_input"
    };
    Ok(Some((outcome, run_id)))
}
