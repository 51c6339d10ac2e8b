//! What a call means for each task that it is about.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::history::Verb;
use crate::model::state::State;
use crate::spec::{Act, Reply};
use crate::worker::number;

pub type Row = Vec<Option<String>>;

/// What is looked up where an answer is missing.
pub struct Known {
    pub queues: HashMap<String, usize>,
    pub by_key: HashMap<String, i64>,
    pub by_name: HashMap<String, Vec<i64>>,
    pub run_of: HashMap<i64, i64>,
    /// All tasks that the database shows at the end, and those of them that undo something.
    pub there: HashSet<i64>,
    pub undoing: HashSet<i64>,
    /// owner → leases that the tapes tell of: (task, token, granted at)
    pub by_owner: HashMap<String, Vec<(i64, i64, i64)>>,
    /// Tokens that some answer told, or that were given to a call whose answer is missing.
    pub told: HashSet<i64>,
}

/// The verb without its arguments.
pub fn name(verb: &Verb) -> &'static str {
    match verb {
        Verb::Create { .. } => "create",
        Verb::CreateMany { .. } => "create_many",
        Verb::CreateItems { .. } => "create_items",
        Verb::Acquire { .. } => "acquire",
        Verb::AcquireById { .. } => "acquire_by_id",
        Verb::Start { .. } => "start",
        Verb::Heartbeat { .. } => "heartbeat",
        Verb::HeartbeatMany { .. } => "heartbeat_many",
        Verb::Append { .. } => "append",
        Verb::Finalize { .. } => "finalize",
        Verb::FinalizeMany { .. } => "finalize_many",
        Verb::FailAttempt { .. } => "fail_attempt",
        Verb::Release { .. } => "release",
        Verb::RequireLease { .. } => "require_lease",
        Verb::Register { .. } => "register_compensation",
        Verb::Cancel { .. } => "cancel",
        Verb::Reap { .. } => "reap",
        Verb::ReapOwner { .. } => "reap_owner",
        Verb::Annotate { .. } => "annotate",
        Verb::Redrive { .. } => "redrive",
        Verb::Dispatch { .. } => "dispatch",
        Verb::SlotSet { .. } => "slot_set",
        Verb::Get { .. } => "get",
        Verb::Tail { .. } => "tail",
        Verb::WorkflowStart { .. } => "workflow_start",
        Verb::WorkflowPause { .. } => "workflow_pause",
        Verb::WorkflowResume { .. } => "workflow_resume",
        Verb::WorkflowCancel { .. } => "workflow_cancel",
        Verb::WorkflowAnnotate { .. } => "workflow_annotate",
        Verb::WorkflowAppend { .. } => "workflow_append",
        Verb::WorkflowGet { .. } => "workflow_get",
    }
}

pub fn tokens(verb: &Verb, rows: &[Row]) -> Vec<i64> {
    let column = match verb {
        Verb::Acquire { .. } => 1,
        Verb::AcquireById { .. } => 2,
        _ => return Vec::new(),
    };
    rows.iter().filter_map(|row| number(row, column)).collect()
}

fn text(row: &Row, column: usize) -> Option<String> {
    row.get(column).cloned().flatten()
}

pub fn state(row: &Row, column: usize) -> Option<State> {
    State::parse(row.get(column)?.as_ref()?)
}

fn flag(row: &Row, column: usize) -> Option<bool> {
    row.get(column)?.as_ref().map(|flag| flag == "t")
}

/// How many items of a group may be ready or running at once; `None`: all of them.
pub fn capacity(verb: &Verb) -> Option<usize> {
    match verb {
        Verb::CreateItems {
            items,
            max_parallel,
            ..
        } => max_parallel
            .map(|max| max as usize)
            .filter(|max| max < items),
        _ => None,
    }
}

/// Whether an answer has as many rows as it must have, or no more than it may have.
pub fn rows_fit(verb: &Verb, rows: &[Row]) -> bool {
    let n = rows.len();
    match verb {
        Verb::CreateMany { keys, .. } => n == keys.len(),
        Verb::CreateItems { items, .. } => {
            let ready = rows
                .iter()
                .filter(|row| text(row, 4).as_deref() == Some("ready"));
            let created = rows
                .iter()
                .all(|row| text(row, 0).as_deref() == Some("created"));
            n == *items && (!created || ready.count() == capacity(verb).unwrap_or(n))
        }
        Verb::Acquire { max_tasks, .. } => {
            let tasks: HashSet<_> = rows.iter().map(|row| number(row, 0)).collect();
            n <= *max_tasks as usize && tasks.len() == n
        }
        Verb::Reap { max_tasks, .. } => n <= *max_tasks as usize,
        Verb::ReapOwner { .. } | Verb::Tail { .. } => true,
        Verb::HeartbeatMany { leases, .. } | Verb::FinalizeMany { leases, .. } => n == leases.len(),
        Verb::Get { .. } | Verb::WorkflowGet { .. } => n <= 1,
        _ => n == 1,
    }
}

fn outcome(row: &Row, column: usize) -> Reply {
    Reply {
        outcome: text(row, column).unwrap_or_default(),
        ..Reply::default()
    }
}

/// µs.
pub const MS: i64 = 1000;

/// What a call means for each task it is about. Without rows: what it may have meant.
pub fn acts(verb: &Verb, rows: Option<&Vec<Row>>, known: &Known) -> Vec<(i64, Act, Option<Reply>)> {
    let first = rows.and_then(|rows| rows.first());
    // No row is an answer too, and no outcome is like it.
    let one = |task: i64, act: Act, reply: &dyn Fn(&Row) -> Reply| {
        let reply = rows.map(|_| first.map_or_else(Reply::default, reply));
        vec![(task, act, reply)]
    };
    match verb {
        Verb::Create {
            queue,
            key,
            delay_ms,
            max_attempts,
            slot_keys,
        } => {
            let queue = known.queues[queue];
            let act = Act::Create {
                queue,
                max_attempts: *max_attempts,
                delay: delay_ms * MS,
                bounded: !slot_keys.is_empty(),
                in_run: false,
                undoes: false,
                flow: None,
            };
            let task = first
                .and_then(|row| number(row, 1))
                .or_else(|| known.by_key.get(key).copied());
            let reply = first.map(|row| Reply {
                state: state(row, 2),
                ..outcome(row, 0)
            });
            task.map(|task| (task, act, reply)).into_iter().collect()
        }
        Verb::CreateMany {
            queue,
            keys,
            slot_keys,
        } => {
            let queue = known.queues[queue];
            let act = Act::Create {
                queue,
                max_attempts: None,
                delay: 0,
                bounded: !slot_keys.is_empty(),
                in_run: false,
                undoes: false,
                flow: None,
            };
            match rows {
                Some(rows) => {
                    let row =
                        |row: &Row| Some((number(row, 2)?, act.clone(), Some(outcome(row, 1))));
                    rows.iter().filter_map(row).collect()
                }
                None => {
                    let tasks = keys.iter().filter_map(|key| known.by_key.get(key));
                    tasks.map(|task| (*task, act.clone(), None)).collect()
                }
            }
        }
        Verb::CreateItems { queue, name, .. } => {
            let queue = known.queues[queue];
            let act = Act::Create {
                queue,
                max_attempts: None,
                delay: 0,
                bounded: capacity(verb).is_some(),
                in_run: true,
                undoes: false,
                flow: None,
            };
            match rows {
                Some(rows) => rows
                    .iter()
                    .filter_map(|row| {
                        let reply = Reply {
                            state: state(row, 4),
                            ..outcome(row, 0)
                        };
                        Some((number(row, 3)?, act.clone(), Some(reply)))
                    })
                    .collect(),
                None => {
                    let items = known.by_name.get(name).into_iter().flatten();
                    items.map(|task| (*task, act.clone(), None)).collect()
                }
            }
        }
        Verb::Acquire {
            queue,
            owner,
            ttl_ms,
            ..
        } => {
            let act = Act::Lease {
                queue: known.queues[queue],
                owner: owner.clone(),
                ttl: ttl_ms * MS,
            };
            let row = |row: &Row| {
                let reply = Reply {
                    outcome: "leased".to_owned(),
                    token: number(row, 1),
                    expires: number(row, 2),
                    attempt: number(row, 3).map(|n| n as i32),
                    lost_leases: number(row, 4).map(|n| n as i32),
                    ..Reply::default()
                };
                Some((number(row, 0)?, act.clone(), Some(reply)))
            };
            rows.into_iter().flatten().filter_map(row).collect()
        }
        Verb::AcquireById {
            task,
            owner,
            ttl_ms,
        } => one(
            *task,
            Act::LeaseById {
                owner: owner.clone(),
                ttl: ttl_ms * MS,
            },
            &|row| Reply {
                state: state(row, 1),
                token: number(row, 2),
                expires: number(row, 3),
                attempt: number(row, 4).map(|n| n as i32),
                owner: text(row, 5),
                ..outcome(row, 0)
            },
        ),
        Verb::Start { task, token } => one(*task, Act::Start { token: *token }, &|row| Reply {
            expires: number(row, 1),
            ..outcome(row, 0)
        }),
        Verb::Heartbeat {
            task,
            token,
            ttl_ms,
        } => one(
            *task,
            Act::Heartbeat {
                token: *token,
                ttl: ttl_ms * MS,
            },
            &|row| Reply {
                expires: number(row, 1),
                cancel_requested: flag(row, 2),
                ..outcome(row, 0)
            },
        ),
        Verb::HeartbeatMany { leases, ttl_ms } => each(
            leases,
            rows,
            |token| Act::Heartbeat {
                token,
                ttl: ttl_ms * MS,
            },
            |row| Reply {
                expires: number(row, 2),
                cancel_requested: flag(row, 3),
                ..outcome(row, 1)
            },
        ),
        Verb::Append {
            task,
            token,
            dedup_key,
        } => one(
            *task,
            Act::Append {
                token: *token,
                dedup_key: dedup_key.clone(),
            },
            &|row| Reply {
                seq: number(row, 1),
                at: number(row, 2),
                cancel_requested: flag(row, 3),
                ..outcome(row, 0)
            },
        ),
        Verb::Finalize {
            task,
            token,
            state: to,
            result,
        } => {
            let to = State::parse(to).expect("it is a state");
            one(
                *task,
                Act::Finalize {
                    token: *token,
                    state: to,
                    result: result.clone(),
                },
                &|row| Reply {
                    state: state(row, 1),
                    at: number(row, 2),
                    ..outcome(row, 0)
                },
            )
        }
        Verb::FinalizeMany { leases, state: to } => {
            let to = State::parse(to).expect("it is a state");
            each(
                leases,
                rows,
                |token| Act::Finalize {
                    token,
                    state: to,
                    result: None,
                },
                |row| Reply {
                    state: state(row, 2),
                    at: number(row, 3),
                    ..outcome(row, 1)
                },
            )
        }
        Verb::FailAttempt {
            task,
            token,
            retry_after_ms,
        } => {
            let act = Act::FailAttempt {
                token: *token,
                error: None,
                retry_after: retry_after_ms.map(|ms| ms * MS),
            };
            one(*task, act, &|row| Reply {
                state: state(row, 1),
                run_at: number(row, 2),
                ..outcome(row, 0)
            })
        }
        Verb::Release {
            task,
            token,
            delay_ms,
            unless_started,
        } => {
            let act = Act::Release {
                token: *token,
                delay: delay_ms * MS,
                unless_started: *unless_started,
            };
            one(*task, act, &|row| Reply {
                run_at: number(row, 1),
                ..outcome(row, 0)
            })
        }
        Verb::RequireLease { task, token } => {
            one(*task, Act::RequireLease { token: *token }, &|_| Reply {
                outcome: "held".to_owned(),
                ..Reply::default()
            })
        }
        Verb::Register {
            task,
            token,
            name,
            payload,
            ..
        } => one(
            *task,
            Act::Register {
                token: *token,
                what: (name.clone(), payload.clone()),
            },
            &|row| Reply {
                number: number(row, 1),
                ..outcome(row, 0)
            },
        ),
        Verb::Cancel { task, force } => one(*task, Act::Cancel { force: *force }, &|row| Reply {
            state: state(row, 1),
            ..outcome(row, 0)
        }),
        // What became of it, if the answer is missing, is what any sweep may have done.
        Verb::Reap { queue, .. } => {
            let queue = queue.as_ref().map(|queue| known.queues[queue]);
            let act = Act::Reaped { queue };
            let row = |row: &Row| Some((number(row, 0)?, act.clone(), Some(outcome(row, 1))));
            rows.into_iter().flatten().filter_map(row).collect()
        }
        Verb::ReapOwner { owner, up_to_token } => {
            let act = Act::ReapedOwner {
                owner: owner.clone(),
                up_to_token: *up_to_token,
            };
            match rows {
                Some(rows) => {
                    let row =
                        |row: &Row| Some((number(row, 0)?, act.clone(), Some(outcome(row, 1))));
                    rows.iter().filter_map(row).collect()
                }
                None => {
                    let tasks: BTreeSet<i64> = known
                        .by_owner
                        .get(owner)
                        .into_iter()
                        .flatten()
                        .map(|lease| lease.0)
                        .collect();
                    tasks
                        .into_iter()
                        .map(|task| (task, act.clone(), None))
                        .collect()
                }
            }
        }
        Verb::Annotate { task, token, key } => one(
            *task,
            Act::Annotate {
                token: *token,
                key: key.clone(),
            },
            &|row| outcome(row, 0),
        ),
        Verb::Redrive { task } => one(*task, Act::Redrive, &|row| Reply {
            task: number(row, 1),
            ..outcome(row, 0)
        }),
        // What is about a run is held against the run's tape, and slots against all tapes together.
        Verb::Dispatch { .. }
        | Verb::SlotSet { .. }
        | Verb::WorkflowStart { .. }
        | Verb::WorkflowPause { .. }
        | Verb::WorkflowResume { .. }
        | Verb::WorkflowCancel { .. }
        | Verb::WorkflowAnnotate { .. }
        | Verb::WorkflowAppend { .. }
        | Verb::WorkflowGet { .. } => Vec::new(),
        Verb::Get { task } => {
            let reply = rows.map(|rows| rows.first().map_or_else(nothing, shown));
            vec![(*task, Act::Get, reply)]
        }
        Verb::Tail { task, after } => {
            let reply = rows.map(|rows| tail(rows, *after));
            vec![(*task, Act::Tail { after: *after }, reply)]
        }
    }
}

fn each(
    leases: &[(i64, i64)],
    rows: Option<&Vec<Row>>,
    act: impl Fn(i64) -> Act,
    reply: impl Fn(&Row) -> Reply,
) -> Vec<(i64, Act, Option<Reply>)> {
    let mut all: Vec<_> = leases
        .iter()
        .enumerate()
        .map(|(i, (task, token))| {
            (
                *task,
                act(*token),
                rows.map(|rows| match rows.get(i) {
                    Some(row) if number(row, 0) == Some(*task) => reply(row),
                    _ => Reply::default(),
                }),
            )
        })
        .collect();
    // A batch is worked off in the order of the tasks' ids.
    all.sort_by_key(|(task, ..)| *task);
    all
}

pub fn nothing() -> Reply {
    Reply {
        outcome: "none".to_owned(),
        ..Reply::default()
    }
}

/// The keys of the metadata with which a compensation's task is made.
const OF_COMPENSATIONS: [&str; 3] = ["compensates", "compensation_no", "run_id"];

/// The columns of `Verb::Get`.
pub fn shown(row: &Row) -> Reply {
    let keys = text(row, 11)
        .and_then(|json| {
            serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&json).ok()
        })
        .map(|map| {
            let keys = map.into_iter().map(|(key, _)| key);
            // What undoes something says so there.
            keys.filter(|key| !OF_COMPENSATIONS.contains(&key.as_str()))
                .collect()
        });
    Reply {
        outcome: "task".to_owned(),
        state: state(row, 0),
        attempt: number(row, 1).map(|n| n as i32),
        lost_leases: number(row, 2).map(|n| n as i32),
        token: number(row, 3),
        expires: number(row, 4),
        owner: text(row, 5),
        seq: number(row, 6),
        cancel_requested: flag(row, 7),
        result: text(row, 8),
        reason: text(row, 9),
        at: number(row, 10),
        keys,
        started: flag(row, 12),
        run_at: number(row, 13),
        leased_at: number(row, 14),
        ..Reply::default()
    }
}

/// The columns of `Verb::Tail`: every seq from `after` + 1 on.
fn tail(rows: &[Row], after: i64) -> Reply {
    let dense = rows
        .iter()
        .enumerate()
        .all(|(i, row)| number(row, 0) == Some(after + 1 + i as i64));
    let event = |row: &Row| (text(row, 1).unwrap_or_default(), number(row, 2));
    Reply {
        outcome: if dense {
            "events"
        } else {
            "events out of order"
        }
        .to_owned(),
        seq: Some(after + rows.len() as i64),
        tape: Some(rows.iter().map(event).collect()),
        ..Reply::default()
    }
}

/// Whether an answer says that something about the task has changed.
pub fn changes(act: &Act, reply: Option<&Reply>) -> bool {
    let Some(reply) = reply else { return true };
    match act {
        Act::Lease { .. } | Act::Reaped { .. } | Act::ReapedOwner { .. } => true,
        // An expired lease of one's own may have been settled on the way.
        Act::LeaseById { .. } => matches!(
            reply.outcome.as_str(),
            "acquired" | "terminal" | "not_ready"
        ),
        _ => matches!(
            reply.outcome.as_str(),
            "created"
                | "started"
                | "extended"
                | "appended"
                | "finalized"
                | "retry_scheduled"
                | "released"
                | "cancelled"
                | "cancel_requested"
                | "annotated"
                | "redriven"
                | "registered"
                | "compensation_started"
        ),
    }
}

/// The same, unless it may have been the replay of a call that had changed something, which is answered alike and writes nothing.
pub fn writes(act: &Act, reply: Option<&Reply>) -> bool {
    changes(act, reply) && reply.is_none_or(|reply| reply.outcome != "compensation_started")
}

/// Whether this call makes its transaction wait for its flush, whatever the caller has set.
pub fn waits_for_flush(act: &Act, reply: Option<&Reply>) -> bool {
    let word = reply.map(|reply| reply.outcome.as_str());
    match act {
        Act::Lease { .. }
        | Act::Start { .. }
        | Act::Finalize { .. }
        | Act::FailAttempt { .. }
        | Act::Release { .. }
        | Act::Reaped { .. }
        | Act::ReapedOwner { .. } => true,
        Act::LeaseById { .. } => word == Some("acquired"),
        Act::Cancel { .. } => matches!(word, Some("cancelled" | "compensation_started")),
        _ => false,
    }
}
