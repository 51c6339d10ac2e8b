//! What was answered to calls about runs, held against the runs' tapes: each answer must have a place there, and the
//! places must follow each other as the calls did.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;

use super::tape::{Place, places};
use super::{LastRun, ended_at, failed, word};
use crate::acts::{self, Row};
use crate::checker::Fate;
use crate::history::{Answer, Stamp, Verb};
use crate::model::run::RunState;
use crate::model::state::State;
use crate::project::Last;
use crate::transaction::{Flushes, Tx, TxStep};
use crate::worker::number;

/// A call that was answered and committed.
struct Call<'a> {
    tx: &'a Tx,
    verb: &'a Verb,
    rows: &'a [Row],
    from: Stamp,
    to: Stamp,
    /// When its transaction had ended.
    ended: i64,
}

impl Call<'_> {
    fn word(&self) -> &str {
        word(self.verb, self.rows).unwrap_or_default()
    }

    fn during(&self, at: i64) -> bool {
        self.from.wall <= at && at <= self.to.wall
    }

    fn first(&self, column: usize) -> Option<&String> {
        self.rows.first()?.get(column)?.as_ref()
    }
}

/// What may be gone in a crash.
struct Disk<'a> {
    crashes: &'a [(Stamp, Stamp)],
    flushes: &'a Flushes,
}

impl Disk<'_> {
    /// Whether all that this call saw is there still.
    fn kept(&self, call: &Call) -> bool {
        let changed = !matches!(call.verb, Verb::WorkflowGet { .. })
            && [
                "started",
                "paused",
                "resumed",
                "cancelled",
                "cancel_requested",
                "annotated",
                "appended",
            ]
            .contains(&call.word());
        let cancelled = matches!(call.verb, Verb::WorkflowCancel { .. });
        let on_disk = changed && (call.tx.flushed || cancelled);
        let survives = |(down, up): &(Stamp, Stamp)| {
            call.from.mono > up.mono || self.flushes.after(call.ended) <= down.mono
        };
        on_disk || self.crashes.iter().all(survives)
    }
}

/// The run that a call is about, unless it starts one.
fn run_of(verb: &Verb) -> Option<i64> {
    match verb {
        Verb::WorkflowPause { run, .. }
        | Verb::WorkflowResume { run, .. }
        | Verb::WorkflowCancel { run, .. }
        | Verb::WorkflowAnnotate { run, .. }
        | Verb::WorkflowAppend { run, .. }
        | Verb::WorkflowGet { run } => Some(*run),
        _ => None,
    }
}

pub fn violations(
    runs: &[LastRun],
    tasks: &HashMap<i64, Vec<&Last>>,
    all: &[Tx],
    crashes: &[(Stamp, Stamp)],
    flushes: &Flushes,
) -> Vec<String> {
    let disk = Disk { crashes, flushes };
    let by_id: HashMap<i64, &LastRun> = runs.iter().map(|run| (run.run, run)).collect();
    let mut said = Vec::new();
    let mut of_run: HashMap<i64, Vec<Call>> = HashMap::new();
    let mut starts: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
    for call in answered(all) {
        if let Verb::WorkflowStart { key, .. } = call.verb {
            starts.entry(key).or_default().push(call);
        } else if let Some(run) = run_of(call.verb) {
            of_run.entry(run).or_default().push(call);
        }
    }
    for (key, calls) in &starts {
        started(key, calls, &by_id, &disk, &mut said);
    }
    for (run, calls) in &of_run {
        if !by_id.contains_key(run) {
            for call in calls.iter().filter(|call| disk.kept(call)) {
                if call.word() != "not_found" && call.word() != "none" {
                    let label = &call.tx.label;
                    said.push(format!("run {run} is gone, of which {label} was told"));
                }
            }
        }
    }
    let begun = acquires(all);
    for run in runs {
        let calls = of_run.get(&run.run).map_or(&[][..], Vec::as_slice);
        let tasks = tasks.get(&run.run).map_or(&[][..], Vec::as_slice);
        unasked(run, all, &mut said);
        let failing = tasks.iter().any(|task| failed(task))
            || run.tape.iter().any(|event| event.text("state") == "failed");
        let starts = starts.get(run.key.as_str()).into_iter().flatten();
        let started = starts.filter(|call| disk.kept(call)).map(|call| call.ended);
        in_order(run, failing, calls, started.min(), &disk, &mut said);
        written(run, calls, all, &disk, &mut said);
        leases(run, calls, tasks, all, &begun, &disk, &mut said);
    }
    said
}

fn answered(all: &[Tx]) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    for tx in all {
        for (n, step) in tx.steps.iter().enumerate() {
            if let TxStep::Call {
                verb,
                from,
                answer: Some((Answer::Rows(rows), to)),
            } = step
                && word(verb, rows).is_some()
                && tx.fate_of(n) == Fate::Committed
            {
                calls.push(Call {
                    tx,
                    verb,
                    rows,
                    from: *from,
                    to: *to,
                    ended: tx.end(),
                });
            }
        }
    }
    calls
}

/// A key starts one run: once, and every other answer names the same one.
fn started(
    key: &str,
    calls: &[Call],
    runs: &HashMap<i64, &LastRun>,
    disk: &Disk,
    said: &mut Vec<String>,
) {
    let mut by = 0;
    for call in calls.iter().filter(|call| disk.kept(call)) {
        let (label, word) = (&call.tx.label, call.word());
        by += usize::from(word == "started");
        let run = call.first(1).and_then(|id| runs.get(&id.parse().ok()?));
        let Some(run) = run.filter(|run| run.key == key) else {
            said.push(format!(
                "{label}: {key} is said to be run {:?}",
                call.first(1)
            ));
            continue;
        };
        let Verb::WorkflowStart { input, .. } = call.verb else {
            continue;
        };
        let same = serde_json::from_str::<Value>(input).is_ok_and(|input| input == run.input);
        if same == (word == "exists_with_different_input") {
            said.push(format!(
                "{label}: {key} with {input} was answered {word}, where the input is {}",
                run.input
            ));
        }
    }
    if by > 1 {
        said.push(format!("{key} was answered `started` {by} times"));
    }
}

/// Whether a call may have had its effect at this time: it was made before, and was not answered before or undone.
fn may_have(all: &[Tx], at: i64, fits: impl Fn(&Verb, Option<&str>) -> bool) -> bool {
    all.iter().any(|tx| {
        tx.steps.iter().enumerate().any(|(n, step)| match step {
            TxStep::Call { verb, from, answer } if run_of(verb).is_some() => {
                let (word, to) = match answer {
                    Some((Answer::Rows(rows), to)) => (word(verb, rows), to.wall),
                    Some((Answer::Error { .. }, _)) => return false,
                    _ => (None, i64::MAX),
                };
                from.wall <= at && at <= to && tx.fate_of(n) != Fate::RolledBack && fits(verb, word)
            }
            _ => false,
        })
    })
}

/// What nobody asked for does not happen.
fn unasked(run: &LastRun, all: &[Tx], said: &mut Vec<String>) {
    for event in &run.tape {
        let at = event.text("checkpoint");
        let asked = match event.kind.as_str() {
            "paused" if at.starts_with("by hand") => may_have(all, event.at, |verb, word| {
                matches!(verb, Verb::WorkflowPause { run: id, checkpoint } if *id == run.run && checkpoint == at)
                    && word.is_none_or(|word| word == "paused")
            }),
            "resumed" => may_have(all, event.at, |verb, word| {
                matches!(verb, Verb::WorkflowResume { run: id, checkpoint } if *id == run.run && checkpoint == at)
                    && word.is_none_or(|word| word == "resumed")
            }),
            "cancel_requested" => may_have(all, event.at, |verb, word| {
                matches!(verb, Verb::WorkflowCancel { run: id, .. } if *id == run.run)
                    && word.is_none_or(|word| word.starts_with("cancel"))
            }),
            _ => true,
        };
        if !asked {
            said.push(format!("run {}: nobody asked for {event:?}", run.run));
        }
    }
}

/// Each answer has a place on the tape at which it is right, and none lies before that of a call that had ended before. `started`: when
/// somebody knew that the run was there.
fn in_order(
    run: &LastRun,
    failing: bool,
    calls: &[Call],
    started: Option<i64>,
    disk: &Disk,
    said: &mut Vec<String>,
) {
    let places = places(run);
    let mut calls: Vec<&Call> = calls.iter().filter(|call| disk.kept(call)).collect();
    calls.sort_by_key(|call| call.from.mono);
    let mut taken: HashSet<usize> = HashSet::new();
    // When it was known that the run was at this place, or beyond.
    let mut known: Vec<(i64, usize)> = Vec::new();
    for call in calls {
        let since = |(ended, _): &&(i64, usize)| *ended < call.from.mono;
        let least = known.iter().filter(since).map(|(_, place)| *place).max();
        let fits = |place: &usize| {
            run.tape[*place].at <= call.to.wall
                && is_right(run, failing, &places, *place, call)
                && !(own_event(call).is_some() && taken.contains(place))
        };
        let Some(place) = (least.unwrap_or(0)..places.len()).find(fits) else {
            // Whose start was answered and whose commit was not may not be there yet.
            let not_there = ["none", "not_found"].contains(&call.word());
            let not_yet = least.is_none() && started.is_none_or(|ended| ended >= call.from.mono);
            if reads_its_own(call) || not_there && not_yet {
                continue;
            }
            said.push(format!(
                "run {}: {}: {:?} was answered {:?}; its tape after that of calls before, from event {} on: {:?}",
                run.run,
                call.tx.label,
                call.verb,
                call.rows,
                least.unwrap_or(0) + 1,
                &run.tape[least.unwrap_or(0)..]
            ));
            continue;
        };
        if own_event(call).is_some() {
            taken.insert(place);
        }
        known.push((call.ended, place));
    }
}

/// It may have seen what a savepoint of its own transaction took back.
fn reads_its_own(call: &Call) -> bool {
    let back = |step: &TxStep| matches!(step, TxStep::RollbackToSavepoint);
    call.tx.steps.iter().any(back)
}

/// What kind of event a call has written that was answered so.
fn own_event(call: &Call) -> Option<&'static str> {
    match (call.verb, call.word()) {
        (Verb::WorkflowPause { .. }, "paused") => Some("paused"),
        (Verb::WorkflowResume { .. }, "resumed") => Some("resumed"),
        (Verb::WorkflowAppend { .. }, "appended") => Some("note"),
        _ => None,
    }
}

/// Whether the answer is right just after this event.
fn is_right(run: &LastRun, failing: bool, places: &[Place], place: usize, call: &Call) -> bool {
    let (event, now, word) = (&run.tape[place], &places[place], call.word());
    let over = now.state.is_terminal();
    let paused = now.state == RunState::Paused;
    let cancelling = now.state == RunState::Cancelling;
    let compensating = now.state == RunState::Compensating;
    let told = call.first(1).map(String::as_str) == Some(now.state.name());
    let own = |checkpoint: &str| {
        Some(event.kind.as_str()) == own_event(call)
            && call.during(event.at)
            && event.text("checkpoint") == checkpoint
    };
    match (call.verb, word) {
        (Verb::WorkflowPause { checkpoint, .. }, "paused") => own(checkpoint),
        (Verb::WorkflowPause { .. }, "already_paused") => paused,
        // Or it is failing, which the tape does not tell.
        (Verb::WorkflowPause { .. }, "terminal") => {
            over || cancelling || compensating || now.state == RunState::Running && failing
        }
        (Verb::WorkflowResume { checkpoint, .. }, "resumed") => own(checkpoint),
        (Verb::WorkflowResume { checkpoint, .. }, "checkpoint_mismatch") => {
            paused && now.checkpoint.as_ref() != Some(checkpoint)
        }
        (Verb::WorkflowResume { .. }, "not_paused") => !paused && !over,
        (Verb::WorkflowResume { .. } | Verb::WorkflowCancel { .. }, "terminal") => over,
        (Verb::WorkflowCancel { .. }, "cancelled") => {
            now.state == RunState::Cancelled && event.kind == "final" && call.during(event.at)
        }
        (Verb::WorkflowCancel { .. }, "compensating") => compensating && told,
        // If nothing runs, what was done is undone at once, or it is clear that it cannot be.
        (Verb::WorkflowCancel { .. }, "cancel_requested") => {
            let at_once = call.during(event.at)
                && (event.kind == "compensating" || event.text("state") == "quarantined");
            (cancelling || at_once) && told
        }
        (Verb::WorkflowAnnotate { .. }, "annotated") => true,
        (Verb::WorkflowAppend { .. }, "appended") => {
            own("") && number(&call.rows[0], 1) == Some(event.seq)
        }
        (Verb::WorkflowAppend { .. }, "exists") => {
            number(&call.rows[0], 1).is_some_and(|seq| seq <= event.seq)
        }
        (Verb::WorkflowAppend { .. }, "dropped_after_final") => {
            over && number(&call.rows[0], 1) == Some(event.seq)
        }
        (Verb::WorkflowGet { .. }, state) => {
            now.state.name() == state && now.checkpoint.as_ref() == call.first(1)
        }
        _ => false,
    }
}

/// What was annotated stays, and nothing else is there.
fn written(run: &LastRun, calls: &[Call], all: &[Tx], disk: &Disk, said: &mut Vec<String>) {
    for call in calls.iter().filter(|call| disk.kept(call)) {
        if let Verb::WorkflowAnnotate { key, .. } = call.verb
            && !run.annotated.contains(key)
        {
            said.push(format!("run {}: its annotation {key} is lost", run.run));
        }
    }
    for key in &run.annotated {
        let asked = all.iter().flat_map(|tx| &tx.steps).any(|step| {
            matches!(step, TxStep::Call { verb: Verb::WorkflowAnnotate { run: id, key: asked }, .. }
                if *id == run.run && asked == key)
        });
        if !asked {
            said.push(format!("run {}: nobody annotated {key}", run.run));
        }
    }
}

/// When the acquire of each token was made.
fn acquires(all: &[Tx]) -> HashMap<i64, Stamp> {
    let mut begun = HashMap::new();
    for step in all.iter().flat_map(|tx| &tx.steps) {
        if let TxStep::Call {
            verb,
            from,
            answer: Some((Answer::Rows(rows), _)),
        } = step
        {
            for token in acts::tokens(verb, rows) {
                begun.insert(token, *from);
            }
        }
    }
    begun
}

/// An acquire that begins after a run is known to be paused, or called off, grants nothing in it, unless it may have been
/// resumed meanwhile; and nothing completes in a run that was answered to be cancelled (C1).
fn leases(
    run: &LastRun,
    calls: &[Call],
    tasks: &[&Last],
    all: &[Tx],
    begun: &HashMap<i64, Stamp>,
    disk: &Disk,
    said: &mut Vec<String>,
) {
    let leased = || {
        tasks.iter().flat_map(|task| {
            let leased = task.tape.iter().filter(|event| event.kind == "leased");
            leased.filter_map(|event| {
                let from = begun.get(&event.token?)?;
                Some((task.task, event.at, *from))
            })
        })
    };
    for call in calls.iter().filter(|call| disk.kept(call)) {
        let paused = matches!(
            (call.verb, call.word()),
            (Verb::WorkflowPause { .. }, "paused" | "already_paused")
                | (Verb::WorkflowGet { .. }, "paused")
        );
        let cancelled = matches!(
            (call.verb, call.word()),
            (
                Verb::WorkflowCancel { .. },
                "cancelled" | "cancel_requested"
            )
        );
        if !paused && !cancelled {
            continue;
        }
        for (task, at, _) in leased().filter(|(_, _, from)| from.mono > call.ended) {
            if cancelled || !resumed_by(run.run, all, call, at) {
                said.push(format!(
                    "run {}: {}: {:?} was answered {:?}, and task {task} was leased by a call that was made later",
                    run.run, call.tx.label, call.verb, call.rows
                ));
            }
        }
        if call.word() == "cancelled" {
            let wall = call
                .to
                .wall
                .max(call.tx.ended.map_or(0, |(_, ended)| ended.wall));
            for task in tasks {
                let completed = acts::state(&task.columns, 0) == Some(State::Completed);
                if completed && ended_at(task).is_some_and(|at| at > wall) {
                    said.push(format!(
                        "C1: run {} was answered `cancelled` to {}, and task {} completed afterwards",
                        run.run, call.tx.label, task.task
                    ));
                }
            }
        }
    }
}

/// Whether the run may have been resumed after this call was made, and by then.
fn resumed_by(run: i64, all: &[Tx], call: &Call, by: i64) -> bool {
    all.iter().any(|tx| {
        tx.steps.iter().enumerate().any(|(n, step)| {
            let TxStep::Call {
                verb: verb @ Verb::WorkflowResume { run: id, .. },
                from,
                answer,
            } = step
            else {
                return false;
            };
            let may = match answer {
                Some((Answer::Rows(rows), _)) => {
                    word(verb, rows) == Some("resumed") && tx.fate_of(n) != Fate::RolledBack
                }
                Some((Answer::Error { .. }, _)) => false,
                _ => tx.fate_of(n) != Fate::RolledBack,
            };
            *id == run && may && from.wall <= by && tx.end() >= call.from.mono
        })
    })
}
