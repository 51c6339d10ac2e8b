//! The queue that a verb is about.

use super::args::Checked;
use crate::model::ending::OnLost;
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::store::queue::{self, Queue, Settings};
use pgrx::datum::Interval;

/// The queue that exists after install; its row is made at first use, because a row written by the install
/// script would break the restore of a dump.
pub const DEFAULT: &str = "default";

pub fn default_settings() -> Settings {
    Settings {
        lease_ttl: Interval::from_micros(30_000_000),
        max_attempts: 5,
        max_lost_leases: 3,
        backoff_base: Interval::from_micros(1_000_000),
        backoff_max: Interval::from_micros(600_000_000),
        max_runtime: None,
        on_lost: OnLost::Requeue.name().to_owned(),
        on_final_queue: None,
        on_final_states: None,
    }
}

/// Makes the row of `default` if that is the queue and the row is not there.
pub fn make_default(session: &Session, name: &str) {
    if name == DEFAULT {
        queue::insert(session, name, &default_settings());
    }
}

/// The queue to write to.
pub fn writable(session: &Session, name: &str) -> Checked<Queue> {
    if let Some(queue) = queue::by_name(session, name) {
        return Ok(queue);
    }
    make_default(session, name);
    queue::by_name(session, name).ok_or_else(|| Misuse::no_queue(name))
}

/// Notes a priority at its first use in a queue.
pub fn use_lane(session: &Session, queue_id: i32, lanes: i32, priority: i16) {
    if lanes & queue::lane(priority) == 0 {
        queue::open_lane(session, queue_id, priority);
    }
}
