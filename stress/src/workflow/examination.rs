//! Runs that must be accepted, and their twins, different in one detail, that must not be.

use std::ops::Range;

use serde_json::{Value, json};

use super::{LastRun, LastStep, OfTask, RunEvent, judge};
use crate::acts::{Known, MS};
use crate::history::{Answer, Entry, Stamp, Verb};
use crate::model::run::StepState;
use crate::project::{Last, TapeEvent};
use crate::saga::Registered;
use crate::transaction::{Flushes, transactions};

/// ns in a ms.
const MONO: i64 = 1_000_000;

const RUN: i64 = 7;

/// A list is fetched, something is done with each of its items, one at a time, and with what failed.
fn fetching(on_error: &str) -> Value {
    json!({"on_error": on_error, "steps": [
        {"name": "fetch"},
        {"name": "each", "needs": ["fetch"], "with_items": "$.steps.fetch.result", "max_parallel": 1},
        {"name": "alert", "needs": ["each"], "when": "failed"}]})
}

/// That all went well. A line is an event (when, what, and what about it), a step (its end, and how many items it has), a task (its
/// step, its place there, its end, its lease, its result), a compensation (of which task, its name if the definition says it, by which task,
/// how it ended), or how the run ended.
const WELL: &str = "
10 started
10 step_dispatched fetch 1
30 step_finalized fetch completed
30 step_dispatched each 2
70 step_finalized each completed
70 step_finalized alert skipped
70 final completed
step fetch completed 1
step each completed 2
step alert skipped 0
task 11 fetch 0 completed 20..30 [0, 1]
task 12 each 0 completed 40..50
task 13 each 1 completed 60..70
run completed";

/// One of the items failed, and the run went on.
const BADLY: &str = "
10 started
10 step_dispatched fetch 1
30 step_finalized fetch completed
30 step_dispatched each 2
70 step_finalized each failed
70 step_dispatched alert 1
90 step_finalized alert completed
90 final failed
step fetch completed 1
step each failed 2
step alert completed 1
task 11 fetch 0 completed 20..30 [0, 1]
task 12 each 0 failed 40..50
task 13 each 1 completed 60..70
task 14 alert 0 completed 80..90
run failed";

/// It was paused by hand from 32 to 38.
const PAUSED: &str = "
32 paused by-hand
38 resumed by-hand";

/// A story with other words in some places.
fn with(story: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(story.to_owned(), |story, (old, new)| {
        assert!(story.contains(old), "{old} is not in the story");
        story.replace(old, new)
    })
}

/// With more events, in the order of their times.
fn and_then(story: &str, more: &str) -> String {
    format!("{story}{more}")
}

struct Told {
    run: LastRun,
    tasks: Vec<Last>,
}

fn told(story: &str) -> Told {
    let mut run = LastRun {
        run: RUN,
        key: "run".to_owned(),
        state: String::new(),
        input: json!({"items": [0, 1, 2, 3, 4]}),
        annotated: Default::default(),
        steps: Vec::new(),
        ledger: Vec::new(),
        tape: Vec::new(),
    };
    let mut tasks = Vec::new();
    for line in story.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "run" => run.state = words[1].to_owned(),
            "note" => drop(run.annotated.insert(words[1].to_owned())),
            "step" => {
                let states = StepState::ALL.into_iter();
                run.steps.push(LastStep {
                    name: words[1].to_owned(),
                    state: states
                        .into_iter()
                        .find(|state| state.name() == words[2])
                        .expect("a state"),
                    total: words[3].parse().expect("a number"),
                    completed: 0,
                    failed: 0,
                });
            }
            "task" => tasks.push(task(&words)),
            "undo" => {
                let (of, registered) = compensation(&words);
                run.ledger.push(of.clone());
                let mut done = tasks.iter_mut().filter(|task| task.task == of.task);
                let task: &mut Last = done.next().expect("its task stands before it");
                task.compensations.push(registered);
            }
            at => run.tape.push(event(at, &words[1..])),
        }
    }
    run.tape.sort_by_key(|event| event.at);
    for (i, event) in run.tape.iter_mut().enumerate() {
        event.seq = i as i64 + 1;
    }
    for step in &mut run.steps {
        let ended = |state: &str| {
            let of_step = |task: &&Last| task.step.as_ref() == Some(&step.name);
            let of_step = tasks.iter().filter(of_step);
            of_step
                .filter(|task| task.columns[0].as_deref() == Some(state))
                .count() as i64
        };
        (step.completed, step.failed) = (ended("completed"), ended("failed"));
    }
    Told { run, tasks }
}

fn event(at: &str, words: &[&str]) -> RunEvent {
    let body = match words[0] {
        "step_dispatched" => {
            json!({"step": words[1], "total": words[2].parse::<i64>().expect("a number")})
        }
        "step_finalized" => json!({"step": words[1], "state": words[2]}),
        "paused" | "resumed" => json!({"checkpoint": words[1].replace('-', " ")}),
        "final" | "compensating" | "baton.compensation_finalized" => json!({"state": words[1]}),
        _ => json!({}),
    };
    RunEvent {
        seq: 0,
        kind: words[0].to_owned(),
        body,
        at: at.parse::<i64>().expect("a time") * MS,
    }
}

/// The first one of its task.
fn compensation(words: &[&str]) -> (OfTask, Registered) {
    let (task, by) = (words[1].parse().expect("an id"), words[3].parse().ok());
    let of = OfTask {
        task,
        number: 1,
        by,
        state: words[4].to_owned(),
    };
    let registered = Registered {
        number: 1,
        name: words[2].to_owned(),
        queue: "again".to_owned(),
        payload: None,
        token: (words[2] == "-").then_some(task),
        by,
        state: words[4].to_owned(),
        as_registered: true,
    };
    (of, registered)
}

/// Its token is its id.
fn task(words: &[&str]) -> Last {
    let id: i64 = words[1].parse().expect("an id");
    let (from, to) = words[5].split_once("..").expect("a lease");
    let time = |ms: &str| ms.parse::<i64>().expect("a time") * MS;
    let mut columns: Vec<Option<String>> = vec![None; 15];
    columns[0] = Some(words[4].to_owned());
    columns[8] = (words.len() > 6).then(|| words[6..].join(" "));
    columns[10] = Some(time(to).to_string());
    let event = |seq, kind: &str, at| TapeEvent {
        seq,
        kind: kind.to_owned(),
        token: Some(id),
        at,
        owner: None,
        body: Value::Null,
    };
    Last {
        task: id,
        queue: "again".to_owned(),
        name: Some(words[2].to_owned()),
        key: None,
        run: Some(RUN),
        step: (words[3] != "-").then(|| words[2].to_owned()),
        item_index: words[3].parse().ok(),
        max_attempts: 3,
        slot_keys: Vec::new(),
        created_at: 0,
        compensations: Vec::new(),
        columns,
        tape: vec![event(1, "leased", time(from)), event(2, "final", time(to))],
    }
}

fn stamp(ms: i64) -> Stamp {
    Stamp {
        mono: ms * MONO,
        wall: ms * MS,
    }
}

/// A client's call that is its own transaction.
fn call(when: Range<i64>, verb: Verb, row: &[Option<&str>]) -> Vec<Entry> {
    let row = row.iter().map(|word| word.map(str::to_owned)).collect();
    asked(when, verb, Answer::Rows(vec![row]))
}

fn asked(when: Range<i64>, verb: Verb, answer: Answer) -> Vec<Entry> {
    let (name, flushed) = ("c".to_owned(), true);
    vec![
        Entry::Client { name, flushed },
        Entry::Call {
            tx: 1,
            alone: true,
            verb,
            stamp: stamp(when.start),
        },
        Entry::Answer {
            tx: 1,
            answer,
            stamp: stamp(when.end),
        },
    ]
}

/// By a client that has set `synchronous_commit = off`.
fn careless(mut entries: Vec<Entry>) -> Vec<Entry> {
    if let Some(Entry::Client { flushed, .. }) = entries.first_mut() {
        *flushed = false;
    }
    entries
}

fn crash(when: Range<i64>) -> Vec<Entry> {
    vec![Entry::Crash {
        down: stamp(when.start),
        up: stamp(when.end),
    }]
}

fn starts(definition: &Value, input: &str) -> Verb {
    Verb::WorkflowStart {
        key: "run".to_owned(),
        input: input.to_owned(),
        definition: definition.to_string(),
    }
}

const INPUT: &str = r#"{"items": [0, 1, 2, 3, 4]}"#;

fn pause(checkpoint: &str) -> Verb {
    Verb::WorkflowPause {
        run: RUN,
        checkpoint: checkpoint.to_owned(),
    }
}

fn resume(checkpoint: &str) -> Verb {
    Verb::WorkflowResume {
        run: RUN,
        checkpoint: checkpoint.to_owned(),
    }
}

fn cancel() -> Verb {
    Verb::WorkflowCancel {
        run: RUN,
        running: "ask".to_owned(),
    }
}

fn get() -> Verb {
    Verb::WorkflowGet { run: RUN }
}

fn append() -> Verb {
    Verb::WorkflowAppend {
        run: RUN,
        dedup_key: None,
    }
}

fn annotate() -> Verb {
    Verb::WorkflowAnnotate {
        run: RUN,
        key: "a".to_owned(),
    }
}

/// The acquire that leased this task.
fn acquire(when: Range<i64>, task: &str) -> Vec<Entry> {
    let verb = Verb::Acquire {
        queue: "again".to_owned(),
        owner: format!("w{task}"),
        ttl_ms: 100,
        max_tasks: 1,
    };
    let row = [Some(task), Some(task), None, Some("1"), Some("0")];
    call(when, verb, &row)
}

fn known() -> Known {
    Known {
        queues: [("again".to_owned(), 0)].into(),
        by_key: Default::default(),
        by_name: Default::default(),
        run_of: Default::default(),
        there: Default::default(),
        undoing: Default::default(),
        by_owner: Default::default(),
        told: Default::default(),
    }
}

/// What is said against a run.
fn said(definition: &Value, story: &str, calls: Vec<Vec<Entry>>) -> Vec<String> {
    let told = told(story);
    let started = call(
        9..11,
        starts(definition, INPUT),
        &[Some("started"), Some("7")],
    );
    let mut crashes = Vec::new();
    let mut all = Vec::new();
    for entries in [vec![started], calls].concat() {
        all.extend(transactions(&entries, &mut crashes));
    }
    let flushes = Flushes::of(&all, &known());
    judge(&[told.run], &told.tasks, &all, &crashes, &flushes)
}

fn legal(definition: &Value, story: &str, calls: Vec<Vec<Entry>>) {
    let said = said(definition, story, calls);
    assert!(said.is_empty(), "it is legal: {said:#?}\n{story}");
}

/// `why`: a part of what is said against it.
fn illegal(why: &str, definition: &Value, story: &str, calls: Vec<Vec<Entry>>) {
    let said = said(definition, story, calls);
    let rightly = said.iter().any(|said| said.contains(why));
    assert!(
        rightly,
        "it is illegal because of {why}: {said:#?}\n{story}"
    );
}

/// The story as it is, and as it must not be.
fn examine(definition: &Value, story: &str, illegal_changes: &[(&str, &[(&str, &str)])]) {
    legal(definition, story, Vec::new());
    for (why, changes) in illegal_changes {
        illegal(why, definition, &with(story, changes), Vec::new());
    }
}

mod sagas;

mod tapes {
    use super::*;

    #[test]
    fn a_tape_has_no_beginning_or_no_end() {
        examine(
            &fetching("continue"),
            WELL,
            &[
                (
                    "started has no place",
                    &[("70 final", "71 started\n72 final")],
                ),
                ("has no place there", &[("10 started\n", "")]),
                ("its tape ends in", &[("70 final completed\n", "")]),
                (
                    "its tape ends in",
                    &[("70 final completed", "70 final failed")],
                ),
                (
                    "E2",
                    &[("70 final completed", "70 final completed\n71 note")],
                ),
                ("is no end", &[("70 final completed", "70 final running")]),
            ],
        );
    }

    #[test]
    fn a_run_is_paused_where_it_is_or_resumed_where_it_is_not() {
        let by_hand = || {
            vec![
                call(31..33, pause("by hand"), &[Some("paused")]),
                call(37..39, resume("by hand"), &[Some("resumed")]),
            ]
        };
        let (definition, story) = (fetching("continue"), and_then(WELL, PAUSED));
        legal(&definition, &story, by_hand());
        let more = |event: &str| and_then(&story, event);
        illegal(
            "paused where",
            &definition,
            &more("\n33 paused by-hand"),
            by_hand(),
        );
        illegal(
            "resumed from",
            &definition,
            &more("\n40 resumed by-hand"),
            by_hand(),
        );
        let other = with(&story, &[("resumed by-hand", "resumed elsewhere")]);
        illegal("resumed from elsewhere", &definition, &other, by_hand());
    }

    #[test]
    fn something_happens_in_a_run_that_is_paused() {
        let by_hand = |from: i64| {
            vec![
                call(from - 1..from + 1, pause("by hand"), &[Some("paused")]),
                call(74..76, resume("by hand"), &[Some("resumed")]),
            ]
        };
        let late = with(
            WELL,
            &[
                ("70 step_finalized", "75 step_finalized"),
                ("70 final", "75 final"),
            ],
        );
        let story = |from: i64| format!("\n{from} paused by-hand\n75 resumed by-hand{late}");
        let definition = fetching("continue");
        legal(&definition, &story(55), by_hand(55));
        illegal("C1: dispatched where", &definition, &story(29), by_hand(29));
        illegal(
            "a step ends in a run that is paused",
            &definition,
            &story(29),
            by_hand(29),
        );
    }

    #[test]
    fn something_is_dispatched_in_a_cancelled_run() {
        let story = |dispatched: bool| {
            let more = if dispatched {
                (
                    "70 final failed",
                    "70 step_dispatched alert 1\n71 step_finalized alert cancelled\n71 final cancelled",
                )
            } else {
                (
                    "70 final failed",
                    "70 step_finalized alert cancelled\n70 final cancelled",
                )
            };
            with(
                BADLY,
                &[
                    (
                        "70 step_dispatched alert 1\n90 step_finalized alert completed\n90",
                        "65 cancel_requested\n70",
                    ),
                    more,
                    ("step alert completed 1\n", "step alert cancelled 0\n"),
                    ("task 14 alert 0 completed 80..90\n", ""),
                    ("run failed", "run cancelled"),
                ],
            )
        };
        let cancelled = || {
            vec![call(
                64..66,
                cancel(),
                &[Some("cancel_requested"), Some("cancelling")],
            )]
        };
        let definition = fetching("continue");
        legal(&definition, &story(false), cancelled());
        illegal(
            "C1: dispatched where",
            &definition,
            &story(true),
            cancelled(),
        );
    }
}

mod graphs {
    use super::*;

    #[test]
    fn a_step_is_dispatched_twice_or_ends_twice() {
        examine(
            &fetching("continue"),
            WELL,
            &[
                (
                    "D1",
                    &[(
                        "30 step_dispatched each 2",
                        "30 step_dispatched each 2\n31 step_dispatched each 2",
                    )],
                ),
                (
                    "told 2 times",
                    &[(
                        "70 step_finalized each completed",
                        "69 step_finalized each completed\n70 step_finalized each completed",
                    )],
                ),
                ("told 0 times", &[("70 step_finalized alert skipped\n", "")]),
                (
                    "its end is told as",
                    &[(
                        "step_finalized each completed",
                        "step_finalized each failed",
                    )],
                ),
                ("has not the steps", &[("step alert skipped 0\n", "")]),
            ],
        );
    }

    #[test]
    fn a_step_runs_too_early_or_after_its_end() {
        examine(
            &fetching("continue"),
            WELL,
            &[
                (
                    "D3: step each is dispatched before fetch",
                    &[("30 step_dispatched each 2", "29 step_dispatched each 2")],
                ),
                (
                    "ends before it is dispatched",
                    &[
                        ("30 step_dispatched each 2", "71 step_dispatched each 2"),
                        ("70 final", "72 final"),
                    ],
                ),
            ],
        );
    }

    #[test]
    fn a_step_runs_that_should_not_or_the_reverse() {
        let handled = [
            (
                "70 step_finalized alert skipped\n70 final",
                "70 step_dispatched alert 1\n75 step_finalized alert completed\n75 final",
            ),
            ("step alert skipped 0", "step alert completed 1"),
            (
                "run completed",
                "task 14 alert 0 completed 71..75\nrun completed",
            ),
        ];
        examine(
            &fetching("continue"),
            WELL,
            &[("D3: step alert ran", &handled)],
        );
        let unhandled = [
            (
                "70 step_dispatched alert 1\n90 step_finalized alert completed",
                "90 step_finalized alert skipped",
            ),
            ("step alert completed 1", "step alert skipped 0"),
            ("task 14 alert 0 completed 80..90\n", ""),
        ];
        let called_off = [
            unhandled[0],
            (
                "90 step_finalized alert skipped",
                "90 step_finalized alert cancelled",
            ),
            ("step alert completed 1", "step alert cancelled 0"),
            unhandled[2],
        ];
        let by_itself = [
            unhandled[0],
            (
                "90 step_finalized alert skipped",
                "90 step_finalized alert failed",
            ),
            ("step alert completed 1", "step alert failed 0"),
            unhandled[2],
        ];
        examine(
            &fetching("continue"),
            BADLY,
            &[
                ("D2: step alert is skipped", &unhandled),
                ("D2: step alert is cancelled", &called_off),
                ("D2: step alert is failed", &by_itself),
            ],
        );
    }

    #[test]
    fn a_step_runs_against_its_if() {
        let conditional = |condition: &str| {
            let mut definition = fetching("continue");
            definition["steps"][1]["if"] = json!(condition);
            definition
        };
        legal(&conditional("1 == 1"), WELL, Vec::new());
        illegal(
            "D3: step each ran",
            &conditional("1 == 2"),
            WELL,
            Vec::new(),
        );
        illegal("D3: step each ran", &conditional("7"), WELL, Vec::new());
        let not_run = |state: &str, end: &str| {
            with(
                WELL,
                &[
                    (
                        "30 step_dispatched each 2\n70 step_finalized each completed",
                        &format!("70 step_finalized each {state}"),
                    ),
                    ("step each completed 2", &format!("step each {state} 0")),
                    (
                        "task 12 each 0 completed 40..50\ntask 13 each 1 completed 60..70\n",
                        "",
                    ),
                    ("70 final completed", &format!("70 final {end}")),
                    ("run completed", &format!("run {end}")),
                ],
            )
        };
        legal(
            &conditional("null"),
            &not_run("skipped", "completed"),
            Vec::new(),
        );
        illegal(
            "D2: step each is skipped",
            &conditional("1 == 1"),
            &not_run("skipped", "completed"),
            Vec::new(),
        );
        illegal(
            "D2: step each is failed",
            &conditional("1 == 1"),
            &not_run("failed", "failed"),
            Vec::new(),
        );
        illegal(
            "D2: step each is completed",
            &conditional("1 == 1"),
            &not_run("completed", "completed"),
            Vec::new(),
        );
    }

    #[test]
    fn what_has_not_started_stays_although_the_run_fails() {
        let mut definition = fetching("fail");
        definition["steps"][2]["needs"] = json!(["fetch"]);
        let story = with(
            WELL,
            &[
                (
                    "30 step_finalized fetch completed\n30 step_dispatched each 2\n70 step_finalized each completed",
                    "30 step_finalized fetch failed\n30 step_finalized each skipped",
                ),
                (
                    "70 step_finalized alert skipped",
                    "30 step_dispatched alert 1\n70 step_finalized alert completed",
                ),
                ("step fetch completed", "step fetch failed"),
                ("fetch 0 completed", "fetch 0 failed"),
                ("step each completed 2", "step each skipped 0"),
                ("step alert skipped 0", "step alert completed 1"),
                (
                    "task 12 each 0 completed 40..50\ntask 13 each 1 completed 60..70",
                    "task 12 alert 0 completed 60..70",
                ),
                ("70 final completed", "70 final failed"),
                ("run completed", "run failed"),
            ],
        );
        let called_off = with(
            &story,
            &[
                (
                    "70 step_finalized alert completed",
                    "70 step_finalized alert cancelled",
                ),
                ("step alert completed", "step alert cancelled"),
                ("30 step_dispatched alert 1\n", ""),
                ("task 12 alert 0 completed 60..70\n", ""),
                ("step alert cancelled 1", "step alert cancelled 0"),
            ],
        );
        legal(&definition, &story, Vec::new());
        // A handler is not called off, another step may be.
        illegal(
            "D2: step alert is cancelled",
            &definition,
            &called_off,
            Vec::new(),
        );
        definition["steps"][2] = json!({"name": "alert"});
        legal(&definition, &called_off, Vec::new());
        definition["on_error"] = json!("continue");
        illegal(
            "D2: step alert is cancelled",
            &definition,
            &called_off,
            Vec::new(),
        );
    }

    #[test]
    fn a_step_has_more_items_or_fewer() {
        examine(
            &fetching("continue"),
            WELL,
            &[
                ("of 3", &[("[0, 1]", "[0, 1, 2]")]),
                ("of 1", &[("[0, 1]", "text")]),
                ("of 0", &[("[0, 1]", "[]")]),
                ("tasks for", &[("task 13 each 1 completed 60..70\n", "")]),
                ("tasks for", &[("task 13 each 1", "task 13 each 0")]),
                (
                    "tasks for",
                    &[(
                        "run completed",
                        "task 14 alert 0 completed 65..70\nrun completed",
                    )],
                ),
            ],
        );
        let mut definition = fetching("continue");
        definition["steps"][1]["with_items"] = json!("$.input.items[*] ? (@ > 3)");
        illegal("of 1", &definition, WELL, Vec::new());
        definition["steps"][1]["with_items"] = json!("$.steps.fetch.result[*]");
        legal(&definition, WELL, Vec::new());
        definition["steps"][1]["with_items"] = json!("$.input.items");
        illegal("of 5", &definition, WELL, Vec::new());
    }

    #[test]
    fn a_task_that_was_redriven_keeps_its_place() {
        let story = |place: &str| {
            let task =
                format!("task 12 each {place} failed 40..50\ntask 15 each 0 completed 52..55");
            let paused = "\n50 paused on_error\n51 resumed on_error";
            and_then(
                &with(WELL, &[("task 12 each 0 completed 40..50", &task)]),
                paused,
            )
        };
        let resumed = || vec![call(50..52, resume("on_error"), &[Some("resumed")])];
        legal(&fetching("pause"), &story("-"), resumed());
        illegal("tasks for", &fetching("pause"), &story("0"), resumed());
    }

    #[test]
    fn a_step_or_a_run_ends_otherwise_than_its_tasks() {
        examine(
            &fetching("continue"),
            BADLY,
            &[
                (
                    "it is completed and should be",
                    &[
                        ("final failed", "final completed"),
                        ("run failed", "run completed"),
                    ],
                ),
                (
                    "it is cancelled and should be",
                    &[
                        ("final failed", "final cancelled"),
                        ("run failed", "run cancelled"),
                    ],
                ),
                (
                    "step each is failed with tasks",
                    &[("each 0 failed", "each 0 completed")],
                ),
                (
                    "step each is failed with tasks",
                    &[("each 0 failed", "each 0 cancelled")],
                ),
                ("ends after it", &[("80..90", "80..95")]),
            ],
        );
    }

    #[test]
    fn a_step_counts_wrongly() {
        let mut wrong = told(WELL);
        wrong.run.steps[1].completed = 1;
        let definition = crate::model::definition::parse(&fetching("continue").to_string());
        let definition = definition.expect("it is right");
        let tasks: Vec<&Last> = wrong.tasks.iter().collect();
        let said = super::super::graph::violations(&wrong.run, &definition, &tasks);
        assert!(said.iter().any(|said| said.contains("D4")), "{said:#?}");
    }

    #[test]
    fn more_run_at_once_than_may() {
        examine(
            &fetching("continue"),
            WELL,
            &[("S1: 2 of step each", &[("40..50", "40..61")])],
        );
        let mut definition = fetching("continue");
        definition["steps"][1]["max_parallel"] = json!(2);
        definition["max_parallel"] = json!(1);
        legal(&definition, WELL, Vec::new());
        let both = with(WELL, &[("40..50", "40..61")]);
        illegal("S1: 2 ran at once", &definition, &both, Vec::new());
    }

    #[test]
    fn a_checkpoint_is_passed_by() {
        let mut definition = fetching("continue");
        definition["steps"][1]["checkpoint"] = json!("before each");
        let story = |at: i64, dispatched: i64| {
            let later = format!("{dispatched} step_dispatched each");
            let paused = format!("\n{at} paused before-each\n35 resumed before-each");
            and_then(&with(WELL, &[("30 step_dispatched each", &later)]), &paused)
        };
        let resumed = || vec![call(34..36, resume("before each"), &[Some("resumed")])];
        legal(&definition, &story(31, 36), resumed());
        illegal(
            "without its checkpoint",
            &definition,
            &story(32, 30),
            resumed(),
        );
        illegal(
            "paused at before each without a reason",
            &fetching("continue"),
            &story(31, 36),
            resumed(),
        );
    }

    #[test]
    fn a_failure_pauses_nothing_or_what_it_may_not() {
        let paused = and_then(BADLY, "\n51 paused on_error\n55 resumed on_error");
        let resumed = || vec![call(54..56, resume("on_error"), &[Some("resumed")])];
        legal(&fetching("pause"), &paused, resumed());
        illegal("not paused for it", &fetching("pause"), BADLY, Vec::new());
        illegal(
            "without a reason",
            &fetching("continue"),
            &paused,
            resumed(),
        );
        let well = and_then(WELL, "\n51 paused on_error\n55 resumed on_error");
        illegal("without a reason", &fetching("pause"), &well, resumed());
        let again = and_then(&paused, "\n57 paused on_error\n58 resumed on_error");
        let twice = [
            resumed(),
            vec![call(57..59, resume("on_error"), &[Some("resumed")])],
        ]
        .concat();
        illegal("without a reason", &fetching("pause"), &again, twice);
    }
}

mod answers {
    use super::*;

    fn paused_and_resumed() -> Vec<Vec<Entry>> {
        vec![
            call(31..33, pause("by hand"), &[Some("paused")]),
            call(37..39, resume("by hand"), &[Some("resumed")]),
        ]
    }

    /// The run that was paused from 32 to 38, and one more answer.
    fn one_more(when: Range<i64>, verb: Verb, row: &[Option<&str>]) -> Vec<String> {
        let mut calls = paused_and_resumed();
        calls.push(call(when, verb, row));
        said(&fetching("continue"), &and_then(WELL, PAUSED), calls)
    }

    fn right(when: Range<i64>, verb: Verb, row: &[Option<&str>]) {
        let said = one_more(when.clone(), verb, row);
        assert!(said.is_empty(), "{row:?} at {when:?} is right: {said:#?}");
    }

    fn wrong(when: Range<i64>, verb: Verb, row: &[Option<&str>]) {
        let said = one_more(when.clone(), verb, row);
        let rightly = said.iter().any(|said| said.contains("its tape after"));
        assert!(rightly, "{row:?} at {when:?} is wrong: {said:#?}");
    }

    #[test]
    fn a_run_is_somewhere_else_than_was_answered() {
        right(34..36, pause("by hand"), &[Some("already_paused")]);
        wrong(20..25, pause("by hand"), &[Some("already_paused")]);
        wrong(40..45, pause("by hand"), &[Some("already_paused")]);
        wrong(34..36, pause("by hand"), &[Some("paused")]);
        right(80..82, pause("by hand"), &[Some("terminal")]);
        wrong(40..45, pause("by hand"), &[Some("terminal")]);
        wrong(40..45, pause("by hand"), &[Some("not_found")]);
        right(34..36, resume("there"), &[Some("checkpoint_mismatch")]);
        wrong(34..36, resume("by hand"), &[Some("checkpoint_mismatch")]);
        wrong(40..45, resume("there"), &[Some("checkpoint_mismatch")]);
        right(40..45, resume("by hand"), &[Some("not_paused")]);
        wrong(34..36, resume("by hand"), &[Some("not_paused")]);
        wrong(37..39, resume("by hand"), &[Some("resumed")]);
        right(80..82, resume("by hand"), &[Some("terminal")]);
        wrong(40..45, resume("by hand"), &[Some("terminal")]);
        right(80..82, cancel(), &[Some("terminal"), Some("completed")]);
        wrong(40..45, cancel(), &[Some("terminal"), Some("completed")]);
        wrong(40..45, cancel(), &[Some("cancelled"), Some("cancelled")]);
        wrong(
            40..45,
            cancel(),
            &[Some("cancel_requested"), Some("cancelling")],
        );
        right(34..36, get(), &[Some("paused"), Some("by hand"), None]);
        wrong(34..36, get(), &[Some("paused"), Some("there"), None]);
        wrong(34..36, get(), &[Some("running"), None, None]);
        wrong(40..45, get(), &[Some("completed"), None, None]);
        right(80..82, get(), &[Some("completed"), None, None]);
    }

    #[test]
    fn a_read_goes_back_in_time() {
        let reads = |first: &str, second: &str| {
            let read = |when, state| call(when, get(), &[Some(state), None, None]);
            vec![read(60..71, first), read(72..90, second)]
        };
        let late = with(WELL, &[("70 final", "85 final")]);
        legal(&fetching("continue"), &late, reads("running", "completed"));
        illegal(
            "its tape after",
            &fetching("continue"),
            &with(WELL, &[]),
            reads("completed", "running"),
        );
    }

    #[test]
    fn something_happens_that_nobody_asked_for() {
        let story = and_then(WELL, PAUSED);
        let definition = fetching("continue");
        let calls = paused_and_resumed();
        legal(&definition, &story, calls.clone());
        illegal("nobody asked for", &definition, &story, calls[..1].to_vec());
        illegal("nobody asked for", &definition, &story, calls[1..].to_vec());
        let lost = |when: Range<i64>| asked(when, resume("by hand"), Answer::Lost(String::new()));
        legal(&definition, &story, vec![calls[0].clone(), lost(36..37)]);
        illegal(
            "nobody asked for",
            &definition,
            &story,
            vec![calls[0].clone(), lost(40..41)],
        );
        let refused = |code: &str| {
            let (code, message) = (code.to_owned(), String::new());
            asked(37..39, resume("by hand"), Answer::Error { code, message })
        };
        illegal(
            "nobody asked for",
            &definition,
            &story,
            vec![calls[0].clone(), refused("57014")],
        );
    }

    #[test]
    fn a_key_starts_two_runs() {
        let again = |input: &str, word: &str, run: &str| {
            vec![call(
                20..22,
                starts(&fetching("continue"), input),
                &[Some(word), Some(run)],
            )]
        };
        let definition = fetching("continue");
        legal(&definition, WELL, again(INPUT, "exists", "7"));
        legal(
            &definition,
            WELL,
            again("{}", "exists_with_different_input", "7"),
        );
        illegal(
            "`started` 2 times",
            &definition,
            WELL,
            again(INPUT, "started", "7"),
        );
        illegal(
            "is said to be run",
            &definition,
            WELL,
            again(INPUT, "exists", "8"),
        );
        illegal(
            "was answered exists",
            &definition,
            WELL,
            again("{}", "exists", "7"),
        );
        illegal(
            "was answered exists_with",
            &definition,
            WELL,
            again(INPUT, "exists_with_different_input", "7"),
        );
    }

    #[test]
    fn a_lease_is_granted_in_a_run_that_is_paused() {
        let definition = fetching("continue");
        let story = and_then(WELL, PAUSED);
        let leased = |asked: i64, resumed: Option<i64>| {
            let story = with(&story, &[("40..50", "35..50")]);
            let mut calls = paused_and_resumed();
            if let Some(at) = resumed {
                calls[1] = call(at..39, resume("by hand"), &[Some("resumed")]);
            }
            calls.push(acquire(asked..36, "12"));
            (story, calls)
        };
        // It was asked for before; or the run may have been resumed by then.
        for (asked, resumed) in [(32, None), (34, Some(34))] {
            let (story, calls) = leased(asked, resumed);
            legal(&definition, &story, calls);
        }
        let (story, calls) = leased(34, None);
        illegal(
            "was leased by a call that was made later",
            &definition,
            &story,
            calls,
        );
        // Somebody saw it paused.
        let (story, mut calls) = leased(34, None);
        calls[0] = asked(31..33, pause("by hand"), Answer::Lost(String::new()));
        legal(&definition, &story, calls.clone());
        calls.push(call(
            32..33,
            get(),
            &[Some("paused"), Some("by hand"), None],
        ));
        illegal(
            "was leased by a call that was made later",
            &definition,
            &story,
            calls,
        );
    }

    /// Cancelled at 45; the last item was completed at this time.
    fn called_off(completed: &str) -> String {
        with(
            WELL,
            &[
                (
                    "70 step_finalized each completed\n70 step_finalized alert skipped\n70 final completed",
                    "45 cancel_requested\n45 step_finalized alert cancelled\n46 step_finalized each cancelled\n46 final cancelled",
                ),
                ("step each completed", "step each cancelled"),
                ("step alert skipped", "step alert cancelled"),
                (
                    "each 0 completed 40..50",
                    &format!("each 0 completed {completed}"),
                ),
                ("each 1 completed 60..70", "each 1 cancelled 46..46"),
                ("run completed", "run cancelled"),
            ],
        )
    }

    #[test]
    fn something_completes_after_cancelled_was_answered() {
        let cancelled = || {
            vec![call(
                44..47,
                cancel(),
                &[Some("cancelled"), Some("cancelled")],
            )]
        };
        let definition = fetching("continue");
        legal(&definition, &called_off("40..44"), cancelled());
        illegal(
            "C1: run 7 was answered",
            &definition,
            &called_off("40..48"),
            cancelled(),
        );
    }

    #[test]
    fn a_lease_is_granted_in_a_run_that_was_cancelled() {
        let definition = fetching("continue");
        let leased = |asked: i64| {
            vec![
                call(44..47, cancel(), &[Some("cancelled"), Some("cancelled")]),
                acquire(asked..60, "13"),
            ]
        };
        legal(&definition, &called_off("40..44"), leased(46));
        let story = with(&called_off("40..44"), &[("46..46", "55..56")]);
        illegal(
            "was leased by a call that was made later",
            &definition,
            &story,
            leased(50),
        );
    }

    #[test]
    fn what_was_written_to_a_run_is_lost() {
        let definition = fetching("continue");
        let noted = and_then(WELL, "\n41 note");
        let appended = |seq: &str| {
            vec![call(
                40..42,
                append(),
                &[Some("appended"), Some(seq), None, Some("f")],
            )]
        };
        legal(&definition, &noted, appended("5"));
        illegal("its tape after", &definition, &noted, appended("6"));
        illegal("its tape after", &definition, WELL, appended("5"));
        let twice = [appended("5"), appended("5")].concat();
        illegal("its tape after", &definition, &noted, twice);
        let dropped = |seq: &str| {
            vec![call(
                80..82,
                append(),
                &[Some("dropped_after_final"), Some(seq), None, Some("f")],
            )]
        };
        legal(&definition, WELL, dropped("7"));
        illegal("its tape after", &definition, WELL, dropped("6"));
        let annotated = || vec![call(40..42, annotate(), &[Some("annotated")])];
        let with_note = and_then(WELL, "\nnote a");
        legal(&definition, &with_note, annotated());
        illegal("its annotation a is lost", &definition, WELL, annotated());
        illegal("nobody annotated a", &definition, &with_note, Vec::new());
    }

    #[test]
    fn a_pause_is_lost_in_a_crash_although_it_was_on_disk() {
        let definition = fetching("continue");
        let paused = || call(31..33, pause("by hand"), &[Some("paused")]);
        let read = || call(34..35, get(), &[Some("paused"), Some("by hand"), None]);
        legal(
            &definition,
            WELL,
            vec![careless(paused()), read(), crash(36..37)],
        );
        illegal(
            "its tape after",
            &definition,
            WELL,
            vec![paused(), crash(36..37)],
        );
        illegal(
            "its tape after",
            &definition,
            WELL,
            vec![careless(paused()), crash(20..21)],
        );
        // What came later waited for its flush: so did the pause.
        let later = acquire(34..35, "12");
        illegal(
            "its tape after",
            &definition,
            WELL,
            vec![careless(paused()), later, crash(40..41)],
        );
    }

    #[test]
    fn a_run_comes_from_nowhere() {
        let runs = |keys: &[&str]| {
            let runs: Vec<LastRun> = keys
                .iter()
                .map(|key| LastRun {
                    key: (*key).to_owned(),
                    ..told(WELL).run
                })
                .collect();
            let start = starts(&fetching("continue"), INPUT);
            let entries = call(9..11, start, &[Some("started"), Some("7")]);
            let all = transactions(&entries, &mut Vec::new());
            let flushes = Flushes::of(&all, &known());
            judge(&runs, &told(WELL).tasks, &all, &[], &flushes)
        };
        let says = |keys: &[&str], why: &str| runs(keys).iter().any(|said| said.contains(why));
        assert!(runs(&["run"]).is_empty());
        assert!(says(&["other"], "nobody has started it"));
        assert!(says(&["run", "run"], "another one has its key"));
    }

    #[test]
    fn a_run_is_gone() {
        let gone = |word: &str| {
            let verb = Verb::WorkflowPause {
                run: 8,
                checkpoint: "by hand".to_owned(),
            };
            vec![call(31..33, verb, &[Some(word)])]
        };
        legal(&fetching("continue"), WELL, gone("not_found"));
        illegal("run 8 is gone", &fetching("continue"), WELL, gone("paused"));
    }
}
