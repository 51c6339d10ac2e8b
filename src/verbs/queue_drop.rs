use super::args::{self, Checked, answer};
use super::{access, queues};
use crate::model::access::Capability::Operate;
use crate::pg::datum::Text;
use crate::pg::error::Misuse;
use crate::pg::lock;
use crate::pg::session::Session;
use crate::store::capability::Taken;
use crate::store::queue;
use pgrx::prelude::*;

/// Drops a queue that holds no live tasks. Its finished tasks stay readable, and their keys taken, until they are
/// purged. What was granted for this queue alone is taken back.
///
/// Arguments: `name`.
///
/// Errors: 22004, 22023, 42704 (no such queue), 55000 (it holds tasks that have not ended, a step or successor of a run is
/// still to be dispatched into it, others left work in it that task_reap does, another queue tells it of its ends, or it is `default`).
///
/// Locks: the queue, against who creates tasks in it: it waits for the transactions that have created some, without keeping
/// others from it (each wait is bounded by lock_timeout, all of them by statement_timeout); then who comes waits for it, and finds no queue.
#[pg_extern(volatile, parallel_unsafe)]
fn queue_drop(name: Option<Text>) {
    let session = access::verb(c"queue_drop()", &[Operate]);
    let drop_queue = || -> Checked<()> {
        let name = args::required_word("name", name)?;
        drop_queue(&session, &name)
    };
    answer(drop_queue())
}

fn drop_queue(session: &Session, name: &str) -> Checked<()> {
    let queue_id = loop {
        // Asked anew each time: somebody may have dropped it meanwhile, or created a task.
        let queue_id = queues::named(session, name)?.queue_id;
        if name == queues::DEFAULT {
            return Err(refused(name).detail("It always exists."));
        }
        let alone = lock::try_exclude_queue(queue_id);
        let known = queues::named(session, name)?;
        unused(session, name, known.queue_id)?;
        if alone {
            break queue_id;
        }
        lock::wait_for_holders(queue_id);
    };
    queue::drop_queue(session, queue_id);
    access::revoke(session, &Taken::InQueue(queue_id))
}

/// 55000 while anything needs the queue, by what is committed now.
fn unused(session: &Session, name: &str, queue_id: i32) -> Checked<()> {
    let uses = queue::uses(session, queue_id);
    if uses.tasks > 0 {
        return Err(refused(name)
            .detail(format!("Tasks in it that have not ended: {}.", uses.tasks))
            .hint("Finish or cancel them first."));
    }
    if uses.successors > 0 {
        return Err(refused(name).detail(format!(
            "Steps, successors and compensations that are still to be dispatched into it: {}.",
            uses.successors
        )));
    }
    if uses.due > 0 {
        return Err(refused(name)
            .detail(format!(
                "Work that others left to be done in it: {}.",
                uses.due
            ))
            .hint("Let task_reap do it."));
    }
    match uses.told_by {
        Some((other, name_of_other)) => Err(refused(name)
            .detail(if session.may_touch(other) {
                format!("It is told of the ends in queue \"{name_of_other}\".")
            } else {
                "It is told of the ends in another queue.".to_owned()
            })
            .hint("Change that with queue_alter.")),
        None => Ok(()),
    }
}

fn refused(name: &str) -> Misuse {
    Misuse::wrong_state(format!("queue \"{name}\" cannot be dropped"))
}
