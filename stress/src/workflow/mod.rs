//! Runs of workflows: what is known of them at the end, and all that is said against them.
//!
//! A run's tape tells in which order it was paused, resumed, cancelled and ended, and its steps were dispatched and
//! ended. So no order is searched for: the tape is held against the definition (`graph`), the calls against the tape (`answers`).

mod answers;
pub mod draw;
#[cfg(test)]
mod examination;
mod graph;
mod tape;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::acts::{self, Row};
use crate::history::{Stamp, Verb};
use crate::model::definition::{self, Definition};
use crate::model::run::{OnError, StepState};
use crate::model::state::State;
use crate::project::Last;
use crate::spec::{Flow, Time};
use crate::transaction::{Flushes, Tx, TxStep};
use crate::worker::number;

/// A run as the database shows it at the end.
#[derive(Clone, Debug)]
pub struct LastRun {
    pub run: i64,
    pub key: String,
    pub state: String,
    pub input: Value,
    /// The keys of its metadata.
    pub annotated: BTreeSet<String>,
    pub steps: Vec<LastStep>,
    /// What `workflow_compensations` shows.
    pub ledger: Vec<OfTask>,
    pub tape: Vec<RunEvent>,
}

/// A compensation in the ledger of a run.
#[derive(Clone, Debug)]
pub struct OfTask {
    pub task: i64,
    pub number: i64,
    /// The task that ran it.
    pub by: Option<i64>,
    pub state: String,
}

#[derive(Clone, Debug)]
pub struct LastStep {
    pub name: String,
    pub state: StepState,
    pub total: i64,
    pub completed: i64,
    pub failed: i64,
}

#[derive(Clone, Debug)]
pub struct RunEvent {
    pub seq: i64,
    pub kind: String,
    pub body: Value,
    pub at: Time,
}

impl RunEvent {
    pub fn text(&self, key: &str) -> &str {
        self.body[key].as_str().unwrap_or_default()
    }

    /// Whether it tells that of this step.
    pub fn tells(&self, kind: &str, step: &str) -> bool {
        self.kind == kind && self.text("step") == step
    }
}

/// Runs, their steps, their tapes, their ledgers.
pub const READ: [&str; 4] = [
    "SELECT r.run_id, g.key, g.state, g.input, g.metadata FROM baton.run r CROSS JOIN LATERAL workflow_get(r.run_id) g \
     WHERE r.workflow_id IS NOT NULL ORDER BY 1",
    "SELECT r.run_id, s.step, s.state, s.total, s.completed, s.failed FROM baton.run r CROSS JOIN LATERAL workflow_steps(r.run_id) s \
     WHERE r.workflow_id IS NOT NULL",
    "SELECT r.run_id, e.seq, e.kind, e.body, (extract(epoch FROM e.at) * 1000000)::bigint \
     FROM baton.run r CROSS JOIN LATERAL workflow_events(r.run_id, 0, 100000) e WHERE r.workflow_id IS NOT NULL ORDER BY 1, 2",
    "SELECT r.run_id, c.of_task_id, c.compensation_no, c.task_id, c.state FROM baton.run r CROSS JOIN LATERAL workflow_compensations(r.run_id) WITH ORDINALITY c \
     WHERE r.workflow_id IS NOT NULL ORDER BY 1, c.ordinality",
];

/// From the rows of `READ`.
pub fn last_runs(parts: &[Vec<Row>]) -> Vec<LastRun> {
    let text = |row: &Row, i: usize| row[i].clone().unwrap_or_default();
    let json = |row: &Row, i: usize| serde_json::from_str(&text(row, i)).unwrap_or(Value::Null);
    let mut runs = BTreeMap::new();
    for row in &parts[0] {
        let Some(run) = number(row, 0) else { continue };
        let metadata = json(row, 4);
        let last = LastRun {
            run,
            key: text(row, 1),
            state: text(row, 2),
            input: json(row, 3),
            annotated: metadata
                .as_object()
                .map(|keys| keys.keys().cloned().collect())
                .unwrap_or_default(),
            steps: Vec::new(),
            ledger: Vec::new(),
            tape: Vec::new(),
        };
        runs.insert(run, last);
    }
    for row in &parts[1] {
        let name = text(row, 2);
        let state = StepState::ALL
            .into_iter()
            .find(|state| state.name() == name);
        if let (Some(run), Some(state)) = (number(row, 0).and_then(|id| runs.get_mut(&id)), state) {
            run.steps.push(LastStep {
                name: text(row, 1),
                state,
                total: number(row, 3).unwrap_or_default(),
                completed: number(row, 4).unwrap_or_default(),
                failed: number(row, 5).unwrap_or_default(),
            });
        }
    }
    for row in &parts[2] {
        if let Some(run) = number(row, 0).and_then(|id| runs.get_mut(&id)) {
            run.tape.push(RunEvent {
                seq: number(row, 1).unwrap_or_default(),
                kind: text(row, 2),
                body: json(row, 3),
                at: number(row, 4).unwrap_or_default(),
            });
        }
    }
    for row in &parts[3] {
        if let Some(run) = number(row, 0).and_then(|id| runs.get_mut(&id)) {
            run.ledger.push(OfTask {
                task: number(row, 1).unwrap_or_default(),
                number: number(row, 2).unwrap_or_default(),
                by: number(row, 3),
                state: text(row, 4),
            });
        }
    }
    runs.into_values().collect()
}

/// What was answered to a call that is about a run.
pub fn word<'a>(verb: &Verb, rows: &'a [Row]) -> Option<&'a str> {
    match verb {
        Verb::WorkflowStart { .. }
        | Verb::WorkflowPause { .. }
        | Verb::WorkflowResume { .. }
        | Verb::WorkflowCancel { .. }
        | Verb::WorkflowAnnotate { .. }
        | Verb::WorkflowAppend { .. }
        | Verb::WorkflowGet { .. } => {
            let first = rows.first().and_then(|row| row.first());
            Some(first.and_then(Option::as_deref).unwrap_or("none"))
        }
        _ => None,
    }
}

/// When the runs were called off: from then on their tasks may end without being asked.
pub fn flows(runs: &[LastRun], last: &[Last]) -> HashMap<i64, Flow> {
    let mut flows: HashMap<i64, Flow> = HashMap::new();
    for run in runs {
        let first = |kind: &str, state: &str| {
            let told = |event: &&RunEvent| event.kind == kind && event.text("state") == state;
            let times = run.tape.iter().filter(told).map(|event| event.at);
            times.min().unwrap_or(Time::MAX)
        };
        let cancelled = first("cancel_requested", "");
        let called_off = cancelled.min(first("step_finalized", "failed"));
        let flow = Flow {
            called_off,
            cancelled,
        };
        flows.insert(run.run, flow);
    }
    for task in last {
        let flow = task.run.and_then(|run| flows.get_mut(&run));
        if let (Some(flow), true) = (flow, failed(task)) {
            flow.called_off = flow.called_off.min(failed_at(task).unwrap_or(0));
        }
    }
    flows
}

/// Whether its end is a failure for its run: what was undone ended first as it did before that.
fn failed(task: &Last) -> bool {
    counted(task).is_some_and(|state| matches!(state, State::Failed | State::Quarantined))
}

/// The end that its run counts.
fn counted(task: &Last) -> Option<State> {
    match acts::state(&task.columns, 0)? {
        State::Compensated => Some(first_end(task)?.0),
        state => Some(state),
    }
}

/// How a task ended first, whose work was undone before it ended, and when.
fn first_end(task: &Last) -> Option<(State, Time)> {
    let mut tape = task.tape.iter();
    let event = tape.find(|event| event.kind == "compensating")?;
    let state = State::parse(event.body["state"].as_str()?)?;
    Some((state, event.at))
}

/// When its run heard of its failure.
fn failed_at(task: &Last) -> Option<Time> {
    match first_end(task) {
        Some((State::Failed | State::Quarantined, at)) => Some(at),
        _ => ended_at(task),
    }
}

fn ended_at(task: &Last) -> Option<Time> {
    number(&task.columns, 10)
}

/// All that is said against the runs.
pub fn judge(
    runs: &[LastRun],
    last: &[Last],
    all: &[Tx],
    crashes: &[(Stamp, Stamp)],
    flushes: &Flushes,
) -> Vec<String> {
    let mut tasks: HashMap<i64, Vec<&Last>> = HashMap::new();
    for task in last {
        if let Some(run) = task.run {
            tasks.entry(run).or_default().push(task);
        }
    }
    let definitions = definitions(all);
    let mut said = Vec::new();
    let mut keys = HashSet::new();
    for run in runs {
        if !keys.insert(&run.key) {
            said.push(format!(
                "run {}: another one has its key {}",
                run.run, run.key
            ));
        }
        let tasks = tasks.get(&run.run).map_or(&[][..], Vec::as_slice);
        said.extend(tape::violations(run));
        match definitions.get(run.key.as_str()) {
            Some(definition) => said.extend(graph::violations(run, definition, tasks)),
            None => said.push(format!("run {}: nobody has started it", run.run)),
        }
    }
    said.extend(answers::violations(runs, &tasks, all, crashes, flushes));
    said
}

/// By the key of the run.
fn definitions(all: &[Tx]) -> HashMap<&str, Definition> {
    let mut definitions = HashMap::new();
    for step in all.iter().flat_map(|tx| &tx.steps) {
        if let TxStep::Call {
            verb: Verb::WorkflowStart {
                key, definition, ..
            },
            ..
        } = step
            && !definitions.contains_key(key.as_str())
            && let Ok(read) = definition::parse(definition)
        {
            definitions.insert(key.as_str(), read);
        }
    }
    definitions
}

/// Whether a failure calls off what has not started.
fn stops(definition: &Definition) -> bool {
    definition.on_error == OnError::Fail
}
