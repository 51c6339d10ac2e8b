use super::args::{self, Checked, answer};
use super::{access, queues};
use crate::model::access::Capability::Operate;
use crate::model::ending::OnLost;
use crate::model::limits;
use crate::model::state::State;
use crate::pg::datum::{Elements, Text};
use crate::pg::error::Misuse;
use crate::store::queue::{self, OnFinal, Settings};
use pgrx::prelude::*;

/// Creates a queue.
///
/// Arguments: `name` (1 to 255 bytes); `lease_ttl` (100 ms to 24 hours: the length of a lease when the worker names none);
/// `max_attempts` (1 to 10000); `max_lost_leases` (1 to 10000); `backoff_base` and `backoff_max` (0 to 10 years);
/// `max_runtime` (100 ms to 10 years: heartbeats never extend a lease beyond it; NULL: no bound); `on_lost` (requeue,
/// requeue_unstarted or fail); `on_final_queue` (a queue that is told of every end in this one: whoever ends a task creates in
/// the same transaction a task there, named `on_final`, with the ended task's id as its key and {task_id, queue, key, name, state,
/// reason, run_id, item_index} as its payload; the end of such a task is told to nobody) and `on_final_states` (the terminal states to tell of; NULL: all).
///
/// A queue that was dropped comes back with these settings, its finished tasks and their keys.
///
/// Errors: 22004, 22023, 42704 (no such on_final_queue), 23505 (the queue exists; `default` does after install).
///
/// Locks: none but the new row's own, and the on_final_queue against being dropped.
#[pg_extern(volatile, parallel_unsafe)]
fn queue_create(
    name: Option<Text>,
    lease_ttl: default!(Option<Interval>, "'30 s'"),
    max_attempts: default!(Option<i32>, "5"),
    max_lost_leases: default!(Option<i32>, "3"),
    backoff_base: default!(Option<Interval>, "'1 s'"),
    backoff_max: default!(Option<Interval>, "'10 min'"),
    max_runtime: default!(Option<Interval>, "NULL"),
    on_lost: default!(Option<Text>, "'requeue'"),
    on_final_queue: default!(Option<Text>, "NULL"),
    on_final_states: default!(Option<Elements<String>>, "NULL"),
) {
    let session = access::verb(c"queue_create()", &[Operate]);
    let create = || -> Checked<()> {
        let name = args::required_word("name", name)?;
        access::everywhere(&session, Operate)?;
        let on_final = match args::optional_word("on_final_queue", on_final_queue)? {
            Some(other) => Some(OnFinal {
                states: final_states(on_final_states)?.unwrap_or_else(all_states),
                queue_id: queues::writable(&session, &other)?.queue_id,
            }),
            None if on_final_states.is_some() => return Err(nobody_to_tell()),
            None => None,
        };
        let settings = Settings {
            lease_ttl: args::required("lease_ttl", args::ttl("lease_ttl", lease_ttl)?)?,
            max_attempts: args::required("max_attempts", args::max_attempts(max_attempts)?)?,
            max_lost_leases: args::required("max_lost_leases", max_lost(max_lost_leases)?)?,
            backoff_base: args::delay(
                "backoff_base",
                args::required("backoff_base", backoff_base)?,
            )?,
            backoff_max: args::delay("backoff_max", args::required("backoff_max", backoff_max)?)?,
            max_runtime: runtime(max_runtime)?,
            on_lost: policy(args::required_word("on_lost", on_lost)?)?,
            on_final,
        };
        if name == queues::DEFAULT || !queue::insert(&session, &name, &settings) {
            return Err(Misuse::queue_exists(&name));
        }
        Ok(())
    };
    answer(create())
}

pub fn max_lost(value: Option<i32>) -> Checked<Option<i32>> {
    value
        .map(|value| args::in_range("max_lost_leases", value, 1, limits::ATTEMPTS))
        .transpose()
}

pub fn runtime(value: Option<Interval>) -> Checked<Option<Interval>> {
    let (min, max) = (limits::TTL_MIN, limits::DELAY_MAX);
    value
        .map(|value| args::interval("max_runtime", value, min, max, "100 ms to 10 years"))
        .transpose()
}

pub fn policy(value: String) -> Checked<String> {
    match OnLost::parse(&value) {
        Some(_) => Ok(value),
        None => Err(
            Misuse::bad_value(format!("argument \"on_lost\" is \"{value}\"")).detail(format!(
                "It must be one of {}.",
                OnLost::ALL.map(OnLost::name).join(", ")
            )),
        ),
    }
}

/// Terminal states, by their codes.
pub fn final_states(value: Option<Elements<String>>) -> Checked<Option<Vec<i16>>> {
    let Some(states) = value else { return Ok(None) };
    let states = args::terminal_states("on_final_states", states, None)?;
    if states.is_empty() {
        return Err(Misuse::bad_value("argument \"on_final_states\" is empty")
            .detail("It names at least one state."));
    }
    Ok(Some(states))
}

pub fn all_states() -> Vec<i16> {
    let states = State::ALL.into_iter();
    states
        .filter(|state| state.is_terminal())
        .map(State::code)
        .collect()
}

pub fn nobody_to_tell() -> Misuse {
    Misuse::bad_value("argument \"on_final_states\" needs an on_final_queue")
        .detail("It says of which ends that queue is told.")
}
