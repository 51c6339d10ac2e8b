//! What is promised over all tasks together, and can be told without an order of the calls.

use std::collections::{BTreeSet, HashMap};

use crate::acts::{self, Known, acts};
use crate::checker::Fate;
use crate::history::{Answer, Stamp, Verb};
use crate::model::state::State;
use crate::project::{Last, Projected};
use crate::spec::Queue;
use crate::transaction::{Flushes, Tx, TxStep};
use crate::worker::number;
use crate::workflow;

/// What can be told without an order: errors that nothing explains, tokens handed out twice, successors
/// dispatched twice.
pub fn calls(
    all: &[Tx],
    crashes: &[(Stamp, Stamp)],
    flushes: &Flushes,
    known: &mut Known,
    out: &mut Projected,
) {
    // When its answer came, and what became of the transaction.
    let mut handed_out: HashMap<i64, (i64, Fate)> = HashMap::new();
    let mut successors: HashMap<(i64, String), BTreeSet<i64>> = HashMap::new();
    let mut dispatched: HashMap<(i64, String), usize> = HashMap::new();
    let mut redriven: HashMap<i64, i64> = HashMap::new();
    for tx in all {
        for (n, step) in tx.steps.iter().enumerate() {
            let TxStep::Call { verb, answer, .. } = step else {
                continue;
            };
            out.calls += 1;
            match answer {
                None | Some((Answer::Lost(_), _)) => out.unknown += 1,
                Some((Answer::Error { code, message }, _)) => {
                    out.failed += 1;
                    if !may_fail_so(tx, verb, code, known) {
                        out.violations
                            .push(format!("{}: {verb:?} raised {code}: {message}", tx.label));
                    }
                    *out.outcomes.entry(format!("error {code}")).or_default() += 1;
                }
                Some((Answer::Rows(rows), to)) => {
                    if !acts::rows_fit(verb, rows) {
                        out.violations.push(format!(
                            "{}: {verb:?} answered {} rows: {rows:?}",
                            tx.label,
                            rows.len()
                        ));
                    }
                    if let Some(word) = workflow::word(verb, rows) {
                        let word = format!("{} {word}", acts::name(verb));
                        *out.outcomes.entry(word).or_default() += 1;
                    }
                    for (_, _, reply) in acts(verb, Some(rows), known) {
                        let word = reply.map(|r| r.outcome).unwrap_or_default();
                        *out.outcomes
                            .entry(format!("{} {word}", acts::name(verb)))
                            .or_default() += 1;
                    }
                    for token in acts::tokens(verb, rows) {
                        known.told.insert(token);
                        // What was never acknowledged may be forgotten in a crash, unless it was on disk.
                        let last = handed_out.insert(token, (to.mono, tx.fate_of(n)));
                        let forgotten = last.is_some_and(|(at, fate)| {
                            fate != Fate::Committed
                                && crashes.iter().any(|(down, up)| {
                                    at < up.mono
                                        && down.mono < to.mono
                                        && flushes.after(at) > down.mono
                                })
                        });
                        if last.is_some() && !forgotten {
                            out.violations.push(format!(
                                "A2: token {token} was handed out twice, again to {}",
                                tx.label
                            ));
                        }
                    }
                    // What was not flushed may be forgotten in a crash, and its number given to another.
                    if let (Verb::Redrive { task }, Fate::Committed, true) =
                        (verb, tx.fate_of(n), tx.flushed)
                        && let Some(row) = rows.first()
                        && row[0].as_deref() == Some("redriven")
                        && let Some(new) = number(row, 1)
                        && *redriven.entry(new).or_insert(*task) != *task
                    {
                        out.violations.push(format!(
                            "{}: task {new} is said to be redriven of {task}, too",
                            tx.label
                        ));
                    }
                    if let Verb::Dispatch {
                        task, successor, ..
                    } = verb
                    {
                        let word = rows
                            .first()
                            .and_then(|row| row[0].clone())
                            .unwrap_or_default();
                        *out.outcomes.entry(format!("dispatch {word}")).or_default() += 1;
                        let scope = (
                            known.run_of.get(task).copied().unwrap_or(-task),
                            successor.clone(),
                        );
                        if tx.fate_of(n) == Fate::Committed {
                            if word == "dispatched" {
                                *dispatched.entry(scope.clone()).or_default() += 1;
                            }
                            if let Some(new) = rows.first().and_then(|row| number(row, 1)) {
                                successors.entry(scope).or_default().insert(new);
                            }
                        }
                    }
                }
            }
        }
    }
    for ((scope, name), times) in dispatched {
        if times > 1 {
            out.violations.push(format!(
                "D1: {name} of {scope} was answered `dispatched` {times} times"
            ));
        }
    }
    for ((scope, name), ids) in successors {
        if ids.len() > 1 {
            out.violations
                .push(format!("D1: {name} of {scope} is said to be {ids:?}"));
        }
    }
}

/// What is promised of a group, by what the tapes tell: never more than `max_parallel` of it hold a slot (S1), and what follows it is never dispatched early (D3).
pub fn groups(all: &[Tx], last: &[Last], out: &mut Projected) {
    let mut items: HashMap<(i64, &str), Vec<&Last>> = HashMap::new();
    let mut group_of: HashMap<i64, (i64, &str)> = HashMap::new();
    for task in last {
        // Without a run it is its own group.
        let run = task.run.unwrap_or(-task.task);
        let group = (run, task.name.as_deref().unwrap_or_default());
        items.entry(group).or_default().push(task);
        group_of.insert(task.task, group);
    }
    let calls = all
        .iter()
        .filter(|tx| tx.fate() == Fate::Committed)
        .flat_map(|tx| &tx.steps);
    for step in calls {
        let TxStep::Call {
            verb,
            answer: Some((Answer::Rows(rows), to)),
            ..
        } = step
        else {
            continue;
        };
        let word = rows.first().and_then(|row| row[0].as_deref());
        match verb {
            Verb::CreateItems { name, .. } => {
                let Some(run) = rows.first().and_then(|row| number(row, 1)) else {
                    continue;
                };
                let first: HashMap<i64, i64> = rows
                    .iter()
                    .filter(|row| row[0].as_deref() == Some("created"))
                    .filter(|row| row[4].as_deref() == Some("ready"))
                    .filter_map(|row| Some((number(row, 3)?, to.wall)))
                    .collect();
                let group = items.get(&(run, name.as_str()));
                let most = most_at_once(group.into_iter().flatten(), &first, true);
                if acts::capacity(verb).is_some_and(|capacity| most > capacity) {
                    out.violations.push(format!(
                        "S1: {most} of group {name} of run {run} had a slot at once: {verb:?}"
                    ));
                }
            }
            Verb::Dispatch { task, .. } if word == Some("dispatched") => {
                let group = group_of.get(task).and_then(|group| items.get(group));
                for item in group.into_iter().flatten() {
                    if number(&item.columns, 10).is_none_or(|at| at > to.wall) {
                        out.violations.push(format!(
                            "D3: {verb:?} was answered `dispatched` before item {} had ended",
                            item.task
                        ));
                    }
                }
            }
            _ => {}
        }
    }
}

/// How many of these tasks held a slot at the same time, at least: from their lease on, or from the time at which they
/// were known to be ready, until they ended or were given back. (A lost lease keeps the slot, unless the run may have been paused.)
pub fn most_at_once<'a>(
    tasks: impl Iterator<Item = &'a &'a Last>,
    ready_since: &HashMap<i64, i64>,
    lost_keeps: bool,
) -> usize {
    let mut changes = Vec::new();
    for task in tasks {
        let mut since = ready_since.get(&task.task).copied();
        for event in &task.tape {
            match event.kind.as_str() {
                "leased" => since = since.or(Some(event.at)),
                "lease_lost" if lost_keeps => {}
                "lease_lost" | "retry_scheduled" | "released" | "final" => {
                    if let Some(since) = since.take().filter(|since| *since < event.at) {
                        changes.extend([(since, 1), (event.at, -1)]);
                    }
                }
                _ => {}
            }
        }
        changes.extend(since.map(|since| (since, 1)));
    }
    // An end and a beginning in the same µs do not overlap.
    changes.sort_unstable();
    let (mut now, mut most) = (0, 0);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    most as usize
}

/// Every end that a queue wants to be told of is told once, and nothing else is.
pub fn ends(queues: &[Queue], last: &[Last], out: &mut Projected) {
    let wanted = |task: &Last| {
        let queue = queues.iter().find(|queue| queue.name == task.queue)?;
        let (place, states) = queue.on_final?;
        let state = acts::state(&task.columns, 0)?;
        states.contains(&state).then_some(place)
    };
    let mut untold: BTreeSet<(String, String)> = last
        .iter()
        .filter_map(|task| Some((wanted(task)?.to_owned(), task.task.to_string())))
        .collect();
    for task in last
        .iter()
        .filter(|task| task.name.as_deref() == Some("on_final"))
    {
        let told = (task.queue.clone(), task.key.clone().unwrap_or_default());
        // What tells of an end may be redriven, and has no key then.
        if task.key.is_some() && !untold.remove(&told) {
            out.violations.push(format!(
                "F1: task {} tells in {} of the end of {}, which has not ended so",
                task.task, told.0, told.1
            ));
        }
    }
    for (queue, task) in untold {
        out.violations
            .push(format!("F1: nothing in {queue} tells of the end of {task}"));
    }
}

/// The errors a correct program must be ready for.
fn may_fail_so(tx: &Tx, verb: &Verb, code: &str, known: &Known) -> bool {
    match code {
        // Cancelled, by somebody or by a timeout.
        "57014" | "55P03" => true,
        "55006" => matches!(verb, Verb::RequireLease { .. }),
        // It is a compensation itself, or was one that is gone.
        "55000" => {
            matches!(verb, Verb::Register { task, .. } if known.undoing.contains(task) || !known.there.contains(task))
        }
        // Who else was in it, the server's log tells (V2).
        "40P01" => true,
        "40001" => tx.isolation != "READ COMMITTED",
        _ => false,
    }
}

/// E1, E2 and the grammar of a tape: a lease is followed by what ended it.
pub fn tape_is_sound(task: &Last) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut open = None;
    let mut undoing = false;
    let mut last_token = 0;
    for (i, event) in task.tape.iter().enumerate() {
        let mut say = |what: String| {
            wrong.push(format!(
                "E: task {}, event {}: {what}",
                task.task, event.seq
            ))
        };
        if event.seq != i as i64 + 1 {
            say(format!("it is the {}th", i + 1));
        }
        match event.kind.as_str() {
            "leased" if !undoing => {
                if open.is_some() {
                    say("leased while it was leased".to_owned());
                }
                match event.token {
                    Some(token) if token > last_token => last_token = token,
                    other => say(format!("token {other:?} after {last_token}")),
                }
                open = event.token;
            }
            "started" if open.is_none() || event.token != open => {
                say("started without its lease".to_owned())
            }
            "leased" | "retry_scheduled" | "released" | "lease_lost" if undoing => {
                say(format!("{} where its work is undone", event.kind))
            }
            "compensating" => {
                open = None;
                undoing = true;
            }
            "baton.compensation_registered" if open.is_none() || event.token != open => {
                say("a compensation is registered without its lease".to_owned())
            }
            "baton.compensation_finalized" if !undoing => {
                say("a compensation ends where nothing is undone".to_owned())
            }
            "lease_lost" | "retry_scheduled" | "released" => {
                let lease = open.take();
                if lease.is_none() {
                    say(format!("{} without a lease", event.kind));
                }
            }
            "final" if i + 1 != task.tape.len() => say("final is not the last".to_owned()),
            _ => {}
        }
    }
    let ended = task.tape.last().is_some_and(|event| event.kind == "final");
    let terminal = acts::state(&task.columns, 0).is_some_and(State::is_terminal);
    if ended != terminal {
        wrong.push(format!(
            "E2: task {} is {:?} and its tape ends in {:?}",
            task.task,
            task.columns[0],
            task.tape.last()
        ));
    }
    wrong
}
