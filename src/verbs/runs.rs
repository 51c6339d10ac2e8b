//! How a run moves on: what follows when its steps end, when it is started, resumed or cancelled. The model says
//! which steps run (`model/run.rs`), the definition in what order they are looked at.
//!
//! What follows from an end happens with the run's row locked, so that the ends of two steps are looked at one after the other: no join is lost, and
//! no step is dispatched twice.

use super::advance::{self, DueStep, Left};
use super::overdue::{self, End};
use super::{items, slots};
use crate::model::definition::{Definition, Step};
use crate::model::limits;
use crate::model::run::{
    OnError, RunEvent, RunState, StepState, Verdict, next_run, run_end, survives_failure, verdict,
};
use crate::model::saga::{Undoing, undoing};
use crate::model::state::State;
use crate::pg::datum::{Jsonb, JsonbArray};
use crate::pg::session::Session;
use crate::pg::{lock, settings, xact};
use crate::store::compensation::{self, Next};
use crate::store::lease::{self, Report};
use crate::store::run::{self, Held};
use crate::store::step::{self, Forgotten, NewStep, NewSuccessor, StepRow, Unnoted};
use crate::store::workflow::{self, Compensate, Evaluate};
use serde_json::json;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

/// What has happened in a run.
#[derive(Default)]
pub struct Sequel {
    /// Shards of its steps that have no item left.
    pub shards: Vec<(i64, i32)>,
    pub failures: Vec<Failure>,
    /// Others left something to do at these steps.
    pub due: Vec<DueStep>,
    /// When failures were to be looked at its gate was closed: a step of them.
    pub gate_was_closed: Option<i64>,
    /// A compensation that was run for it has ended, in this queue.
    pub undone: Option<i32>,
}

#[derive(Clone)]
pub enum Failure {
    Task(i64),
    /// It ended failed by itself.
    Step {
        step_id: i64,
        name: String,
    },
}

impl Failure {
    fn task(&self) -> Option<i64> {
        match self {
            Failure::Task(task_id) => Some(*task_id),
            Failure::Step { .. } => None,
        }
    }
}

/// Whether a failure, or an earlier one, calls off what has not started in the run.
pub fn stops(state: RunState, on_error: Option<OnError>, failed: bool) -> bool {
    match state {
        RunState::Running => failed && on_error == Some(OnError::Fail),
        state => matches!(state, RunState::Failing | RunState::Cancelling),
    }
}

/// Tells a run what has happened in it; returns the tasks made ready. If its gate is closed, what follows is left for later.
pub fn move_on(session: &Session, run_id: i64, sequel: Sequel) -> Moved {
    let held = run::try_lock(session, run_id).and_then(|_| run::hold(session, run_id));
    let mut joined = None;
    for (step_id, shards) in &sequel.shards {
        // Fewer results than this cannot be too much, however large each is.
        let wide_from = settings::max_join_bytes() / settings::max_payload_bytes() as i64;
        if let Some(join) = step::shards_down(session, *step_id, *shards, wide_from as i32) {
            advance::join(session, *step_id, &join);
            joined = Some(*step_id);
        }
    }
    let Some(run) = held else {
        let failed: Vec<i64> = sequel.failures.iter().filter_map(Failure::task).collect();
        if !failed.is_empty() {
            step::insert_due_failed(session, failed);
        }
        if let Some(queue_id) = sequel.undone
            && let Some(step) = step::of_run(session, run_id, None).first()
        {
            step::insert_due_again(session, step.step_id, queue_id);
        }
        match joined {
            Some(step_id) => step::insert_due_step(session, step_id),
            // Back to where it was taken from: other queues have their own.
            None => {
                if let Some(due) = sequel.due.iter().find(|due| due.failed_task_id.is_none()) {
                    step::insert_due_again(session, due.step_id, due.queue_id);
                }
            }
        }
        return Moved::default();
    };
    let undone = sequel.undone.is_some();
    if joined.is_none() && sequel.failures.is_empty() && sequel.due.is_empty() && !undone {
        return Moved::default();
    }
    let mut moving = Moving::new(session, run);
    moving.failures = sequel.failures;
    moving.look_at_all = !sequel.due.is_empty();
    moving.go();
    if let Some(step_id) = sequel.gate_was_closed
        && matches!(moving.state(), RunState::Failing | RunState::Cancelling)
    {
        // What has not started is still to be called off, with locks that come before the run's.
        step::insert_due_step(session, step_id);
    }
    Moved {
        ready: moving.ready,
        blocked: moving.blocked,
    }
}

/// What came of it.
#[derive(Default)]
pub struct Moved {
    pub ready: Vec<i64>,
    /// Tasks that were in line, and are not: the run is paused.
    pub blocked: HashSet<i64>,
}

/// A run that is moving, its row locked.
pub struct Moving<'a> {
    session: &'a Session,
    run: Held,
    definition: Option<Rc<Definition>>,
    failures: Vec<Failure>,
    /// Look at every waiting step, not just at those behind a step that has ended.
    pub look_at_all: bool,
    pub ready: Vec<i64>,
    blocked: HashSet<i64>,
    steps: HashMap<String, StepRow>,
    events: Vec<(&'static str, Jsonb)>,
    /// Something is left to do that needs locks which are not taken here.
    due: Option<i64>,
}

impl<'a> Moving<'a> {
    pub fn new(session: &'a Session, run: Held) -> Moving<'a> {
        let definition = run.workflow_id.map(|id| definition(session, id));
        Moving {
            session,
            run,
            definition,
            failures: Vec::new(),
            look_at_all: false,
            ready: Vec::new(),
            blocked: HashSet::new(),
            steps: HashMap::new(),
            events: Vec::new(),
            due: None,
        }
    }

    pub fn state(&self) -> RunState {
        self.run.state
    }

    pub fn event(&mut self, kind: &'static str, body: serde_json::Value) {
        self.events
            .push((kind, Jsonb::from_text(&body.to_string())));
    }

    /// Looks at what has ended, and does what follows, until nothing does.
    pub fn go(&mut self) {
        if self.run.state == RunState::Compensating {
            self.undo();
            self.flush();
        } else if !self.run.state.is_terminal() {
            self.note_failures();
            self.follow();
            self.flush();
            self.finish();
        }
        if let Some(step_id) = self.due {
            step::insert_due_step(self.session, step_id);
        }
    }

    pub fn write_events(mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        if !self.events.is_empty() {
            let events = std::mem::take(&mut self.events);
            run::append(self.session, self.run.run_id, events);
        }
    }

    /// Failures stop the run, pause it, or are kept while it is paused.
    fn note_failures(&mut self) {
        if self.failures.is_empty() {
            return;
        }
        let failures = std::mem::take(&mut self.failures);
        match (self.run.state, self.run.on_error) {
            (RunState::Paused, Some(OnError::Pause | OnError::Fail)) => {
                let failed = self.described(&failures);
                run::add_failed(self.session, self.run.run_id, failed);
            }
            (RunState::Running, Some(OnError::Pause)) => {
                let failed = self.described(&failures);
                self.pause_failed(failed);
            }
            (RunState::Running, Some(OnError::Fail)) => {
                self.set_failing();
                // What has not started is ended by the call that a task failed in; here that would need locks that come before
                // the run's: who looks here next does it.
                self.due = failures.iter().find_map(|failure| match failure {
                    Failure::Step { step_id, .. } => Some(*step_id),
                    Failure::Task(_) => None,
                });
            }
            _ => {}
        }
    }

    fn set_failing(&mut self) {
        self.run.state = RunState::Failing;
        let (run_id, on_error) = (self.run.run_id, self.run.on_error);
        run::set_state(self.session, run_id, RunState::Failing, on_error, None);
    }

    pub fn pause_failed(&mut self, failed: Jsonb) {
        let detail = run::failed_detail(self.session, failed);
        self.pause(ON_ERROR, Some(detail));
    }

    /// The failures as a JSON array.
    fn described(&self, failures: &[Failure]) -> Jsonb {
        let mut tasks = Vec::new();
        let mut steps = Vec::new();
        for failure in failures {
            match failure {
                Failure::Task(task_id) => tasks.push(*task_id),
                Failure::Step { name, .. } => steps.push(name.clone()),
            }
        }
        run::describe_failures(self.session, tasks, steps)
    }

    /// Pauses the run: what is in line is blocked. What somebody else holds right now is blocked by whoever leases it.
    pub fn pause(&mut self, checkpoint: &str, detail: Option<Jsonb>) {
        let run_id = self.run.run_id;
        run::pause(self.session, run_id, checkpoint, detail);
        self.run.state = RunState::Paused;
        self.run.checkpoint = Some(checkpoint.to_owned());
        let blocked = run::pause_tasks(self.session, run_id);
        self.blocked.extend(blocked.iter().map(|task| task.0));
        self.ready.retain(|task_id| !self.blocked.contains(task_id));
        // Their slots may be what tasks outside this run wait for.
        let freed = slots::release(self.session, &slots::leaving(blocked));
        self.ready.extend(freed.ready);
        self.event("paused", json!({"checkpoint": checkpoint}));
    }

    fn follow(&mut self) {
        let Some(definition) = self.definition.clone() else {
            self.follow_groups();
            return;
        };
        let index: HashMap<&str, usize> = definition
            .steps
            .iter()
            .enumerate()
            .map(|(i, step)| (step.name.as_str(), i))
            .collect();
        let mut candidates: BTreeSet<usize> = BTreeSet::new();
        if std::mem::take(&mut self.look_at_all) {
            candidates.extend(0..definition.steps.len());
        }
        loop {
            if self.run.state == RunState::Paused {
                break; // What follows waits until it is resumed.
            }
            for name in self.note_ended() {
                if let Some(i) = index.get(name.as_str()) {
                    candidates.extend(&definition.steps[*i].needed_by);
                }
            }
            if !matches!(self.run.state, RunState::Running | RunState::Failing) {
                break;
            }
            let wave = std::mem::take(&mut candidates);
            if wave.is_empty() {
                if self.run.state == RunState::Failing
                    && self.call_off(&definition, &index, &mut candidates)
                {
                    continue;
                }
                break;
            }
            self.load(&definition, &wave);
            for i in wave {
                if self.run.state == RunState::Paused {
                    break;
                }
                self.look_at(&definition, i, &mut candidates);
                self.note_failures();
            }
        }
    }

    /// In a run without a definition a group may name its successor.
    fn follow_groups(&mut self) {
        if self.run.state == RunState::Paused {
            return;
        }
        self.note_ended();
    }

    /// The names of the steps that have ended since somebody looked; they are on the tape with this.
    fn note_ended(&mut self) -> Vec<String> {
        let ended = step::unnoted(self.session, self.run.run_id);
        if ended.is_empty() {
            return Vec::new();
        }
        self.hear_failures(&ended);
        if self.run.state == RunState::Paused {
            return Vec::new();
        }
        let mut names = Vec::new();
        for step in &ended {
            self.step_finalized(&step.name, step.state, step.problem.as_deref());
            if step.problem.is_some() {
                self.failures.push(Failure::Step {
                    step_id: step.step_id,
                    name: step.name.clone(),
                });
            }
            // A group made by task_create_items may name its successor.
            if step.has_successor && self.run.state == RunState::Running {
                let dispatched = dispatch_built_in(self.session, step.step_id, self);
                self.ready.extend(dispatched);
            }
            self.steps.remove(&step.name);
            names.push(step.name.clone());
        }
        step::note(
            self.session,
            ended.iter().map(|step| step.step_id).collect(),
        );
        self.note_failures();
        names
    }

    /// A step that failed while the run's gate was closed: who comes first tells the run, before anything follows from it.
    fn hear_failures(&mut self, ended: &[Unnoted]) {
        let stops = matches!(self.run.on_error, Some(OnError::Pause | OnError::Fail));
        if self.run.state != RunState::Running || !stops {
            return;
        }
        let failed = ended
            .iter()
            .filter(|step| step.state == StepState::Failed && step.problem.is_none());
        let failed: Vec<i64> = failed.map(|step| step.step_id).collect();
        if let Some(step_id) = failed.first().copied() {
            let tasks = step::failed_tasks(self.session, failed);
            self.failures.extend(tasks.into_iter().map(Failure::Task));
            self.note_failures();
            if self.run.state == RunState::Failing {
                self.due = Some(step_id);
            }
        }
    }

    fn step_finalized(&mut self, name: &str, state: StepState, problem: Option<&str>) {
        let mut body = json!({"step": name, "state": state.name()});
        if let Some(problem) = problem {
            body["error"] = json!({"message": problem});
        }
        self.event("step_finalized", body);
    }

    /// Reads where the steps of a wave are, and those that they need.
    fn load(&mut self, definition: &Definition, wave: &BTreeSet<usize>) {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        for i in wave {
            let step = &definition.steps[*i];
            names.insert(&step.name);
            names.extend(
                step.needs
                    .iter()
                    .map(|need| definition.steps[*need].name.as_str()),
            );
        }
        let names = names.into_iter().map(str::to_owned).collect();
        for row in step::of_run(self.session, self.run.run_id, Some(names)) {
            self.steps.insert(row.name.clone(), row);
        }
    }

    fn look_at(&mut self, definition: &Definition, i: usize, candidates: &mut BTreeSet<usize>) {
        let step = &definition.steps[i];
        let row = &self.steps[&step.name];
        if row.state != StepState::Waiting {
            return;
        }
        let needs: Vec<StepState> = step
            .needs
            .iter()
            .map(|need| self.steps[&definition.steps[*need].name].state)
            .collect();
        let (step_id, queue_id, passed) = (row.step_id, row.queue_id, row.checkpoint_passed);
        let ended = match verdict(step.when, &needs) {
            None => return,
            Some(Verdict::Skip) => Some((StepState::Skipped, None)),
            Some(Verdict::Run)
                if self.run.state == RunState::Failing && !survives_failure(step.when) =>
            {
                Some((StepState::Cancelled, None))
            }
            Some(Verdict::Run) => self.begin(definition, step, step_id, queue_id, passed),
        };
        let Some((state, problem)) = ended else {
            return;
        };
        let error = problem
            .as_ref()
            .map(|problem| Jsonb::from_text(&json!({"message": problem}).to_string()));
        step::end(self.session, step_id, state, error, true);
        self.step_finalized(&step.name, state, problem.as_deref());
        if problem.is_some() {
            self.failures.push(Failure::Step {
                step_id,
                name: step.name.clone(),
            });
        }
        self.steps.get_mut(&step.name).expect("it was loaded").state = state;
        candidates.extend(&step.needed_by);
    }

    /// A step whose needs are met: it starts, or ends at once, or the run pauses before it.
    fn begin(
        &mut self,
        definition: &Definition,
        step: &Step,
        step_id: i64,
        queue_id: i32,
        passed: bool,
    ) -> Option<(StepState, Option<String>)> {
        let payloads = match self.evaluate(definition, step) {
            Evaluation::Skip => return Some((StepState::Skipped, None)),
            Evaluation::Problem(problem) => return Some((StepState::Failed, Some(problem))),
            Evaluation::Run(payloads) => payloads,
        };
        if let Some(checkpoint) = &step.checkpoint
            && !passed
            && self.run.state == RunState::Running
        {
            step::pass_checkpoint(self.session, step_id);
            self.pause(
                checkpoint,
                Some(Jsonb::from_text(&json!({"step": step.name}).to_string())),
            );
            return None;
        }
        let total = payloads.len();
        self.event(
            "step_dispatched",
            json!({"step": step.name, "total": total}),
        );
        if total == 0 {
            step::dispatch(self.session, step_id, 0, 0);
            return Some((StepState::Completed, None));
        }
        let of_run = definition.max_parallel;
        let made = items::create(
            self.session,
            &self.run,
            step,
            step_id,
            queue_id,
            payloads,
            of_run,
        );
        self.ready.extend(made);
        self.steps.get_mut(&step.name).expect("it was loaded").state = StepState::Running;
        None
    }

    fn evaluate(&self, definition: &Definition, step: &Step) -> Evaluation {
        let evaluated = workflow::evaluate(
            self.session,
            &Evaluate {
                run_id: self.run.run_id,
                workflow_id: self.run.workflow_id.expect("a definition is somewhere"),
                position: step.position,
                reads: step
                    .reads
                    .iter()
                    .map(|i| definition.steps[*i].name.clone())
                    .collect(),
                places: &places(step),
                max_items: limits::ITEMS as i32,
                max_bytes: settings::max_payload_bytes() as i32,
                max_join_bytes: settings::max_join_bytes(),
            },
        );
        match (evaluated.verdict.as_str(), evaluated.payloads) {
            ("run", Some(payloads)) => Evaluation::Run(payloads),
            ("skip", _) => Evaluation::Skip,
            _ => Evaluation::Problem(evaluated.problem.unwrap_or_default()),
        }
    }

    /// What has not started, and is no handler of failures, is called off. Returns whether there was any.
    fn call_off(
        &mut self,
        definition: &Definition,
        index: &HashMap<&str, usize>,
        candidates: &mut BTreeSet<usize>,
    ) -> bool {
        let names = definition
            .steps
            .iter()
            .filter(|step| !survives_failure(step.when))
            .map(|step| step.name.clone())
            .collect();
        let ended = step::end_waiting(self.session, self.run.run_id, Some(names));
        for name in &ended {
            self.step_finalized(name, StepState::Cancelled, None);
            self.steps.remove(name);
            candidates.extend(&definition.steps[index[name.as_str()]].needed_by);
        }
        !ended.is_empty()
    }

    /// Ends the run if nothing is left to do.
    fn finish(&mut self) {
        let (session, run_id) = (self.session, self.run.run_id);
        let moving = matches!(self.run.state, RunState::Running | RunState::Failing);
        let ends = self.run.state == RunState::Cancelling || moving && self.definition.is_some();
        if !ends || run::has_open_step(session, run_id) {
            return;
        }
        let cancelled = self.run.state == RunState::Cancelling;
        let states = step::of_run(session, run_id, None)
            .into_iter()
            .map(|row| row.state);
        if let Some(state) = run_end(cancelled, states) {
            self.end(state, None);
        }
    }

    /// Ends the run; or has what its tasks did undone first, if it did not go well.
    pub fn end(&mut self, state: RunState, result: Option<Jsonb>) {
        let (session, run_id) = (self.session, self.run.run_id);
        if state != RunState::Completed {
            let standing = compensation::of_run(session, run_id);
            if standing.gave_up {
                run::keep_first(session, run_id, state, result);
                return self.ended(RunState::Quarantined, result);
            }
            if compensation::next_of_run(session, run_id).is_some() {
                let why = (state == RunState::Cancelled).then_some("cancelled");
                let on_error = self.run.on_error;
                self.run.state = next_run(self.run.state, RunEvent::Compensate)
                    .expect("what was done is undone when nothing is left to do");
                run::set_state(session, run_id, self.run.state, on_error, why);
                run::keep_first(session, run_id, state, result);
                self.event("compensating", json!({"state": state.name()}));
                self.flush();
                return self.undo();
            }
        }
        self.ended(state, result);
    }

    fn ended(&mut self, state: RunState, result: Option<Jsonb>) {
        self.flush();
        run::end(self.session, self.run.run_id, state, result);
        self.run.state = state;
    }

    /// Undoes what the tasks of the run did that have completed, one after the other, what was registered last first.
    fn undo(&mut self) {
        let (session, run_id) = (self.session, self.run.run_id);
        let standing = compensation::of_run(session, run_id);
        if standing.under_way {
            return;
        }
        let mut last = None;
        if let Some((of, compensation_no, name, task_id, state)) = standing.last {
            self.event(
                "baton.compensation_finalized",
                json!({"of_task_id": of, "compensation_no": compensation_no, "name": name, "task_id": task_id, "state": state.name()}),
            );
            last = Some(state);
        }
        let next = compensation::next_of_run(session, run_id);
        match undoing(last, next.is_some()) {
            Undoing::Done => self.ended(RunState::Compensated, None),
            Undoing::GaveUp => self.ended(RunState::Quarantined, None),
            Undoing::Next => {
                let next = next.expect("there is more to undo");
                match self.payload_of(&next) {
                    Ok(payload) => {
                        lock::hold_queue(next.queue_id);
                        let id = next.compensation_id;
                        let task_id = compensation::dispatch(session, id, payload, run_id);
                        self.ready.push(task_id);
                    }
                    Err(problem) => {
                        let error = json!({"message": problem}).to_string();
                        let error = Jsonb::from_text(&error);
                        compensation::give_up(session, next.compensation_id, error);
                        self.undo();
                    }
                }
            }
        }
    }

    /// What a compensation is to carry, if its step's definition says it.
    fn payload_of(&self, next: &Next) -> Result<Option<Jsonb>, String> {
        if !next.by_definition {
            return Ok(None);
        }
        let definition = self.definition.as_ref().expect("a definition says it");
        let step = definition.steps.iter().find(|step| step.name == next.name);
        let step = step.expect("the ledger names a step of the definition");
        let asked = step.compensate.as_ref().expect("the step can be undone");
        let places: Vec<_> = asked
            .payload
            .iter()
            .flat_map(|template| &template.places)
            .map(|place| json!({"path": place.path, "expression": place.expression}))
            .collect();
        workflow::compensation(
            self.session,
            &Compensate {
                run_id: self.run.run_id,
                workflow_id: self.run.workflow_id.expect("a definition is somewhere"),
                position: step.position,
                reads: asked
                    .reads
                    .iter()
                    .map(|i| definition.steps[*i].name.clone())
                    .collect(),
                places: &serde_json::Value::Array(places).to_string(),
                task_id: next.task_id,
                max_bytes: settings::max_payload_bytes() as i32,
            },
        )
        .map(Some)
    }
}

/// The checkpoint of a run that paused because a task failed.
pub const ON_ERROR: &str = "on_error";

enum Evaluation {
    Run(JsonbArray),
    Skip,
    Problem(String),
}

/// The paths of a step's template, as `_evaluate` wants them.
fn places(step: &Step) -> String {
    let Some(template) = &step.payload else {
        return "[]".to_owned();
    };
    let places: Vec<serde_json::Value> = template
        .places
        .iter()
        .map(|place| {
            let reads_only = |root: &str| {
                let rest = place.expression.strip_prefix(root);
                rest.is_some_and(|rest| {
                    !rest.contains('$') && rest.chars().next().is_none_or(|c| ".[ ?".contains(c))
                })
            };
            let item =
                step.with_items.is_some() && !reads_only("$.input") && !reads_only("$.steps");
            let all = item && !reads_only("$.item") && !reads_only("$.item_index");
            json!({"path": place.path, "expression": place.expression, "item": item, "all": all})
        })
        .collect();
    serde_json::Value::Array(places).to_string()
}

/// Ends what has not started in a run (and with `force` what runs) as cancelled: the tasks, and the items that will never
/// be tasks. With `handlers_stay`, steps that are there for failures are left alone. Passes over what others hold.
pub fn end_unstarted(
    session: &Session,
    run_id: i64,
    reason: &str,
    handlers_stay: bool,
    force: bool,
) -> (Vec<Left>, Vec<Forgotten>) {
    let open = step::of_run(session, run_id, None).into_iter();
    let open: Vec<i64> = open
        .filter(|step| step.state == StepState::Running && !(handlers_stay && step.survives))
        .map(|step| step.step_id)
        .collect();
    let forgotten = step::drop_batches(session, open.clone());
    let ended = run::end_tasks(session, open.clone(), reason, force).into_iter();
    let mut left: Vec<Left> = ended
        .map(|task| Left {
            task_id: task.task_id,
            ended: Some(State::Cancelled),
            first: None,
            on_final_task_id: task.on_final_task_id,
            dispatched: None,
            place: task.place,
        })
        .collect();
    for task_id in run::lock_registered(session, open.clone(), force) {
        // Its work is undone first.
        let task = lease::lock_owner(session, task_id).expect("it is locked by this transaction");
        let report = Report::because(State::Cancelled, reason);
        overdue::end(session, &task, End::ByOthers, &report, &mut left);
    }
    if let Some(step_id) = step::with_unstarted(session, open) {
        step::insert_due_step(session, step_id); // Somebody holds a task: whoever looks here next ends it.
    }
    (left, forgotten)
}

/// Dispatches the successor that a group names, if it has ended and nobody has dispatched it. The run's row is locked.
pub fn dispatch_built_in(session: &Session, step_id: i64, run: &mut Moving) -> Option<i64> {
    let built_in = step::successor(session, step_id)?;
    lock::hold_queue(built_in.successor_queue_id);
    let successor = Successor {
        run_id: Some(built_in.run_id),
        scope_id: built_in.run_id,
        name: &built_in.successor,
        queue_id: built_in.successor_queue_id,
        payload: built_in.payload,
        max_attempts: None,
    };
    let task_id = dispatch(session, &successor, run.state() == RunState::Paused)?;
    run.event(
        "step_dispatched",
        json!({"step": built_in.successor, "total": 1}),
    );
    Some(task_id)
}

/// A successor to be dispatched.
pub struct Successor<'a> {
    pub run_id: Option<i64>,
    pub scope_id: i64,
    pub name: &'a str,
    pub queue_id: i32,
    pub payload: Jsonb,
    pub max_attempts: Option<i32>,
}

/// Creates the successor; `None` if its scope has one. In a run it is a step of its own: no other step has its name.
pub fn dispatch(session: &Session, successor: &Successor, blocked: bool) -> Option<i64> {
    let task_id = step::insert_dispatch(session, successor.scope_id, successor.name)?;
    let step_id = successor.run_id.map(|run_id| {
        let step_id = step::next_id();
        let inserted = step::insert(
            session,
            &NewStep {
                step_id,
                run_id,
                queue_id: successor.queue_id,
                total: 1,
                max_parallel: None,
                shards: limits::shards(1),
                name: successor.name,
                key: None,
                successor: None,
                successor_queue_id: None,
                successor_payload: None,
                with_items: false,
            },
        );
        assert!(inserted, "a step of the run has the successor's name");
        step_id
    });
    step::insert_successor(
        session,
        &NewSuccessor {
            task_id,
            run_id: successor.run_id,
            step_id,
            queue_id: successor.queue_id,
            name: successor.name,
            payload: successor.payload,
            max_attempts: successor.max_attempts,
            blocked,
        },
    );
    Some(task_id)
}

/// More definitions than this are forgotten rather than remembered.
const DEFINITIONS: usize = 256;

thread_local! {
    /// Definitions as they were read, by installation and id: one is never changed.
    static KNOWN: RefCell<BTreeMap<(u32, i64), Rc<Definition>>> = RefCell::default();
}

/// A definition, which was checked when it was stored.
pub fn definition(session: &Session, workflow_id: i64) -> Rc<Definition> {
    let key = (xact::home(), workflow_id);
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&key).cloned()) {
        return known;
    }
    let text = workflow::definition(session, workflow_id)
        .expect("a run's definition is there as long as the run is");
    let read = crate::model::definition::parse(&text);
    let read = Rc::new(read.unwrap_or_else(|problem| panic!("{}", problem.message)));
    KNOWN.with_borrow_mut(|known| {
        if known.len() >= DEFINITIONS {
            known.clear();
        }
        known.insert(key, read.clone());
    });
    read
}
