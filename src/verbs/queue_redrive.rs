use super::args::{self, Checked, answer};
use super::task_redrive::again;
use super::{access, queues};
use crate::model::access::Capability::Control;
use crate::model::limits;
use crate::model::state::State;
use crate::pg::datum::{Elements, Text};
use crate::pg::xact;
use crate::store::redrive;
use pgrx::prelude::*;

/// Redrives the tasks of a queue that ended badly, as task_redrive each, a bounded number at a time: oldest first, those that
/// stand alone and were not redriven yet.
///
/// Arguments: `queue`; `states` (terminal states but completed; NULL: failed and quarantined); `after_task_id` (the last
/// task of the batch before; 0: from the first; so that tasks which fail again are not met again); `max_tasks` (1 to 1000).
///
/// Returns a row per task that it redrove: the old task and the new one. No row: there is nothing left.
///
/// Errors: 22004, 22023, 42704 (no such queue), 54000 (max_tasks).
///
/// Locks: the ended tasks FOR KEY SHARE SKIP LOCKED; waits for another transaction that redrives one of them.
#[pg_extern(volatile, parallel_unsafe)]
fn queue_redrive(
    queue: Option<Text>,
    states: default!(Option<Elements<String>>, "NULL"),
    after_task_id: default!(Option<i64>, "0"),
    max_tasks: default!(Option<i32>, "100"),
) -> TableIterator<'static, (name!(task_id, i64), name!(new_task_id, i64))> {
    let session = access::verb(c"queue_redrive()", &[Control]);
    let redrive = || -> Checked<Vec<(i64, i64)>> {
        let queue = args::required_word("queue", queue)?;
        let states = match states {
            None => vec![State::Failed.code(), State::Quarantined.code()],
            // There is nothing to redrive in a completed task.
            Some(states) => args::terminal_states("states", states, Some(State::Completed))?,
        };
        let mut after = args::required("after_task_id", after_task_id)?;
        let max_tasks = args::max_rows("max_tasks", max_tasks, limits::MAX_TASKS)?;
        xact::force_id();
        let queue = queues::writable(&session, &queue)?;
        let mut redriven = Vec::new();
        // What others redrive or purge just now is passed over: then the next page is looked at.
        while redriven.len() < max_tasks as usize {
            let room = max_tasks - redriven.len() as i32;
            let page = redrive::of_queue(&session, queue.queue_id, states.clone(), after, room);
            let Some(last) = page.last() else { break };
            after = *last;
            let locked = redrive::lock_many(&session, page);
            redriven.extend(again(&session, locked));
        }
        redriven.sort_unstable();
        Ok(redriven)
    };
    TableIterator::new(answer(redrive()))
}
