use super::access;
use super::args::{self, Checked, answer};
use super::queue_create::{all_states, final_states, max_lost, nobody_to_tell, policy, runtime};
use super::queues;
use crate::model::access::Capability::Operate;
use crate::pg::datum::{Elements, Text};
use crate::store::queue::{self, Change, Changes};
use pgrx::prelude::*;

/// Changes a queue's settings. They apply to leases granted, lost or failed from now on.
///
/// Arguments: as queue_create; NULL leaves a setting as it is; `max_runtime` 0 and `on_final_queue` '' (the empty text) take
/// theirs away.
///
/// Errors: 22004 (name), 22023, 42704 (no such queue).
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
    let session = access::verb(c"queue_alter()", &[Operate]);
    let alter = || -> Checked<()> {
        let name = args::required_word("name", name)?;
        let delay = |argument, value: Option<Interval>| {
            value.map(|value| args::delay(argument, value)).transpose()
        };
        let changes = Changes {
            lease_ttl: args::ttl("lease_ttl", lease_ttl)?,
            max_attempts: args::max_attempts(max_attempts)?,
            max_lost_leases: max_lost(max_lost_leases)?,
            backoff_base: delay("backoff_base", backoff_base)?,
            backoff_max: delay("backoff_max", backoff_max)?,
            max_runtime: match max_runtime {
                None => Change::Keep,
                Some(none) if none.as_micros() == 0 => Change::Remove,
                Some(_) => runtime(max_runtime)?.map_or(Change::Keep, Change::Set),
            },
            on_lost: args::optional_word("on_lost", on_lost)?
                .map(policy)
                .transpose()?,
            on_final_queue_id: match on_final_queue {
                None => Change::Keep,
                Some(none) if none.bytes() == 0 => Change::Remove,
                Some(other) => {
                    let other = args::word("on_final_queue", other)?;
                    Change::Set(queues::writable(&session, &other)?.queue_id)
                }
            },
            on_final_states: final_states(on_final_states)?,
        };
        let queue = queues::writable(&session, &name)?;
        if queue::update(&session, queue.queue_id, changes, all_states()) {
            Ok(())
        } else {
            Err(nobody_to_tell())
        }
    };
    answer(alter())
}
