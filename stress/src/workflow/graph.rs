//! Which steps of a run must have run, and how they and the run must have ended: the model's verdicts over the ends of its
//! tasks.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{LastRun, LastStep, counted, ended_at, failed, failed_at, stops};
use crate::acts;
use crate::model::definition::{Definition, Step};
use crate::model::run::{
    OnError, RunState, StepState, Verdict, run_end, step_end, survives_failure, verdict,
};
use crate::model::state::State;
use crate::project::Last;
use crate::together;

pub fn violations(run: &LastRun, definition: &Definition, tasks: &[&Last]) -> Vec<String> {
    let by_name: HashMap<&str, &LastStep> = run
        .steps
        .iter()
        .map(|step| (step.name.as_str(), step))
        .collect();
    let there = definition
        .steps
        .iter()
        .all(|step| by_name.contains_key(step.name.as_str()));
    if !there || run.steps.len() != definition.steps.len() {
        return vec![format!(
            "run {} has not the steps of its definition",
            run.run
        )];
    }
    let mut judge = Judge {
        run,
        definition,
        tasks,
        steps: definition
            .steps
            .iter()
            .map(|step| by_name[step.name.as_str()])
            .collect(),
        said: Vec::new(),
    };
    for i in 0..definition.steps.len() {
        judge.step(i);
        judge.items(i);
    }
    judge.whole();
    let Judge { said, .. } = judge;
    said.into_iter()
        .map(|said| format!("run {}: {said}", run.run))
        .collect()
}

struct Judge<'a> {
    run: &'a LastRun,
    definition: &'a Definition,
    tasks: &'a [&'a Last],
    /// As in the definition.
    steps: Vec<&'a LastStep>,
    said: Vec<String>,
}

impl<'a> Judge<'a> {
    fn cancelled(&self) -> bool {
        let mut events = self.run.tape.iter();
        events.any(|event| event.kind == "cancel_requested")
    }

    fn any_failed(&self) -> bool {
        self.tasks.iter().any(|task| failed(task))
            || self
                .steps
                .iter()
                .any(|step| step.state == StepState::Failed)
    }

    /// Whether a step may have been called off, and not by what it needs.
    fn called_off(&self, step: &Step) -> bool {
        let fails = stops(self.definition) && self.any_failed();
        self.cancelled() || fails && !survives_failure(step.when)
    }

    /// Where on the tape it is told of the step.
    fn told(&self, kind: &str, step: &str) -> Vec<usize> {
        let events = self.run.tape.iter().enumerate();
        events
            .filter(|(_, event)| event.tells(kind, step))
            .map(|(i, _)| i)
            .collect()
    }

    /// The tasks that have a place in the step.
    fn of(&self, step: &str) -> Vec<&'a Last> {
        let tasks = self.tasks.iter().copied();
        tasks
            .filter(|task| task.step.as_deref() == Some(step))
            .collect()
    }

    fn step(&mut self, i: usize) {
        let (step, last) = (&self.definition.steps[i], self.steps[i]);
        let name = &step.name;
        let (dispatched, finalized) = (
            self.told("step_dispatched", name),
            self.told("step_finalized", name),
        );
        if dispatched.len() > 1 {
            self.said
                .push(format!("D1: step {name} is dispatched twice"));
        }
        let [end] = finalized[..] else {
            let times = finalized.len();
            self.said
                .push(format!("the end of step {name} is told {times} times"));
            return;
        };
        if self.run.tape[end].text("state") != last.state.name() {
            self.said.push(format!(
                "step {name} is {}, and its end is told as {}",
                last.state.name(),
                self.run.tape[end].body
            ));
        }
        let needs: Vec<StepState> = step
            .needs
            .iter()
            .map(|need| self.steps[*need].state)
            .collect();
        let verdict = verdict(step.when, &needs);
        let condition = step.condition.as_deref().map_or(Some(true), holds);
        let runs = verdict == Some(Verdict::Run) && condition == Some(true);
        let Some(begun) = dispatched.first().copied() else {
            let explained = match last.state {
                StepState::Skipped => {
                    verdict == Some(Verdict::Skip)
                        || verdict == Some(Verdict::Run) && condition == Some(false)
                }
                StepState::Failed => verdict == Some(Verdict::Run) && condition.is_none(),
                StepState::Cancelled => self.called_off(step),
                _ => false,
            };
            if !explained {
                self.said.push(format!(
                    "D2: step {name} is {} without having run; it needs {needs:?}: {verdict:?}, its `if`: {condition:?}",
                    last.state.name()
                ));
            }
            return;
        };
        if begun > end {
            self.said
                .push(format!("step {name} ends before it is dispatched"));
        }
        if !runs {
            self.said.push(format!(
                "D3: step {name} ran, which needs {needs:?}: {verdict:?}, its `if`: {condition:?}"
            ));
        }
        for need in &step.needs {
            let need = &self.definition.steps[*need].name;
            if !self
                .told("step_finalized", need)
                .iter()
                .any(|at| *at < begun)
            {
                self.said.push(format!(
                    "D3: step {name} is dispatched before {need} has ended"
                ));
            }
        }
        if let Some(checkpoint) = &step.checkpoint
            && !(stops(self.definition) && self.any_failed())
        {
            let mut before = self.run.tape[..begun].iter();
            let paused = |event: &super::RunEvent| {
                event.kind == "paused" && event.text("checkpoint") == checkpoint
            };
            if !before.any(paused) {
                self.said
                    .push(format!("step {name} is dispatched without its checkpoint"));
            }
        }
        let total = self.run.tape[begun].body["total"].as_i64().unwrap_or(-1);
        let yields = self.yields(step);
        if total != yields || last.total != yields {
            self.said.push(format!(
                "step {name} has {} items, {total} on the tape, of {yields}",
                last.total
            ));
        }
    }

    /// How many items a step has.
    fn yields(&self, step: &Step) -> i64 {
        let Some(path) = &step.with_items else {
            return 1;
        };
        let found = if let Some(of_step) = path.strip_prefix("$.steps.") {
            let (name, rest) = of_step.split_once(".result").unwrap_or((of_step, ""));
            let result = self.result(name);
            match (result, rest) {
                (Value::Array(values), "[*]") => values,
                (value, _) => vec![value],
            }
        } else {
            let items = self.run.input["items"].as_array().cloned();
            let items = items.unwrap_or_default();
            if path.contains("@ > 3") {
                let more = |item: &Value| item.as_i64().is_some_and(|n| n > 3);
                items.into_iter().filter(more).collect()
            } else {
                vec![Value::Array(items)]
            }
        };
        // A single array stands for its elements.
        match &found[..] {
            [Value::Array(elements)] => elements.len() as i64,
            found => found.len() as i64,
        }
    }

    /// As the paths of other steps find it.
    fn result(&self, name: &str) -> Value {
        let mut tasks = self.of(name);
        tasks.sort_by_key(|task| task.item_index);
        let mut results = tasks.iter().map(|task| result(task));
        let mut steps = self.definition.steps.iter();
        let wide = steps.any(|step| step.name == name && step.with_items.is_some());
        if wide {
            Value::Array(results.collect())
        } else {
            results.next().unwrap_or(Value::Null)
        }
    }

    /// The step's tasks: as many as there are items, and what came of them.
    fn items(&mut self, i: usize) {
        let (step, last) = (&self.definition.steps[i], self.steps[i]);
        let name = &step.name;
        let tasks = self.of(name);
        let ran = !self.told("step_dispatched", name).is_empty();
        let mut places: Vec<Option<i64>> = tasks.iter().map(|task| task.item_index).collect();
        places.sort_unstable();
        let wanted: Vec<Option<i64>> = (0..if ran { last.total } else { 0 }).map(Some).collect();
        if places != wanted {
            self.said.push(format!(
                "step {name} has {} items, and tasks for {places:?}",
                last.total
            ));
        }
        let mut ends: BTreeMap<State, i32> = BTreeMap::new();
        for task in &tasks {
            if let Some(state) = counted(task) {
                *ends.entry(state).or_default() += 1;
            }
        }
        let of = |states: &[State]| {
            let ends = ends.iter();
            ends.filter(|(state, _)| states.contains(state))
                .map(|(_, n)| n)
                .sum::<i32>()
        };
        let completed = of(&[State::Completed]);
        let failed = of(&[State::Failed, State::Quarantined]);
        let cancelled = of(&[State::Cancelled]);
        if (i64::from(completed), i64::from(failed)) != (last.completed, last.failed) {
            self.said.push(format!(
                "D4: step {name} counts {} completed and {} failed of {ends:?}",
                last.completed, last.failed
            ));
        }
        let end = step_end(completed, failed, cancelled);
        if ran && last.state != end {
            self.said.push(format!(
                "step {name} is {} with tasks that are {ends:?}",
                last.state.name()
            ));
        }
        self.registered(step, &tasks);
        if let Some(most) = step.max_parallel {
            let named = |task: &&&Last| task.name.as_deref() == Some(name);
            let at_once =
                together::most_at_once(self.tasks.iter().filter(named), &HashMap::new(), false);
            if at_once > most as usize {
                self.said.push(format!(
                    "S1: {at_once} of step {name} ran at once, of {most}"
                ));
            }
        }
    }

    /// What its definition says of a step's tasks is registered for each that completes.
    fn registered(&mut self, step: &Step, tasks: &[&Last]) {
        for task in tasks {
            let completed = acts::state(&task.columns, 0) == Some(State::Completed);
            let wanted = usize::from(step.compensate.is_some() && completed);
            let defined = task.compensations.iter().filter(|c| c.token.is_none());
            let names: Vec<&str> = defined.map(|c| c.name.as_str()).collect();
            if names != vec![step.name.as_str(); wanted] {
                self.said.push(format!(
                    "G1: for task {} of step {} its definition has registered {names:?}",
                    task.task, step.name
                ));
            }
        }
    }

    /// The run as a whole.
    fn whole(&mut self) {
        let states = self.steps.iter().map(|step| step.state);
        let first = run_end(self.cancelled(), states);
        let end = first.map(|first| self.once_undone(first).name());
        if end != Some(self.run.state.as_str()) {
            self.said
                .push(format!("it is {} and should be {end:?}", self.run.state));
        }
        for event in self.run.tape.iter().filter(|e| e.kind == "compensating") {
            let told = event.text("state");
            if first.map(RunState::name) != Some(told) {
                self.said.push(format!(
                    "what it did is undone because it is {told}, and it is {first:?}"
                ));
            }
        }
        if let Some(most) = self.definition.max_parallel {
            let at_once = together::most_at_once(self.tasks.iter(), &HashMap::new(), false);
            if at_once > most as usize {
                self.said
                    .push(format!("S1: {at_once} ran at once, of {most}"));
            }
        }
        let ended = self.run.tape.last().map_or(0, |event| event.at);
        for task in self.tasks {
            if ended_at(task).is_none_or(|at| at > ended) {
                self.said.push(format!("task {} ends after it", task.task));
            }
        }
        self.pauses();
    }

    /// How it ends that would end so, if nothing were to be undone.
    fn once_undone(&self, first: RunState) -> RunState {
        let completed = |task: i64| {
            let mut tasks = self.tasks.iter();
            tasks.any(|last| {
                last.task == task && acts::state(&last.columns, 0) == Some(State::Completed)
            })
        };
        let gave_up = |state: &str| !["completed", "registered"].contains(&state);
        let ledger = &self.run.ledger;
        if first == RunState::Completed {
            first
        } else if ledger.iter().any(|of| gave_up(&of.state)) {
            RunState::Quarantined
        } else if ledger.iter().any(|of| completed(of.task)) {
            RunState::Compensated
        } else {
            first
        }
    }

    /// Why it was paused by itself, and whether it was when it had to be.
    fn pauses(&mut self) {
        let mut on_error = false;
        for event in self.run.tape.iter().filter(|event| event.kind == "paused") {
            let checkpoint = event.text("checkpoint");
            let of_step = self
                .definition
                .steps
                .iter()
                .any(|step| step.checkpoint.as_deref() == Some(checkpoint));
            let why = match checkpoint {
                "on_error" => {
                    let before = |task: &&&Last| failed_at(task).is_some_and(|at| at <= event.at);
                    let mut failures = self.tasks.iter().filter(before);
                    let twice = std::mem::replace(&mut on_error, true);
                    self.definition.on_error == OnError::Pause
                        && !twice
                        && (failures.any(|task| failed(task)) || self.any_failed())
                }
                // Who did it, is asked elsewhere.
                by_hand if by_hand.starts_with("by hand") => true,
                _ => of_step,
            };
            if !why {
                self.said
                    .push(format!("it is paused at {checkpoint} without a reason"));
            }
        }
        let pauses = self.definition.on_error == OnError::Pause && !self.cancelled();
        if pauses && self.any_failed() && !on_error {
            self.said
                .push("a task failed, and it was not paused for it".to_owned());
        }
    }
}

/// The task's result, as JSON.
fn result(task: &Last) -> Value {
    match task.columns.get(8).and_then(Option::as_ref) {
        Some(list) if list.starts_with('[') => serde_json::from_str(list).unwrap_or(Value::Null),
        Some(text) => Value::String(text.clone()),
        None => Value::Null,
    }
}

/// What an `if` comes to, of those that are drawn; `None`: neither true nor false.
fn holds(condition: &str) -> Option<bool> {
    match condition {
        "1 == 1" => Some(true),
        "1 == 2" | "null" => Some(false),
        _ => None,
    }
}
