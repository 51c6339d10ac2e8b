use super::args::{self, Checked, answer};
use super::{access, queues};
use crate::model::access::Capability::Operate;
use crate::model::limits;
use crate::pg::datum::{Elements, Text};
use crate::pg::error::Misuse;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::purge::{self, Old};
use pgrx::prelude::*;

/// Removes tasks that ended long ago, with their tapes, a bounded number at a time; their keys are free again. Of a run only
/// all of it: when every task of it ended before that. (A run that is larger than max_tasks goes by itself.)
///
/// Arguments: `older_than` (0 to 10 years); `max_tasks` (1 to 100000); `queue` (NULL: all); `states` (terminal states; NULL:
/// all).
///
/// Returns `tasks` and `events` (how many went) and `more` (whether another call finds more): call it until
/// there are no more, or from cron; with psql's \watch it shows its progress.
///
/// Errors: 22004, 22023, 42704 (no such queue), 54000 (max_tasks).
///
/// Locks: the ends it removes, FOR UPDATE SKIP LOCKED, and those they tell of; then it waits for who annotates one of the tasks.
/// Nothing that runs looks at these rows.
#[pg_extern(volatile, parallel_unsafe)]
fn baton_purge(
    older_than: Option<Interval>,
    max_tasks: default!(Option<i32>, "10000"),
    queue: default!(Option<Text>, "NULL"),
    states: default!(Option<Elements<String>>, "NULL"),
) -> TableIterator<'static, (name!(tasks, i64), name!(events, i64), name!(more, bool))> {
    let session = access::verb(c"baton_purge()", &[Operate]);
    let purge = || -> Checked<(i64, i64, bool)> {
        let older_than = args::delay("older_than", args::required("older_than", older_than)?)?;
        let max_tasks = args::max_rows("max_tasks", max_tasks, limits::PURGE)?;
        let queues = match args::optional_word("queue", queue)? {
            None => session.queues().map(|queues| queues.ids().to_vec()),
            Some(name) => {
                // A dropped one too: its finished tasks are there until they are purged.
                Some(queues::seen(&session, &name)?)
            }
        };
        let states = states
            .map(|states| args::terminal_states("states", states, None))
            .transpose()?;
        let old = Old {
            older_than,
            queues,
            states,
        };
        purge(&session, &old, max_tasks)
    };
    TableIterator::once(answer(purge()))
}

fn purge(session: &Session, old: &Old, max_tasks: i32) -> Checked<(i64, i64, bool)> {
    let max = i64::from(max_tasks);
    let batch = purge::lock(session, old, max_tasks);
    let (mut tasks, mut events) = (batch.task_ids.len() as i64, batch.events);
    if tasks > 0 {
        purge::tasks(session, &batch);
        rest(session, batch.task_ids)?;
    }
    if batch.more && tasks > 0 {
        return Ok((tasks, events, true));
    }
    let mut removed = tasks;
    let mut after = i64::MIN;
    loop {
        let runs = purge::lock_runs(session, old, after, limits::PURGE_RUNS);
        let Some(last) = runs.last() else {
            return Ok((tasks, events, false));
        };
        after = *last;
        for run_id in runs {
            // Looked at again under its lock: a group may have come into it.
            let Some(task_ids) = purge::tasks_of_run(session, old, run_id) else {
                continue;
            };
            // A run without a task counts as one here: they are bounded, too.
            let rows = (task_ids.len() as i64).max(1);
            if removed > 0 && removed + rows > max {
                return Ok((tasks, events, true));
            }
            if !purge::lock_run_tasks(session, task_ids.clone()) {
                continue; // Another purge, or a redrive, is at it.
            }
            removed += rows;
            tasks += task_ids.len() as i64;
            events += purge::run(session, run_id, task_ids.clone());
            rest(session, task_ids)?;
        }
    }
}

/// What was added to the tasks until they were locked goes too: seen only now that they are.
fn rest(session: &Session, task_ids: Vec<i64>) -> Checked<()> {
    purge::rest(session, task_ids.clone());
    if xact::has_fixed_snapshot() && purge::unseen(session, task_ids) {
        return Err(Misuse::not_serializable());
    }
    Ok(())
}
