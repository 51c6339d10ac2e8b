use super::args::{self, Checked, answer};
use super::queue_create::{max_lost, policy, runtime, unserved};
use super::queues;
use crate::pg::datum::{Elements, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::store::queue::{self, Changes};
use pgrx::prelude::*;

/// Changes a queue's settings. They apply to leases granted, lost or failed from now on.
///
/// Arguments: as queue_create; NULL leaves a setting as it is.
///
/// Errors: 22004 (name), 22023, 42704 (no such queue), 0A000 (on_final_queue).
///
/// Locks: the queue's row.
#[pg_extern(volatile, parallel_unsafe)]
fn queue_alter(
    name: Option<Text>,
    lease_ttl: default!(Option<Interval>, "NULL"),
    max_attempts: default!(Option<i32>, "NULL"),
    max_lost_leases: default!(Option<i32>, "NULL"),
    backoff_base: default!(Option<Interval>, "NULL"),
    backoff_max: default!(Option<Interval>, "NULL"),
    max_runtime: default!(Option<Interval>, "NULL"),
    on_lost: default!(Option<Text>, "NULL"),
    on_final_queue: default!(Option<Text>, "NULL"),
    on_final_states: default!(Option<Elements<String>>, "NULL"),
) {
    let session = Session::verb(c"queue_alter()");
    let alter = || -> Checked<()> {
        let name = args::required_word("name", name)?;
        unserved(&on_final_queue, &on_final_states)?;
        let delay = |argument, value: Option<Interval>| {
            value.map(|value| args::delay(argument, value)).transpose()
        };
        let changes = Changes {
            lease_ttl: args::ttl("lease_ttl", lease_ttl)?,
            max_attempts: args::max_attempts(max_attempts)?,
            max_lost_leases: max_lost(max_lost_leases)?,
            backoff_base: delay("backoff_base", backoff_base)?,
            backoff_max: delay("backoff_max", backoff_max)?,
            max_runtime: runtime(max_runtime)?,
            on_lost: args::optional_word("on_lost", on_lost)?
                .map(policy)
                .transpose()?,
            on_final_queue: None,
            on_final_states: None,
        };
        queues::make_default(&session, &name);
        queue::update(&session, &name, changes)
            .map(drop)
            .ok_or_else(|| Misuse::no_queue(&name))
    };
    answer(alter())
}
