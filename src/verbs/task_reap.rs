use super::access;
use super::advance::{self, Dues};
use super::args::{self, Checked, answer};
use super::overdue::{self, Swept};
use super::queues;
use crate::model::access::Capability::Control;
use crate::model::limits;
use crate::pg::datum::Text;
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::store::floors::{self, Line};
use crate::store::queue::{self, Open};
use pgrx::prelude::*;

/// Settles leases that ran out, as acquire does, for a scheduler or cron; each is re-checked under its lock.
///
/// Arguments: `max_tasks` (1 to 1000); `queue` (NULL: all).
///
/// Outcomes, a row per lease that ran out: `requeued`, `failed`, `quarantined`, `cancelled`, `compensating` (it would
/// have ended, and its work is undone first). It also makes scheduled
/// tasks ready that are due, at most 100 per queue, and works off what others left.
///
/// Errors: 22004, 22023, 42704 (no such queue), 54000 (max_tasks).
///
/// Locks: the tasks, FOR UPDATE SKIP LOCKED; then as task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn task_reap(
    max_tasks: default!(Option<i32>, "100"),
    queue: default!(Option<Text>, "NULL"),
) -> TableIterator<'static, (name!(task_id, i64), name!(outcome, String))> {
    let session = access::verb(c"task_reap()", &[Control]);
    let reap = || -> Checked<Vec<Swept>> {
        let max_tasks = args::max_rows("max_tasks", max_tasks, limits::MAX_TASKS)?;
        let named = args::optional_word("queue", queue)?;
        reap(&session, max_tasks, named)
    };
    TableIterator::new(
        answer(reap())
            .into_iter()
            .map(|swept| (swept.task_id, swept.outcome().to_owned())),
    )
}

fn reap(session: &Session, max_tasks: i32, named: Option<String>) -> Checked<Vec<Swept>> {
    let all = named.is_none();
    let names = named.map_or_else(|| queue::names(session), |name| vec![name]);
    let mut queues: Vec<(&str, Open)> = Vec::new();
    for name in &names {
        let overdue = floors::scan(Line::Overdue {
            queue: name.clone(),
        });
        let scheduled = floors::scan(Line::Scheduled {
            queue: name.clone(),
        });
        match queue::open(session, name, overdue, scheduled) {
            Some(open) => queues.push((name, open)),
            None if all => {} // It was dropped a moment ago.
            None if name == queues::DEFAULT && session.queues().is_none() => {}
            None => return Err(Misuse::no_queue(name)),
        }
    }
    let overdue: Vec<(&str, i32)> = queues
        .iter()
        .filter(|(_, open)| open.overdue)
        .map(|(name, open)| (*name, open.queue_id))
        .collect();
    let mut left = Vec::new();
    let room = |swept: &[Swept]| max_tasks - swept.len() as i32;
    let swept = overdue::sweep(session, &overdue, room, &mut left);
    let mut dues = Dues::default();
    for (_, open) in queues.iter().filter(|(_, open)| open.due) {
        dues.take(session, open.queue_id);
    }
    advance::after_all(session, left, &dues);
    // These keep others from freeing slots: after all that waits.
    for (name, open) in queues.iter().filter(|(_, open)| open.scheduled) {
        overdue::promote(session, name, open.queue_id);
    }
    dues.fill(session);
    Ok(swept)
}
