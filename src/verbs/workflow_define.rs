use super::access;
use super::args::{self, Checked, answer};
use crate::model::access::Capability::Operate;
use crate::model::definition::{self, Definition};
use crate::model::limits;
use crate::pg::datum::{Jsonb, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::store::{slot, workflow};
use pgrx::prelude::*;

/// Stores a version of a workflow's definition, checked whole; runs that have started keep the version they started with.
///
/// Arguments: `name` (1 to 255 bytes); `definition` (JSON: steps, on_error, max_parallel; at most 1000 steps, 1000 paths in the
/// payload of each, 4 MB).
///
/// Returns the version, from 1: the latest one if that is this very definition.
///
/// Needs `operate` in all queues. The queues that it names are looked for when a run is started.
///
/// Errors: 22004, 22023 (names the step and the key), 42501, 42704 (slot_keys), 54000 (too large).
///
/// Locks: none beyond the new row's own; waits for another transaction that defines the same version.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_define(name: Option<Text>, definition: Option<Jsonb>) -> i32 {
    let session = access::verb(c"workflow_define()", &[Operate]);
    let define = || -> Checked<i32> {
        access::everywhere(&session, Operate)?;
        let name = args::required_word("name", name)?;
        let definition = args::required("definition", definition)?;
        checked(&session, definition)?;
        loop {
            let latest = workflow::latest(&session, &name, Some(definition));
            let version = match latest {
                Some(latest) if latest.same => return Ok(latest.version),
                Some(latest) => latest.version + 1,
                None => 1,
            };
            if workflow::insert(&session, Some(&name), Some(version), definition).is_some() {
                return Ok(version);
            }
            // Somebody has just defined it: look again.
        }
    };
    answer(define())
}

/// A definition as it is to be stored: nothing in it can be wrong afterwards but what its paths meet.
pub fn checked(session: &Session, definition: Jsonb) -> Checked<Definition> {
    if definition.bytes() > limits::DEFINITION_BYTES {
        return Err(
            Misuse::over_limit("argument \"definition\" is too large").detail(format!(
                "It has {} bytes; at most {} are allowed.",
                definition.bytes(),
                limits::DEFINITION_BYTES
            )),
        );
    }
    let text = workflow::text(session, definition).ok_or_else(|| {
        Misuse::bad_value("argument \"definition\" has a number that is too large or too small")
            .detail("Numbers are double precision.")
    })?;
    let read = definition::parse(&text).map_err(|problem| {
        let misuse = if problem.over_limit {
            Misuse::over_limit(problem.message)
        } else {
            Misuse::bad_value(problem.message)
        };
        match problem.detail {
            Some(detail) => misuse.detail(detail),
            None => misuse,
        }
    })?;
    for step in &read.steps {
        let places = step
            .payload
            .as_ref()
            .map_or(0, |template| template.places.len());
        if places > limits::PLACES {
            return Err(Misuse::over_limit(format!(
                "step \"{}\": key \"payload\" has {places} paths",
                step.name
            ))
            .detail(format!("It may have at most {}.", limits::PLACES)));
        }
        for (key, expression) in step.expressions() {
            // 1.4 kB of nested arrays under three of them took 3 GB.
            if expression.matches("**").count() > 1 {
                return Err(Misuse::bad_value(format!(
                    "step \"{}\": key \"{key}\" has ** more than once",
                    step.name
                ))
                .detail(
                    "A path may look into all levels once: each time multiplies what it yields.",
                ));
            }
            if let Some(why) = workflow::why_not(session, "jsonpath", expression) {
                return Err(Misuse::bad_value(format!(
                    "step \"{}\": key \"{key}\" has a bad path",
                    step.name
                ))
                .detail(format!("The server says of {expression}: {why}.")));
            }
        }
        if let Some(text) = &step.max_runtime {
            max_runtime(session, &step.name, text)?;
        }
        let found = slot::find(session, step.slot_keys.clone(), 0, 0);
        for (key, (slot_key, _)) in step.slot_keys.iter().zip(found) {
            if slot_key.is_none() {
                return Err(Misuse::no_slot_key(key));
            }
        }
    }
    Ok(read)
}

fn max_runtime(session: &Session, step: &str, text: &str) -> Checked<()> {
    let bad = |why: String| {
        Misuse::bad_value(format!(
            "step \"{step}\": key \"max_runtime\" is \"{text}\""
        ))
        .detail(why)
    };
    if let Some(why) = workflow::why_not(session, "interval", text) {
        return Err(bad(format!("It must be an interval: {why}.")));
    }
    let value = workflow::interval(session, text);
    let allowed = "100 ms to 10 years";
    args::interval(
        "max_runtime",
        value,
        limits::TTL_MIN,
        limits::DELAY_MAX,
        allowed,
    )
    .map(|_| ())
    .map_err(|_| bad(format!("It must be {allowed}.")))
}
