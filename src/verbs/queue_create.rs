use super::args::{self, Checked, answer};
use super::queues;
use crate::model::ending::OnLost;
use crate::model::limits;
use crate::pg::datum::{Elements, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::store::queue::{self, Settings};
use pgrx::prelude::*;

/// Creates a queue.
///
/// Arguments: `name` (1 to 255 bytes); `lease_ttl` (100 ms to 24 hours: the length of a lease when the worker names none);
/// `max_attempts` (1 to 10000); `max_lost_leases` (1 to 10000); `backoff_base` and `backoff_max` (0 to 10 years);
/// `max_runtime` (100 ms to 10 years: heartbeats never extend a lease beyond it; NULL: no bound); `on_lost` (requeue,
/// requeue_unstarted or fail); `on_final_queue` and `on_final_states` (not yet served: must be NULL).
///
/// Errors: 22004, 22023, 23505 (the queue exists; `default` does after install), 0A000 (on_final_queue).
///
/// Locks: none but the new row's own.
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
    let session = Session::verb(c"queue_create()");
    let create = || -> Checked<()> {
        let name = args::required_word("name", name)?;
        unserved(&on_final_queue, &on_final_states)?;
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
            on_final_queue: None,
            on_final_states: None,
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

/// Better refused than stored and not heard.
pub fn unserved(
    on_final_queue: &Option<Text>,
    on_final_states: &Option<Elements<String>>,
) -> Checked<()> {
    if on_final_queue.is_some() || on_final_states.is_some() {
        Err(Misuse::not_supported("on_final_queue is not supported yet")
            .detail("No task would be created when a task of this queue ends."))
    } else {
        Ok(())
    }
}
