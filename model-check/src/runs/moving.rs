//! What each phase of a transaction does: `src/verbs/{advance,runs}.rs`, on the rows of the model.

use super::*;
use crate::model::run::Verdict;
use database::{Count, RunRow};

/// A transaction that has the lock it waited for, and what it finds.
pub struct Phase<'a> {
    pub model: &'a Runs,
    pub world: &'a World,
    pub own: Transaction,
}

impl Phase<'_> {
    /// One phase. Returns whether the transaction goes on; else it has found nothing to do.
    pub fn go(&mut self) -> bool {
        match self.own.at {
            At::Tasks => return self.tasks(),
            At::Requeue => self.requeue(),
            At::Due => self.take_due(),
            At::Fail => self.fail(),
            At::Key(run) => {
                self.own.keys.take(run);
                self.follow_on();
            }
            At::Count(step) => self.count_down(step),
            At::Gate(run) => self.gate(run),
            At::Move(run) => self.moved(run),
            At::Snapshot => return self.snapshot(),
            At::Claim => self.claim(),
            At::Control(run) => return self.control(run),
            At::Sweep(run) => {
                self.sweep(run);
                self.done();
            }
            At::Cancel(run) => self.cancel(run),
            At::Hold(run) => self.own.at = At::LineUp(run),
            At::LineUp(run) => self.line_up(run),
            At::CountUp(step) => self.count_up(step),
            At::OpenStep(step) => {
                let mut row = self.step(step);
                (row.state, row.noted) = (StepState::Running, false);
                self.own.set_step(step, row);
                self.done();
            }
            At::Commit => unreachable!("it has been committed"),
        }
        true
    }

    fn task(&self, task: u8) -> Task {
        self.own.task(&self.world.committed, task)
    }

    fn count(&self, step: u8) -> Count {
        self.own.count(&self.world.committed, step)
    }

    fn step(&self, step: u8) -> database::StepRow {
        self.own.step(&self.world.committed, step)
    }

    fn run(&self, run: u8) -> RunRow {
        self.own.run(&self.world.committed, run)
    }

    fn on_error(&self, run: u8) -> OnError {
        if self.run(run).continues {
            OnError::Continue
        } else {
            self.model.on_error
        }
    }

    fn when(&self, step: u8) -> When {
        self.model.steps[step as usize].when
    }

    fn run_of_step(&self, step: u8) -> u8 {
        self.model.steps[step as usize].run
    }

    fn needed_by(&self, need: u8) -> impl Iterator<Item = u8> {
        let steps = self.model.steps;
        (0..steps.len() as u8).filter(move |step| steps[*step as usize].needs.contains(&need))
    }

    fn a_step_of(&self, run: u8) -> u8 {
        self.model.steps_of(run).first().expect("it has steps")
    }

    /// The tasks of a run's steps that run.
    fn tasks_of(&self, run: u8) -> Set {
        let steps = self.model.steps_of(run);
        steps
            .iter()
            .filter(|step| self.step(*step).state == StepState::Running)
            .flat_map(|step| self.model.tasks_of(step).iter())
            .collect()
    }

    fn blocked(&self, run: u8) -> Set {
        let tasks = self.tasks_of(run);
        tasks
            .iter()
            .filter(|task| self.task(*task) == Task::Blocked)
            .collect()
    }

    /// Nothing is left to do but to commit; what it remembers for itself no longer matters.
    fn done(&mut self) {
        self.own.at = At::Commit;
        self.own.failures = Set::default();
        self.own.joined = Set::default();
        self.own.due = Set::default();
        self.own.gate_was_closed = Set::default();
        self.own.candidates = Set::default();
        self.own.seen = [RunState::Running; RUNS];
    }

    /// The next of its own tasks, or a run's, is locked.
    fn tasks(&mut self) -> bool {
        if let Some(task) = self.own.todo.first() {
            self.own.todo.take(task);
        }
        if !self.own.todo.is_empty() {
            return true;
        }
        match self.own.program {
            Program::End { batch, failed } => {
                for &task in self.model.batches[batch as usize] {
                    if !matches!(self.task(task), Task::Leased | Task::Asked) {
                        continue;
                    }
                    let end = if failed {
                        Task::Failed
                    } else {
                        Task::Completed
                    };
                    self.end(task, end);
                    if failed {
                        self.own.failures.add(task);
                    }
                }
                if self.own.ended.is_empty() {
                    return false;
                }
                if failed {
                    self.own.at = At::Fail;
                } else {
                    self.after();
                }
            }
            Program::CallOff(task) => {
                if !matches!(self.task(task), Task::Ready | Task::Blocked) {
                    return false;
                }
                self.end(task, Task::Cancelled);
                self.after();
            }
            Program::Requeue(task) => match self.task(task) {
                Task::Leased => self.own.at = At::Requeue,
                Task::Asked => {
                    self.end(task, Task::Cancelled);
                    self.after();
                }
                _ => return false,
            },
            Program::Cancel(run) if self.model.is(Fault::TasksBeforeGate) => {
                self.own.at = At::Control(run);
            }
            Program::Cancel(run) => self.own.at = At::Cancel(run),
            Program::Resume(run) => self.holds_blocked(run),
            _ => unreachable!("it locks no tasks"),
        }
        true
    }

    fn end(&mut self, task: u8, end: Task) {
        self.own.set_task(task, end);
        self.own.ended.add(task);
    }

    /// What follows when tasks have ended: keys, counters, runs.
    fn after(&mut self) {
        let ended = self.own.ended;
        for task in ended.iter() {
            self.own.counts.add(self.model.step_of(task));
            if self.model.max_parallel {
                self.own.keys.add(self.model.run_of(task));
            }
        }
        self.follow_on();
    }

    fn follow_on(&mut self) {
        let backwards = self.model.is(Fault::UnsortedRuns)
            && matches!(self.own.program, Program::End { batch, .. } if batch % 2 == 1);
        let run = if backwards {
            self.own.runs.last()
        } else {
            self.own.runs.first()
        };
        if let Some(run) = self.own.keys.last() {
            self.own.at = At::Key(run);
        } else if let Some(step) = self.own.counts.first() {
            self.own.at = At::Count(step);
        } else if let Some(run) = run {
            self.own.at = At::Gate(run);
        } else {
            match self.own.program {
                Program::Acquire => self.own.at = At::Snapshot,
                Program::Resume(run) if !self.run(run).state.is_terminal() => {
                    if self.model.is(Fault::TasksAfterCounters) {
                        self.lock_blocked(run);
                    } else {
                        self.own.at = At::LineUp(run);
                    }
                }
                _ => self.done(),
            }
        }
    }

    /// The gate is tried; `false`: it is closed.
    fn try_gate(&mut self, run: u8) -> bool {
        let row = Row::Run(run);
        let open = !self.world.is_taken(row, Lock::KeyShare);
        if open {
            self.own.lock(row, Lock::KeyShare);
        }
        open
    }

    fn requeue(&mut self) {
        let Program::Requeue(task) = self.own.program else {
            unreachable!("it gives back a lease");
        };
        let run = self.model.run_of(task);
        // A run that is seen not to be paused is not held on to: who closes its gate would starve.
        let seems_paused = self.run(run).state == RunState::Paused;
        if seems_paused && (self.model.is(Fault::RequeueUnlocked) || self.try_gate(run)) {
            self.model.hear(Word::Blocked);
            self.own.set_task(task, Task::Blocked);
            if self.model.max_parallel {
                self.own.keys.add(run);
            }
        } else {
            self.model.hear(Word::Requeued);
            self.own.set_task(task, Task::Ready);
        }
        self.follow_on();
    }

    fn take_due(&mut self) {
        let others = || self.world.open.iter().flatten();
        for step in 0..self.model.steps.len() {
            let taken: u8 = others().map(|open| open.took[step]).sum();
            self.own.took[step] = self.world.due[step] - taken;
            if self.own.took[step] > 0 {
                self.own.due.add(step as u8);
            }
        }
        for task in 0..self.model.tasks() {
            let at = task as usize;
            let taken: u8 = others().map(|open| open.took_failed[at]).sum();
            self.own.took_failed[at] = self.world.due_failed[at] - taken;
            if self.own.took_failed[at] > 0 {
                self.own.failures.add(task);
            }
        }
        self.own.at = if self.own.due.is_empty() && self.own.failures.is_empty() {
            At::Snapshot
        } else {
            At::Fail
        };
    }

    /// Failures, or earlier ones, call off what has not started.
    fn fail(&mut self) {
        for task in self.own.failures.iter() {
            self.own.runs.add(self.model.run_of(task));
        }
        for step in self.own.due.iter() {
            self.own.runs.add(self.run_of_step(step));
        }
        for run in self.own.runs.iter() {
            if !self.try_gate(run) {
                self.own.gate_was_closed.add(run);
                continue;
            }
            let failed = self
                .own
                .failures
                .iter()
                .any(|task| self.model.run_of(task) == run);
            let state = self.run(run).state;
            let stops = match state {
                RunState::Running => failed && self.on_error(run) == OnError::Fail,
                state => matches!(state, RunState::Failing | RunState::Cancelling),
            };
            if stops {
                self.end_unstarted(run, state != RunState::Cancelling, false);
            }
        }
        self.after();
    }

    /// Ends what has not started; what others hold is passed over, and left for later.
    fn end_unstarted(&mut self, run: u8, handlers_stay: bool, force: bool) {
        for task in self.tasks_of(run).iter() {
            let handler = survives_failure(self.when(self.model.step_of(task)));
            let ends = match self.task(task) {
                Task::Ready | Task::Blocked => true,
                state => force && state.is_live(),
            };
            if !ends || handlers_stay && handler {
                continue;
            }
            if !self.world.is_taken(Row::Task(task), Lock::Update) {
                self.end(task, Task::Cancelled);
            } else if !self.model.is(Fault::PassedOverForgotten) {
                self.own.leaves.add(self.model.step_of(task));
            }
        }
    }

    fn count_down(&mut self, step: u8) {
        let mut count = self.count(step);
        for task in self.model.tasks_of(step).iter() {
            if !self.own.ended.has(task) {
                continue;
            }
            self.own.ended.take(task);
            count.remaining = count.remaining.saturating_sub(1);
            count.failed += u8::from(self.task(task) == Task::Failed);
            count.cancelled += u8::from(self.task(task) == Task::Cancelled);
        }
        self.own.set_count(step, count);
        if count.remaining == 0 {
            self.own.joined.add(step);
            self.own.runs.add(self.run_of_step(step));
        }
        self.own.counts.take(step);
        self.follow_on();
    }

    /// The run is to move on: with its gate held open, or later.
    fn gate(&mut self, run: u8) {
        if self.model.is(Fault::GateIgnored) || self.try_gate(run) {
            self.own.seen[run as usize] = self.run(run).state;
            self.own.at = At::Move(run);
            return;
        }
        self.own.runs.take(run);
        let (joined, due, failures) = self.take_sequel(run);
        for step in joined.iter() {
            self.end_step(step);
        }
        if !self.model.is(Fault::FailureForgotten) {
            for task in failures.iter() {
                self.own.leaves_failed.add(task);
            }
        }
        if let Some(step) = joined.last().or(due.last())
            && !self.model.is(Fault::DueForgotten)
        {
            self.own.leaves.add(step);
        }
        self.model.hear(Word::Waiting);
        self.follow_on();
    }

    /// What has happened in the run: steps that have ended, what others left, failures.
    fn take_sequel(&mut self, run: u8) -> (Set, Set, Set) {
        let steps = self.model.steps_of(run);
        let (mut joined, mut due) = (self.own.joined, self.own.due);
        let mut failures = self.own.failures;
        joined.retain(|step| steps.has(step));
        due.retain(|step| steps.has(step));
        failures.retain(|task| self.model.run_of(task) == run);
        self.own.joined.retain(|step| !steps.has(step));
        self.own.due.retain(|step| !steps.has(step));
        let model = self.model;
        self.own.failures.retain(|task| model.run_of(task) != run);
        (joined, due, failures)
    }

    fn end_step(&mut self, step: u8) {
        let count = self.count(step);
        let completed = self.model.steps[step as usize].tasks - count.failed - count.cancelled;
        let mut row = self.step(step);
        row.state = crate::model::run::step_end(
            completed.into(),
            count.failed.into(),
            count.cancelled.into(),
        );
        row.noted = false;
        self.own.set_step(step, row);
    }

    fn moved(&mut self, run: u8) {
        self.own.runs.take(run);
        let (joined, due, failures) = self.take_sequel(run);
        for step in joined.iter() {
            self.end_step(step);
        }
        if !due.is_empty() {
            self.model.hear(Word::Requeued);
        }
        let cancels = self.own.program == Program::Cancel(run);
        if cancels || !(joined.is_empty() && due.is_empty() && failures.is_empty()) {
            let was_due = self.own.program == Program::Acquire && !failures.is_empty();
            let look_at_all = was_due || !due.is_empty();
            self.move_on(run, !failures.is_empty(), look_at_all);
        }
        let stops = matches!(
            self.run(run).state,
            RunState::Failing | RunState::Cancelling
        );
        if stops && self.own.gate_was_closed.has(run) && !self.model.is(Fault::CalledOffForgotten) {
            self.own.leaves.add(self.a_step_of(run));
        }
        self.follow_on();
    }

    /// Where the run is, as its row says now that it is locked.
    fn state(&self, run: u8) -> RunState {
        if self.model.is(Fault::StateReadEarly) && matches!(self.own.at, At::Move(_)) {
            return self.own.seen[run as usize];
        }
        self.run(run).state
    }

    fn set_state(&mut self, run: u8, event: RunEvent) {
        let mut row = self.run(run);
        let Some(state) = next_run(self.state(run), event) else {
            panic!("{:?} in a run that is {:?}", event, row.state);
        };
        row.state = state;
        self.own.set_run(run, row);
        self.own.seen[run as usize] = state;
    }

    fn move_on(&mut self, run: u8, failed: bool, look_at_all: bool) {
        if self.state(run).is_terminal() {
            return;
        }
        if failed {
            self.note_failure(run);
        }
        self.follow(run, look_at_all);
        self.finish(run);
    }

    fn note_failure(&mut self, run: u8) {
        match (self.state(run), self.on_error(run)) {
            (RunState::Paused, OnError::Pause | OnError::Fail) => {
                let mut row = self.run(run);
                row.failed = true;
                self.own.set_run(run, row);
            }
            (RunState::Running, OnError::Pause) => self.pause(run, true),
            (RunState::Running, OnError::Fail) => self.set_state(run, RunEvent::Fail),
            _ => {}
        }
    }

    fn pause(&mut self, run: u8, on_error: bool) {
        self.model.hear(Word::Paused);
        self.set_state(run, RunEvent::Pause);
        let mut row = self.run(run);
        row.on_error = on_error;
        self.own.set_run(run, row);
        self.sweep(run);
    }

    fn sweep(&mut self, run: u8) {
        for task in self.tasks_of(run).iter() {
            let taken = self.world.is_taken(Row::Task(task), Lock::Update);
            if self.task(task) == Task::Ready && !taken {
                self.own.set_task(task, Task::Blocked);
            }
        }
    }

    fn follow(&mut self, run: u8, look_at_all: bool) {
        let steps = self.model.steps_of(run);
        let mut candidates = if look_at_all { steps } else { Set::default() };
        while self.state(run) != RunState::Paused {
            if !self.model.is(Fault::FailureOvertaken) && self.hear_failures(run) {
                break;
            }
            for step in steps.iter() {
                let mut row = self.step(step);
                if row.state.has_ended() && !row.noted {
                    row.noted = true;
                    self.own.set_step(step, row);
                    self.needed_by(step).for_each(|by| candidates.add(by));
                }
            }
            if !matches!(self.state(run), RunState::Running | RunState::Failing) {
                break;
            }
            let wave = std::mem::take(&mut candidates);
            if wave.is_empty() {
                if self.state(run) == RunState::Failing && self.call_off(steps, &mut candidates) {
                    continue;
                }
                break;
            }
            for step in wave.iter() {
                if self.state(run) == RunState::Paused {
                    break;
                }
                self.look_at(run, step, &mut candidates);
            }
        }
    }

    /// A step that failed while the gate was closed: the run is told before anything follows from it. Returns whether it is
    /// paused now.
    fn hear_failures(&mut self, run: u8) -> bool {
        let failed = self.model.steps_of(run).iter().find(|step| {
            let row = self.step(*step);
            row.state == StepState::Failed && !row.noted
        });
        if let Some(step) = failed
            && self.state(run) == RunState::Running
        {
            self.note_failure(run);
            if self.state(run) == RunState::Failing {
                self.own.leaves.add(step);
            }
        }
        self.state(run) == RunState::Paused
    }

    fn look_at(&mut self, run: u8, step: u8, candidates: &mut Set) {
        if self.step(step).state != StepState::Waiting {
            return;
        }
        let needs: Vec<StepState> = self.model.steps[step as usize]
            .needs
            .iter()
            .map(|need| self.step(*need).state)
            .collect();
        let fails = self.state(run) == RunState::Failing;
        match verdict(self.when(step), &needs) {
            None => {}
            Some(Verdict::Skip) => {
                self.model.hear(Word::Skipped);
                self.end_waiting(step, StepState::Skipped, candidates);
            }
            Some(Verdict::Run) if fails && !survives_failure(self.when(step)) => {
                self.end_waiting(step, StepState::Cancelled, candidates);
            }
            Some(Verdict::Run) => self.dispatch(run, step),
        }
    }

    fn end_waiting(&mut self, step: u8, state: StepState, candidates: &mut Set) {
        let mut row = self.step(step);
        (row.state, row.noted) = (state, true);
        self.own.set_step(step, row);
        self.needed_by(step).for_each(|by| candidates.add(by));
    }

    fn dispatch(&mut self, run: u8, step: u8) {
        let spec = self.model.steps[step as usize];
        let mut row = self.step(step);
        if spec.checkpoint && !row.checkpoint_passed && self.state(run) == RunState::Running {
            row.checkpoint_passed = true;
            self.own.set_step(step, row);
            self.pause(run, false);
            return;
        }
        self.model.hear(Word::Dispatched);
        row.state = StepState::Running;
        self.own.set_step(step, row);
        let count = Count {
            remaining: spec.tasks,
            ..Count::default()
        };
        self.own.set_count(step, count);
        for task in self.model.tasks_of(step).iter() {
            self.own.set_task(task, Task::Ready);
        }
        self.own.dispatched.add(step);
    }

    /// What waits in a failing run, and is no handler of failures, is called off.
    fn call_off(&mut self, steps: Set, candidates: &mut Set) -> bool {
        let mut any = false;
        for step in steps.iter() {
            let waits = self.step(step).state == StepState::Waiting;
            if waits && !survives_failure(self.when(step)) {
                self.end_waiting(step, StepState::Cancelled, candidates);
                any = true;
            }
        }
        any
    }

    fn finish(&mut self, run: u8) {
        let state = self.state(run);
        if state == RunState::Paused || state.is_terminal() {
            return;
        }
        let steps = self.model.steps_of(run);
        let states = steps.iter().map(|step| self.step(step).state);
        if let Some(end) = run_end(state == RunState::Cancelling, states) {
            self.model.hear(match end {
                RunState::Completed => Word::Completed,
                RunState::Failed => Word::Failed,
                _ => Word::Cancelled,
            });
            self.set_state(run, RunEvent::End(end));
        }
    }

    fn snapshot(&mut self) -> bool {
        let tasks = 0..self.model.tasks();
        self.own.candidates = tasks
            .filter(|task| self.task(*task) == Task::Ready)
            .collect();
        if self.own.candidates.is_empty() {
            self.done();
            return self.own.did_anything();
        }
        for run in 0..self.model.runs() {
            self.own.seen[run as usize] = self.run(run).state;
        }
        self.own.at = At::Claim;
        true
    }

    /// Leases the first task in line that nobody holds, unless its run does not go on.
    fn claim(&mut self) {
        while let Some(task) = self.own.candidates.first() {
            self.own.candidates.take(task);
            let taken = self.world.is_taken(Row::Task(task), Lock::Update);
            if taken || self.task(task) != Task::Ready {
                continue;
            }
            self.own.lock(Row::Task(task), Lock::Update);
            match self.granted(task) {
                Task::Leased => {
                    self.own.set_task(task, Task::Leased);
                    self.own.granted.add(task);
                    break;
                }
                Task::Ready if self.model.is(Fault::TakenAgain) => {
                    self.own.candidates = [task].into_iter().collect();
                    return;
                }
                Task::Ready => {}
                state => {
                    self.model.hear(Word::NotReady);
                    self.own.set_task(task, state);
                }
            }
        }
        self.done();
    }

    /// What becomes of a task that was just leased.
    fn granted(&mut self, task: u8) -> Task {
        let step = self.model.step_of(task);
        let run = self.run_of_step(step);
        if self.model.is(Fault::GrantedMissing) {
            return Task::Leased;
        }
        let mut state = self.own.seen[run as usize];
        if state == RunState::Paused {
            if !self.try_gate(run) {
                return Task::Ready;
            }
            state = self.run(run).state;
            let goes_on = matches!(state, RunState::Running | RunState::Paused);
            if !goes_on && self.model.is(Fault::GrantedLooksOnce) {
                return Task::Leased;
            } else if !goes_on {
                return Task::Ready;
            }
        }
        match state {
            RunState::Running => Task::Leased,
            RunState::Paused => Task::Blocked,
            RunState::Failing if survives_failure(self.when(step)) => Task::Leased,
            _ => {
                if !self.model.is(Fault::CalledOffForgotten) {
                    self.own.leaves.add(step);
                }
                Task::Blocked
            }
        }
    }

    /// The gate is closed by this transaction.
    fn control(&mut self, run: u8) -> bool {
        let row = self.run(run);
        match self.own.program {
            Program::Pause(_) => {
                if next_run(row.state, RunEvent::Pause).is_none() {
                    return false;
                }
                self.model.hear(Word::Paused);
                self.set_state(run, RunEvent::Pause);
                let mut row = self.run(run);
                row.on_error = false;
                self.own.set_run(run, row);
                self.own.at = At::Sweep(run);
            }
            Program::Resume(_) => {
                if row.state != RunState::Paused {
                    return false;
                }
                self.resume(run);
            }
            Program::Cancel(_) => {
                if row.state.is_terminal() {
                    return false;
                }
                if !self.model.is(Fault::TasksBeforeGate) {
                    let mut rows = self.world.committed;
                    self.own.commit(&mut rows);
                    self.own.todo = self.model.in_flight(&rows, run);
                }
                self.own.at = if self.own.todo.is_empty() {
                    At::Cancel(run)
                } else {
                    At::Tasks
                };
            }
            Program::Redrive(task) => {
                let step = self.model.step_of(task);
                let there = row.state == RunState::Paused && row.on_error;
                if !there || self.task(task) != Task::Failed || self.step(step).noted {
                    return false;
                }
                self.model.hear(Word::Redriven);
                self.own.set_task(task, Task::Blocked);
                self.own.at = At::CountUp(step);
            }
            _ => unreachable!("it controls no run"),
        }
        true
    }

    fn resume(&mut self, run: u8) {
        self.model.hear(Word::Resumed);
        let mut row = self.run(run);
        row.continues |= row.on_error;
        let failed = std::mem::take(&mut row.failed) && !row.on_error;
        row.on_error = false;
        self.own.set_run(run, row);
        self.set_state(run, RunEvent::Resume);
        match self.on_error(run) {
            OnError::Fail if failed => {
                self.set_state(run, RunEvent::Fail);
                if self.model.is(Fault::TasksAfterCounters) {
                    self.end_unstarted(run, true, false);
                    self.after();
                } else {
                    self.lock_blocked(run);
                }
            }
            OnError::Pause if failed => {
                self.pause(run, true);
                self.done();
            }
            _ => self.lock_blocked(run),
        }
    }

    fn lock_blocked(&mut self, run: u8) {
        self.own.todo = self.blocked(run);
        if self.own.todo.is_empty() {
            self.holds_blocked(run);
        } else {
            self.own.at = At::Tasks;
        }
    }

    /// Who resumes holds what was blocked.
    fn holds_blocked(&mut self, run: u8) {
        if self.run(run).state == RunState::Failing && !self.model.is(Fault::TasksAfterCounters) {
            self.end_unstarted(run, true, false);
            self.after();
        } else {
            self.hold_key(run);
        }
    }

    fn hold_key(&mut self, run: u8) {
        self.own.at = if self.model.max_parallel {
            At::Hold(run)
        } else {
            At::LineUp(run)
        };
    }

    fn line_up(&mut self, run: u8) {
        for task in self.blocked(run).iter() {
            self.own.set_task(task, Task::Ready);
        }
        self.move_on(run, false, !self.model.is(Fault::ResumeLooksAtEnds));
        self.done();
    }

    fn cancel(&mut self, run: u8) {
        self.model.hear(Word::CancelRequested);
        if next_run(self.state(run), RunEvent::Cancel).is_some() {
            self.set_state(run, RunEvent::Cancel);
            let mut row = self.run(run);
            row.cancelled = true;
            self.own.set_run(run, row);
            for step in self.model.steps_of(run).iter() {
                let mut row = self.step(step);
                if row.state == StepState::Waiting && !self.model.is(Fault::CancelKeepsWaiting) {
                    (row.state, row.noted) = (StepState::Cancelled, true);
                    self.own.set_step(step, row);
                }
            }
        }
        self.end_unstarted(run, false, self.model.running == Running::Force);
        if self.model.running == Running::Ask {
            for task in self.tasks_of(run).iter() {
                if self.task(task) == Task::Leased {
                    self.own.set_task(task, Task::Asked);
                }
            }
        }
        self.own.runs.add(run);
        self.after();
    }

    fn count_up(&mut self, step: u8) {
        let mut count = self.count(step);
        count.remaining += 1;
        count.failed = count.failed.saturating_sub(1);
        self.own.set_count(step, count);
        if count.remaining == 1 && !self.model.is(Fault::RedriveKeepsStep) {
            self.own.at = At::OpenStep(step);
        } else {
            self.done();
        }
    }
}
