use super::access;
use super::advance::{self, Left};
use super::args::{self, Checked, answer};
use super::overdue::{self, End};
use crate::model::access::Capability::Work;
use crate::model::limits;
use crate::model::outcome::{Refusal, needs_current_or_replay};
use crate::model::saga;
use crate::model::state::State;
use crate::pg::datum::{Elements, Instant, Jsonb, Text};
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::lease::{self, Ends, Report};
use crate::store::{compensation, task};
use pgrx::prelude::*;

/// Ends a task: its state, its `final` event, the hand-over of its slot, its group's counters and the dispatch of
/// what follows are one transition.
///
/// Arguments: `task_id`; `lease_token`; `state` (completed, failed, cancelled or quarantined); `result` and `error` (JSON);
/// `reason` (1 to 255 bytes).
///
/// Outcomes: `not_found`; `already_finalized` (this token ended it with the same values: a replay);
/// `already_finalized_differently` (this token, other values); `compensation_started` (it failed or was cancelled, and compensations are
/// registered: they run first, and then it ends compensated, or quarantined if one gives up; a replay is answered the same); `terminal` (somebody else ended it: `state` tells how);
/// `lease_lost`; `finalized`. An expired lease whose token is still the current one may finalize. `dispatched`: the tasks
/// this call made ready, at most 100: the next in line for its slot, a successor, the steps that follow, what tells of its end (on_final_queue).
///
/// Errors: 22004, 22023 (state), 54000 (result or error too large).
///
/// Locks: the task FOR UPDATE, waiting for it; then slots, counters, the run (if somebody changes it as a whole, what follows is left for later) and its steps, in this order.
#[pg_extern(volatile, parallel_unsafe)]
fn task_finalize(
    task_id: Option<i64>,
    lease_token: Option<i64>,
    state: Option<Text>,
    result: default!(Option<Jsonb>, "NULL"),
    error: default!(Option<Jsonb>, "NULL"),
    reason: default!(Option<Text>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(outcome, String),
        name!(state, Option<String>),
        name!(finalized_at, Option<Instant>),
        name!(dispatched, Vec<i64>),
    ),
> {
    let session = access::verb(c"task_finalize()", &[Work]);
    let finalize = || -> Checked<(Answer, Vec<i64>)> {
        let task_id = args::required("task_id", task_id)?;
        let token = args::required("lease_token", lease_token)?;
        let state = args::reported_state("state", state)?;
        let result = args::json("result", result)?;
        let error = args::json("error", error)?;
        let reason = args::optional_word("reason", reason)?;
        let report = Report {
            state,
            result,
            error,
            reason: why(state, reason.as_deref()),
        };
        let mut left = Vec::new();
        let ends = Ends::open();
        let answer = finalize(&session, &ends, task_id, token, &report, &mut left);
        let mut dispatched = advance::after(&session, left);
        dispatched.truncate(limits::DISPATCHED);
        Ok((answer, dispatched))
    };
    let (answer, dispatched) = answer(finalize());
    TableIterator::once((
        answer.outcome.to_owned(),
        answer.state.map(|state| state.name().to_owned()),
        answer.finalized_at,
        dispatched,
    ))
}

/// Ends many tasks, as task_finalize each: one that is refused never stops the others.
///
/// Arguments: `task_ids`, `lease_tokens` and `states` (as many, at most 1000); `results` and `errors` (NULL, or as many; an
/// element may be NULL).
///
/// Outcomes, a row per element with its `ordinal` from 1: as task_finalize.
///
/// Errors: 22004, 22023 (arrays of unequal length, a state), 54000.
///
/// Locks: as task_finalize, all tasks first, in the order of their ids.
#[pg_extern(volatile, parallel_unsafe)]
fn task_finalize_many(
    task_ids: Option<Elements<i64>>,
    lease_tokens: Option<Elements<i64>>,
    states: Option<Elements<String>>,
    results: default!(Option<Elements<Jsonb>>, "NULL"),
    errors: default!(Option<Elements<Jsonb>>, "NULL"),
) -> TableIterator<
    'static,
    (
        name!(ordinal, i64),
        name!(task_id, i64),
        name!(outcome, String),
        name!(state, Option<String>),
        name!(finalized_at, Option<Instant>),
    ),
> {
    let session = access::verb(c"task_finalize_many()", &[Work]);
    let finalize_many = || -> Checked<Vec<(i64, i64, Answer)>> {
        let leases = args::leases(task_ids, lease_tokens, limits::MAX_TASKS as usize)?;
        let length = ("task_ids", leases.len());
        let states = args::reported_states(states)?;
        args::same_length(length, ("states", states.len()))?;
        let json = |argument: &str, values: Option<Elements<Jsonb>>| {
            let Some(values) = values else {
                return Ok(args::parallel(None, length.1));
            };
            let values = args::elements(argument, Some(values), limits::MAX_TASKS as usize)?;
            args::same_length(length, (argument, values.len()))?;
            let name = |i| format!("{argument}[{}]", i + 1);
            let values = values.into_iter().enumerate();
            values
                .map(|(i, value)| args::json(&name(i), value))
                .collect::<Checked<Vec<_>>>()
        };
        let results = json("results", results)?;
        let errors = json("errors", errors)?;
        let mut left = Vec::new();
        let ends = Ends::open();
        let mut answers: Vec<_> = args::in_lock_order(&leases)
            .into_iter()
            .map(|i| {
                let (task_id, token) = leases[i];
                let report = Report {
                    state: states[i],
                    result: results[i],
                    error: errors[i],
                    reason: why(states[i], None),
                };
                let answer = finalize(&session, &ends, task_id, token, &report, &mut left);
                (i as i64 + 1, task_id, answer)
            })
            .collect();
        advance::after(&session, left);
        answers.sort_by_key(|(ordinal, ..)| *ordinal);
        Ok(answers)
    };
    TableIterator::new(
        answer(finalize_many())
            .into_iter()
            .map(|(ordinal, task_id, answer)| {
                (
                    ordinal,
                    task_id,
                    answer.outcome.to_owned(),
                    answer.state.map(|state| state.name().to_owned()),
                    answer.finalized_at,
                )
            }),
    )
}

pub struct Answer {
    pub outcome: &'static str,
    pub state: Option<State>,
    pub finalized_at: Option<Instant>,
}

/// The caller's word, or the plain one for a cancelled task.
fn why(state: State, reason: Option<&str>) -> Option<&str> {
    reason.or((state == State::Cancelled).then_some("cancelled"))
}

/// Ends one task; what follows is noted in `left`.
fn finalize(
    session: &Session,
    ends: &Ends,
    task_id: i64,
    token: i64,
    report: &Report,
    left: &mut Vec<Left>,
) -> Answer {
    xact::make_durable();
    loop {
        if let Some(ended) = lease::finalize(session, ends, task_id, token, report) {
            left.push(Left {
                task_id,
                ended: Some(report.state),
                first: None,
                on_final_task_id: ended.on_final_task_id,
                dispatched: None,
                place: ended.place,
            });
            return Answer {
                outcome: "finalized",
                state: Some(report.state),
                finalized_at: Some(ended.finalized_at),
            };
        }
        if saga::is_undone(report.state, true)
            && let Some(task) = lease::lock_by_token(session, task_id, token)
            && task.registrations > 0
        {
            let state = overdue::end(session, &task, End::ByLease, report, left);
            return Answer {
                outcome: "compensation_started",
                state: Some(state),
                finalized_at: None,
            };
        }
        if let Some(answer) = refused(session, task_id, token, report) {
            return answer;
        }
    }
}

/// How the holder of this token ended a task whose work is, or was, undone after that: (state, reason, whether with these values).
pub fn first_by(
    session: &Session,
    state: State,
    task_id: i64,
    token: i64,
    result: Option<Jsonb>,
    error: Option<Jsonb>,
) -> Option<(State, Option<String>, bool)> {
    match state {
        State::Compensating | State::Compensated | State::Quarantined => {
            compensation::first_by(session, task_id, token, result, error)
        }
        _ => None,
    }
}

/// The answer to a replay of a call that had a task's work undone.
pub fn undone(same: bool) -> &'static str {
    if same {
        "compensation_started"
    } else {
        "already_finalized_differently"
    }
}

/// Why the holder of this token could not end the task, or that it has done so before. `None`: the world has
/// moved, try again.
pub fn refused(session: &Session, task_id: i64, token: i64, report: &Report) -> Option<Answer> {
    let standing = task::find(session, task_id);
    let found = standing.as_ref().map(|standing| &standing.found);
    if let Some(found) = found
        && let Some((first, reason, same)) = first_by(
            session,
            found.state,
            task_id,
            token,
            report.result,
            report.error,
        )
    {
        let same = same && first == report.state && reason.as_deref() == report.reason;
        return Some(Answer {
            outcome: undone(same),
            state: Some(found.state),
            finalized_at: standing.and_then(|standing| standing.finalized_at),
        });
    }
    let refusal = needs_current_or_replay(found, token)?;
    let outcome = match refusal {
        Refusal::AlreadyFinalized => {
            let Report {
                state,
                result,
                error,
                reason,
            } = *report;
            if task::finalized_same(session, task_id, state, result, error, reason) {
                "already_finalized"
            } else {
                "already_finalized_differently"
            }
        }
        refusal => refusal.word(),
    };
    Some(Answer {
        outcome,
        state: found.map(|found| found.state),
        finalized_at: standing.and_then(|standing| standing.finalized_at),
    })
}
