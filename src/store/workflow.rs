//! Definitions, and what their paths come to.

use crate::model::run::{RunState, StepState};
use crate::pg::datum::{Instant, Jsonb, JsonbArray};
use crate::pg::session::Session;
use crate::statements;
use pgrx::datum::Interval;

statements! {
    INSERT = "workflow_insert.sql",
    LATEST = "workflow_latest.sql",
    DEFINITION = "workflow_definition.sql",
    EVALUATE = "workflow_evaluate.sql",
    COMPENSATE = "workflow_compensate.sql",
    WHY_NOT = "why_not.sql",
    TEXT = "workflow_text.sql",
    GET = "workflow_get.sql",
    STEPS = "workflow_steps.sql",
    EVENTS = "workflow_events.sql",
    GRAPH = "workflow_graph.sql",
    TITLE = "workflow_title.sql",
    SUCCESSORS = "workflow_successors.sql",
    FORGET = "workflow_forget.sql",
    INTERVAL_OF = "interval_of.sql",
}

/// `None`: somebody has just defined that version. Without a name it is of one run only.
pub fn insert(
    session: &Session,
    name: Option<&str>,
    version: Option<i32>,
    definition: Jsonb,
) -> Option<i64> {
    let args = [
        name.map(str::to_owned).into(),
        version.into(),
        definition.into(),
    ];
    INSERT.with(|s| s.write(session, &args).first(|row| row.get()))
}

pub struct Latest {
    pub workflow_id: i64,
    pub version: i32,
    pub same: bool,
}

pub fn latest(session: &Session, name: &str, definition: Option<Jsonb>) -> Option<Latest> {
    LATEST.with(|s| {
        s.write(session, &[name.into(), definition.into()])
            .first(|row| Latest {
                workflow_id: row.get(),
                version: row.get(),
                same: row.get::<Option<bool>>().unwrap_or(false),
            })
    })
}

pub fn definition(session: &Session, workflow_id: i64) -> Option<String> {
    DEFINITION.with(|s| {
        s.write(session, &[workflow_id.into()])
            .first(|row| row.get())
    })
}

/// What the paths of a step come to.
pub struct Evaluated {
    pub verdict: String,
    pub problem: Option<String>,
    pub payloads: Option<JsonbArray>,
}

pub struct Evaluate<'a> {
    pub run_id: i64,
    pub workflow_id: i64,
    /// Of the step in the definition.
    pub position: usize,
    pub reads: Vec<String>,
    pub places: &'a str,
    pub max_items: i32,
    pub max_bytes: i32,
    pub max_join_bytes: i64,
}

pub fn evaluate(session: &Session, step: &Evaluate) -> Evaluated {
    let args = [
        step.run_id.into(),
        step.reads.clone().into(),
        step.workflow_id.into(),
        step.position.to_string().into(),
        Jsonb::from_text(step.places).into(),
        step.max_items.into(),
        step.max_bytes.into(),
        step.max_join_bytes.into(),
    ];
    EVALUATE
        .with(|s| {
            s.write(session, &args).first(|row| Evaluated {
                verdict: row.get(),
                problem: row.get(),
                payloads: row.get(),
            })
        })
        .expect("a run's definition is there as long as the run is")
}

/// A compensation that a step's definition asks for, of one of its tasks.
pub struct Compensate<'a> {
    pub run_id: i64,
    pub workflow_id: i64,
    /// Of the step in the definition.
    pub position: usize,
    pub reads: Vec<String>,
    pub places: &'a str,
    pub task_id: i64,
    pub max_bytes: i32,
}

/// Its payload, or why it has none.
pub fn compensation(session: &Session, of: &Compensate) -> Result<Jsonb, String> {
    let args = [
        of.run_id.into(),
        of.reads.clone().into(),
        of.workflow_id.into(),
        of.position.to_string().into(),
        Jsonb::from_text(of.places).into(),
        of.task_id.into(),
        of.max_bytes.into(),
    ];
    let (problem, payload): (Option<String>, Option<Jsonb>) = COMPENSATE
        .with(|s| s.write(session, &args).first(|row| (row.get(), row.get())))
        .expect("a run's definition is there as long as the run is");
    payload.ok_or_else(|| problem.unwrap_or_default())
}

/// A definition as the server writes it; `None`: it has a number that is beyond double precision.
pub fn text(session: &Session, definition: Jsonb) -> Option<String> {
    TEXT.with(|s| {
        s.write(session, &[definition.into()])
            .first(|row| row.get())
    })
    .expect("one row")
}

/// Removes a definition that this transaction has stored for a run of which there is one already.
pub fn forget(session: &Session, workflow_id: i64) {
    FORGET.with(|s| drop(s.write(session, &[workflow_id.into()])));
}

/// Why a text is no value of this type; `None`: it is one.
pub fn why_not(session: &Session, type_name: &str, value: &str) -> Option<String> {
    WHY_NOT
        .with(|s| {
            s.write(session, &[type_name.into(), value.into()])
                .first(|row| row.get())
        })
        .flatten()
}

pub fn interval(session: &Session, value: &str) -> Interval {
    INTERVAL_OF
        .with(|s| s.write(session, &[value.into()]).first(|row| row.get()))
        .expect("one row")
}

fn run_state(code: i16) -> RunState {
    RunState::from_code(code).expect("the table holds known states only")
}

fn step_state(code: i16) -> StepState {
    StepState::from_code(code).expect("the table holds known states only")
}

/// A run as `workflow_get` shows it.
pub type Shown = (
    i64,
    Option<String>,
    Option<i32>,
    Option<String>,
    String,
    Option<String>,
    Option<Jsonb>,
    Jsonb,
    Option<Jsonb>,
    Jsonb,
    Jsonb,
    Instant,
    Option<Instant>,
);

pub fn get(session: &Session, run_id: i64, max_join_bytes: i64) -> Option<Shown> {
    let args = [
        run_id.into(),
        session.queues().into(),
        max_join_bytes.into(),
    ];
    GET.with(|s| {
        s.read(session, &args).first(|row| {
            (
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                run_state(row.get()).name().to_owned(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
                row.get(),
            )
        })
    })
}

/// A step as `workflow_steps` shows it.
pub type ShownStep = (
    String,
    String,
    Vec<String>,
    i32,
    i32,
    i32,
    i32,
    Option<Jsonb>,
    Option<Instant>,
    Option<Instant>,
);

pub fn steps(session: &Session, run_id: i64) -> Vec<ShownStep> {
    STEPS.with(|s| {
        s.read(session, &[run_id.into(), session.queues().into()])
            .all(|row| {
                (
                    row.get(),
                    step_state(row.get()).name().to_owned(),
                    row.get(),
                    row.get(),
                    row.get(),
                    row.get(),
                    row.get(),
                    row.get(),
                    row.get(),
                    row.get(),
                )
            })
    })
}

/// (seq, kind, body, at)
pub type Event = (i64, String, Option<Jsonb>, Instant);

pub fn events(session: &Session, run_id: i64, after_seq: i64, max: i32) -> Vec<Event> {
    let args = [
        run_id.into(),
        after_seq.into(),
        i64::from(max).into(),
        session.queues().into(),
    ];
    EVENTS.with(|s| {
        s.read(session, &args)
            .all(|row| (row.get(), row.get(), row.get(), row.get()))
    })
}

/// A step as it is drawn.
pub struct Drawn {
    pub name: String,
    pub state: StepState,
    pub total: i32,
    pub ended: i32,
    pub needs: Vec<String>,
}

pub fn graph(session: &Session, run_id: i64) -> Vec<Drawn> {
    GRAPH.with(|s| {
        s.read(session, &[run_id.into(), session.queues().into()])
            .all(|row| Drawn {
                name: row.get(),
                state: step_state(row.get()),
                total: row.get(),
                ended: row.get(),
                needs: row.get(),
            })
    })
}

/// What a run is called, its state, and which definition it executes.
pub fn title(session: &Session, run_id: i64) -> Option<(String, RunState, Option<i64>)> {
    TITLE.with(|s| {
        s.read(session, &[run_id.into(), session.queues().into()])
            .first(|row| (row.get(), run_state(row.get()), row.get()))
    })
}

/// (group, its built-in successor)
pub fn successors(session: &Session, run_id: i64) -> Vec<(String, String)> {
    SUCCESSORS.with(|s| {
        s.read(session, &[run_id.into()])
            .all(|row| (row.get(), row.get()))
    })
}
