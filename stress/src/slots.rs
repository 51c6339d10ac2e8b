//! Slots of named keys, by what the tapes tell (S1): never more of a key's tasks at work than its capacity was, at some time since
//! the first of them may have taken its slot; and none at work that cannot have found one free.

#[cfg(test)]
mod examination;

use std::collections::BTreeMap;

use crate::checker::Fate;
use crate::history::{Answer, Stamp, Verb};
use crate::project::Last;
use crate::run;
use crate::transaction::{Flushes, Tx, TxStep};

/// A capacity of a key, and when it may have been in force.
#[derive(Clone, Debug)]
struct InForce {
    capacity: i64,
    from: i64,
    until: i64,
}

/// A task that is known to have held a slot of each of its keys.
#[derive(Clone, Copy, Debug)]
struct Held {
    task: i64,
    /// It had none before.
    since: i64,
    from: i64,
    to: i64,
}

pub fn violations(
    last: &[Last],
    all: &[Tx],
    crashes: &[(Stamp, Stamp)],
    flushes: &Flushes,
) -> Vec<String> {
    let mut said = Vec::new();
    let capacities = capacities(all, crashes, flushes);
    let mut held: BTreeMap<&str, Vec<Held>> = BTreeMap::new();
    for task in last.iter().filter(|task| !task.slot_keys.is_empty()) {
        let spans = spans(task);
        for key in &task.slot_keys {
            held.entry(key).or_default().extend(&spans);
        }
    }
    for (key, spans) in held {
        let capacities = capacities.get(key).map_or(&[][..], Vec::as_slice);
        let most = |from: i64, to: i64| {
            let in_force = capacities
                .iter()
                .filter(|c| c.from <= to && from <= c.until);
            in_force.map(|c| c.capacity).max().unwrap_or(0)
        };
        for span in &spans {
            let others = || spans.iter().filter(|other| other.task != span.task);
            // Together with those at work when it began, it had no more than some capacity since the first of them got in.
            let beside: Vec<&Held> = others()
                .filter(|other| other.from <= span.from && span.from < other.to)
                .collect();
            let since = beside.iter().map(|other| other.since).min();
            let since = since.unwrap_or(span.since).min(span.since);
            let at_once = beside.len() as i64 + 1;
            if at_once > most(since, span.from) {
                said.push(format!(
                    "S1: {at_once} held a slot of {key} when task {} did at {}, of {}: {:?}",
                    span.task,
                    span.from,
                    most(since, span.from),
                    beside
                ));
            }
            // Those that were at work from before it may have got its slot until it had one.
            let before = others().filter(|other| other.from <= span.since && span.from < other.to);
            let needed = before.count() as i64 + 1;
            if needed > most(span.since, span.from) {
                said.push(format!(
                    "S1: task {} had a slot of {key} at {}, where {} were held since {}, of {}",
                    span.task,
                    span.from,
                    needed - 1,
                    span.since,
                    most(span.since, span.from)
                ));
            }
        }
    }
    said
}

/// When a task had its slots for sure: while it was leased, and while it was compensating after that. (In a run they may be given back
/// with a lost lease, because the run is paused.)
fn spans(task: &Last) -> Vec<Held> {
    let mut spans = Vec::new();
    let mut leased: Option<i64> = None;
    for event in &task.tape {
        match event.kind.as_str() {
            "leased" => leased = leased.or(Some(event.at)),
            "lease_lost" if task.run.is_none() => {}
            "lease_lost" | "retry_scheduled" | "released" | "final" => {
                let from = leased.take().filter(|from| *from < event.at);
                spans.extend(from.map(|from| Held {
                    task: task.task,
                    since: task.created_at,
                    from,
                    to: event.at,
                }));
            }
            _ => {}
        }
    }
    spans.extend(leased.map(|from| Held {
        task: task.task,
        since: task.created_at,
        from,
        to: i64::MAX,
    }));
    spans
}

/// Who asked for a capacity, when, and whether nothing can take that back.
struct Asked<'a> {
    key: &'a str,
    capacity: i64,
    from: Stamp,
    /// When its transaction had ended; `None`: that is not known.
    to: Option<(i64, i64)>,
    kept: bool,
}

/// By key.
fn capacities<'a>(
    all: &'a [Tx],
    crashes: &[(Stamp, Stamp)],
    flushes: &Flushes,
) -> BTreeMap<&'a str, Vec<InForce>> {
    let mut asked: Vec<Asked> = Vec::new();
    for tx in all {
        for (n, step) in tx.steps.iter().enumerate() {
            let TxStep::Call {
                verb: Verb::SlotSet { key, capacity },
                from,
                answer,
            } = step
            else {
                continue;
            };
            let fate = tx.fate_of(n);
            if fate == Fate::RolledBack || matches!(answer, Some((Answer::Error { .. }, _))) {
                continue;
            }
            let ended = match (tx.alone, answer) {
                (true, Some((Answer::Rows(_), to))) => Some(*to),
                (true, _) => None,
                (false, _) => tx.ended.map(|(_, stamp)| stamp),
            };
            let ended = ended.filter(|_| fate == Fate::Committed);
            let survives = |(down, up): &(Stamp, Stamp)| {
                from.mono > up.mono || flushes.after(tx.end()) <= down.mono
            };
            asked.push(Asked {
                key,
                capacity: i64::from(*capacity),
                from: *from,
                to: ended.map(|stamp| (stamp.mono, stamp.wall)),
                kept: ended.is_some() && (tx.flushed || crashes.iter().all(survives)),
            });
        }
    }
    let mut in_force: BTreeMap<&str, Vec<InForce>> = BTreeMap::new();
    let until = |key: &str, after: i64| {
        let later = asked
            .iter()
            .filter(|other| other.key == key && other.kept && other.from.mono > after);
        let ends = later.filter_map(|other| Some(other.to?.1));
        ends.min().unwrap_or(i64::MAX)
    };
    for (key, capacity, _) in run::SLOT_KEYS {
        in_force.entry(key).or_default().push(InForce {
            capacity: i64::from(capacity),
            from: 0,
            until: until(key, 0),
        });
    }
    for one in &asked {
        let until = match one.to {
            Some((mono, _)) => until(one.key, mono),
            // What was under way when the server went down has happened by then, or never.
            None => {
                let downs = crashes.iter().filter(|(down, _)| down.mono > one.from.mono);
                let first = downs.min_by_key(|(down, _)| down.mono);
                first.map_or(i64::MAX, |(_, up)| until(one.key, up.mono).max(up.wall))
            }
        };
        in_force.entry(one.key).or_default().push(InForce {
            capacity: one.capacity,
            from: one.from.wall,
            until,
        });
    }
    in_force
}
