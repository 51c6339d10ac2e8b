use super::args::{self, Checked, answer};
use super::overdue::{self, Swept};
use super::{access, advance};
use crate::model::access::Capability::Control;
use crate::model::ending::{self, Ending};
use crate::model::limits;
use crate::model::state::State;
use crate::pg::datum::Text;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease;
use pgrx::prelude::*;

/// Ends the leases of an owner that is known to be dead, expired or not, as if they had run out.
///
/// Arguments: `owner`; `up_to_token` (the highest token that the caller saw: an owner's name alone is no fence, for it may have started
/// again, and its new leases have greater tokens); `reason` (of the tasks that end; NULL: the usual one); `max_tasks` (1 to
/// 1000).
///
/// Outcomes, a row per lease: `requeued`, `failed`, `quarantined`, `cancelled`, `compensating`, as task_reap. A lease that another
/// transaction holds is passed over: call again until there is no row.
///
/// Errors: 22004, 22023, 54000 (max_tasks).
///
/// Locks: the tasks, FOR UPDATE SKIP LOCKED; then as task_finalize.
#[pg_extern(volatile, parallel_unsafe)]
fn task_reap_owner(
    owner: Option<Text>,
    up_to_token: Option<i64>,
    reason: default!(Option<Text>, "NULL"),
    max_tasks: default!(Option<i32>, "1000"),
) -> TableIterator<'static, (name!(task_id, i64), name!(outcome, String))> {
    let session = access::verb(c"task_reap_owner()", &[Control]);
    let reap = || -> Checked<Vec<Swept>> {
        let owner = args::required_word("owner", owner)?;
        let up_to_token = args::required("up_to_token", up_to_token)?;
        let reason = args::optional_word("reason", reason)?;
        let max_tasks = args::max_rows("max_tasks", max_tasks, limits::MAX_TASKS)?;
        Ok(reap(
            &session,
            &owner,
            up_to_token,
            reason.as_deref(),
            max_tasks,
        ))
    };
    TableIterator::new(
        answer(reap())
            .into_iter()
            .map(|swept| (swept.task_id, swept.outcome().to_owned())),
    )
}

fn reap(
    session: &Session,
    owner: &str,
    up_to_token: i64,
    reason: Option<&str>,
    max_tasks: i32,
) -> Vec<Swept> {
    xact::force_id();
    let mut left = Vec::new();
    let mut swept = Vec::new();
    for mut task in lease::lock_of_owner(session, owner, up_to_token, max_tasks) {
        xact::make_durable();
        // A lease that has not expired did not run out of time, however long it was granted for.
        task.lease.timed_out &= task.expired;
        let ending = match ending::lost(&task.lease) {
            Ending::End {
                state,
                reason: usual,
                lost,
            } if state != State::Cancelled => Ending::End {
                state,
                reason: reason.unwrap_or(usual),
                lost,
            },
            ending => ending,
        };
        let state = overdue::settle(session, &task, ending, &mut left);
        swept.push(Swept {
            task_id: task.task_id,
            state,
        });
    }
    advance::after(session, left);
    swept
}
