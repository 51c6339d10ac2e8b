//! What tapes and ledgers may tell of work that was undone, and their twins, different in one detail, that they may not.

use serde_json::{Value, json};

use super::{Registered, violations};
use crate::acts::MS;
use crate::history::{Answer, Entry, Stamp, Verb};
use crate::project::{Last, TapeEvent};
use crate::transaction::transactions;
use crate::workflow::{LastRun, OfTask, RunEvent};

/// A task failed that had registered two compensations, which two other tasks ran. A line is a task (how it ended), or of that task an
/// event (when, what) or what its ledger says (number, name, by which task, how it ended).
const WELL: &str = "
task 1 compensated
10 leased
12 registered 1 a
14 registered 2 b
20 compensating failed
30 finalized 2 12 completed
40 finalized 1 11 completed
40 final
ledger 1 a 11 completed
ledger 2 b 12 completed
task 12 completed
22 leased
30 final
task 11 completed
32 leased
40 final";

/// The first of them gave up.
const GAVE_UP: &str = "
task 1 quarantined
10 leased
12 registered 1 a
14 registered 2 b
20 compensating failed
30 finalized 2 12 failed
30 final
ledger 1 a - registered
ledger 2 b 12 failed
task 12 failed
22 leased
30 final";

/// What was registered was not needed.
const NOT_NEEDED: &str = "
task 1 completed
10 leased
12 registered 1 a
20 final by-worker
ledger 1 a - registered";

/// Run 7 failed after two of its tasks had completed, one of which had two compensations. Of a run there are its end, its events, and its
/// ledger (of which task, number, by which task, how it ended).
const RUN: &str = "
run 7 compensated
50 compensating failed
60 undone 2 1 23 completed
70 undone 1 2 22 completed
80 undone 1 1 21 completed
80 final compensated
of 1 1 21 completed
of 1 2 22 completed
of 2 1 23 completed
of 3 1 31 completed
task 1 completed 7
10 leased
12 registered 1 a
14 registered 2 b
20 final by-worker
ledger 1 a 21 completed
ledger 2 b 22 completed
task 2 completed 7
10 leased
16 registered 1 a
20 final by-worker
ledger 1 a 23 completed
task 3 compensated 7
10 leased
18 registered 1 a
22 compensating failed
40 finalized 1 31 completed
40 final
ledger 1 a 31 completed
task 31 completed
25 leased
40 final
task 23 completed
52 leased
60 final
task 22 completed
62 leased
70 final
task 21 completed
72 leased
80 final";

fn told(story: &str) -> (Vec<Last>, Vec<LastRun>) {
    let mut tasks: Vec<Last> = Vec::new();
    let mut runs: Vec<LastRun> = Vec::new();
    let mut of_run = false;
    for line in story.lines().filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "run" => {
                of_run = true;
                runs.push(run(&words));
            }
            "of" => runs.last_mut().expect("a run").ledger.push(OfTask {
                task: id(words[1]).expect("a task"),
                number: id(words[2]).expect("a number"),
                by: id(words[3]),
                state: words[4].to_owned(),
            }),
            "task" => {
                of_run = false;
                tasks.push(task(&words));
            }
            "ledger" => tasks
                .last_mut()
                .expect("a task")
                .compensations
                .push(registered(&words)),
            _ if of_run => {
                let run = runs.last_mut().expect("a run");
                let seq = run.tape.len() as i64 + 1;
                run.tape.push(run_event(seq, &words));
            }
            _ => {
                let task = tasks.last_mut().expect("a task");
                if task.tape.is_empty() {
                    task.created_at = id(words[0]).expect("a time") * MS - 1;
                }
                let seq = task.tape.len() as i64 + 1;
                task.tape.push(event(seq, &words));
            }
        }
    }
    (tasks, runs)
}

/// A number, or a place without one.
fn id(word: &str) -> Option<i64> {
    (word != "-").then(|| word.parse().expect("a number"))
}

fn task(words: &[&str]) -> Last {
    let mut columns: Vec<Option<String>> = vec![None; 15];
    columns[0] = Some(words[2].to_owned());
    let undoes = words.get(3) == Some(&"undoes");
    columns[11] = undoes.then(|| r#"{"compensates": 1}"#.to_owned());
    Last {
        task: id(words[1]).expect("an id"),
        queue: "again".to_owned(),
        name: None,
        key: None,
        run: words.get(3).and_then(|word| word.parse().ok()),
        step: None,
        item_index: None,
        max_attempts: 3,
        slot_keys: Vec::new(),
        created_at: 0,
        compensations: Vec::new(),
        columns,
        tape: Vec::new(),
    }
}

fn registered(words: &[&str]) -> Registered {
    Registered {
        number: id(words[1]).expect("a number"),
        name: words[2].to_owned(),
        queue: "again".to_owned(),
        payload: Some("{}".to_owned()),
        token: Some(5),
        by: id(words[3]),
        state: words[4].to_owned(),
        as_registered: words.len() == 5,
    }
}

fn event(seq: i64, words: &[&str]) -> TapeEvent {
    let number = |i: usize| id(words[i]);
    let (kind, body) = match words[1] {
        "registered" => (
            "baton.compensation_registered",
            json!({"compensation_no": number(2), "name": words[3], "queue": "again"}),
        ),
        "compensating" => ("compensating", json!({"state": words[2]})),
        "finalized" => (
            "baton.compensation_finalized",
            json!({"compensation_no": number(2), "task_id": number(3), "state": words[4]}),
        ),
        kind => (kind, Value::Null),
    };
    let by_others = kind == "final" && words.len() == 2;
    TapeEvent {
        seq,
        kind: kind.to_owned(),
        token: (!by_others).then_some(5),
        at: number(0).expect("a time") * MS,
        owner: None,
        body,
    }
}

fn run(words: &[&str]) -> LastRun {
    LastRun {
        run: id(words[1]).expect("an id"),
        key: String::new(),
        state: words[2].to_owned(),
        input: Value::Null,
        annotated: Default::default(),
        steps: Vec::new(),
        ledger: Vec::new(),
        tape: Vec::new(),
    }
}

fn run_event(seq: i64, words: &[&str]) -> RunEvent {
    let (kind, body) = match words[1] {
        "undone" => (
            "baton.compensation_finalized",
            json!({"of_task_id": id(words[2]), "compensation_no": id(words[3]), "task_id": id(words[4]), "state": words[5]}),
        ),
        kind => (kind, json!({"state": words[2]})),
    };
    RunEvent {
        seq,
        kind: kind.to_owned(),
        body,
        at: id(words[0]).expect("a time") * MS,
    }
}

/// A story with other words in some places.
fn with(story: &str, changes: &[(&str, &str)]) -> String {
    changes.iter().fold(story.to_owned(), |story, (old, new)| {
        assert!(story.contains(old), "{old} is not in the story");
        story.replace(old, new)
    })
}

fn said(story: &str) -> Vec<String> {
    let (tasks, runs) = told(story);
    violations(&tasks, &runs, &[])
}

fn legal(story: &str) {
    let said = said(story);
    assert!(said.is_empty(), "it is legal: {said:#?}\n{story}");
}

/// The story as it is, and as it must not be; `why`: a part of what is said against it.
fn examine(story: &str, illegal_changes: &[(&str, &[(&str, &str)])]) {
    legal(story);
    for (why, changes) in illegal_changes {
        let story = with(story, changes);
        let said = said(&story);
        let rightly = said.iter().any(|said| said.contains(why));
        assert!(
            rightly,
            "it is illegal because of {why}: {said:#?}\n{story}"
        );
    }
}

#[test]
fn a_ledger_and_a_tape_differ() {
    examine(
        WELL,
        &[
            ("its tape differ", &[("12 registered 1 a\n", "")]),
            (
                "its tape differ",
                &[("12 registered 1 a", "12 registered 1 c")],
            ),
            ("its tape differ", &[("ledger 1 a", "ledger 1 c")]),
            (
                "is not in order",
                &[
                    ("ledger 1 a 11 completed\n", ""),
                    (
                        "ledger 2 b 12 completed",
                        "ledger 2 b 12 completed\nledger 1 a 11 completed",
                    ),
                ],
            ),
            ("is not in order", &[("ledger 2 b", "ledger 3 b")]),
        ],
    );
}

#[test]
fn work_is_undone_in_another_order_or_in_part() {
    examine(
        WELL,
        &[
            (
                "is not the reverse",
                &[
                    ("30 finalized 2 12", "30 finalized 1 11"),
                    ("40 finalized 1 11", "40 finalized 2 12"),
                ],
            ),
            (
                "is not the reverse",
                &[(
                    "40 finalized 1 11",
                    "40 finalized 1 11 completed\n40 finalized 1 11",
                )],
            ),
            (
                "is not the reverse",
                &[
                    ("30 finalized 2 12 completed\n", ""),
                    ("40 finalized 1 11 completed\n", ""),
                ],
            ),
            // The first one was left out.
            (
                "is Some(Compensated) after",
                &[
                    ("40 finalized 1 11 completed\n", ""),
                    ("ledger 1 a 11 completed", "ledger 1 a - registered"),
                ],
            ),
            // It was run, and nobody heard of it.
            ("not left alone", &[("40 finalized 1 11 completed\n", "")]),
            ("began before its turn", &[("32 leased", "28 leased")]),
            ("began before its turn", &[("22 leased", "19 leased")]),
        ],
    );
}

#[test]
fn a_task_ends_otherwise_than_its_compensations() {
    examine(
        WELL,
        &[
            (
                "is Some(Quarantined) after",
                &[("task 1 comp", "task 1 quarantined comp")],
            ),
            (
                "is Some(Compensated) after",
                &[
                    ("finalized 1 11 completed", "finalized 1 11 failed"),
                    ("ledger 1 a 11 completed", "ledger 1 a 11 failed"),
                    ("task 11 completed", "task 11 failed"),
                ],
            ),
            (
                "is Some(Failed) after",
                &[("task 1 comp", "task 1 failed comp")],
            ),
        ],
    );
    examine(
        GAVE_UP,
        &[
            (
                "is Some(Compensated) after",
                &[("task 1 quarantined", "task 1 compensated")],
            ),
            // The next one was run all the same.
            (
                "not left alone",
                &[("ledger 1 a - registered", "ledger 1 a 11 completed")],
            ),
            (
                "is Some(Quarantined) after",
                &[
                    ("30 finalized 2 12 failed", "30 finalized 2 12 completed"),
                    ("ledger 2 b 12 failed", "ledger 2 b 12 completed"),
                ],
            ),
        ],
    );
}

#[test]
fn work_is_undone_that_should_not_be_or_the_reverse() {
    let quarantined = ("task 1 completed", "task 1 quarantined");
    legal(&with(NOT_NEEDED, &[quarantined]));
    examine(
        NOT_NEEDED,
        &[
            (
                "nothing undoes its work",
                &[("task 1 completed", "task 1 failed")],
            ),
            (
                "nothing undoes its work",
                &[("task 1 completed", "task 1 cancelled")],
            ),
            // Its last lease was lost.
            (
                "nothing undoes its work",
                &[quarantined, ("20 final by-worker", "20 final")],
            ),
            (
                "its work was undone",
                &[("1 a - registered", "1 a 11 completed")],
            ),
            (
                "its work was undone",
                &[quarantined, ("1 a - registered", "1 a 11 completed")],
            ),
        ],
    );
}

#[test]
fn a_compensation_is_run_twice_or_by_nobody() {
    examine(
        WELL,
        &[
            ("undoes two things", &[("ledger 1 a 11", "ledger 1 a 12")]),
            ("is gone", &[("task 11 completed\n32 leased\n40 final", "")]),
            (
                "and its task is Some(Failed)",
                &[("task 11 completed", "task 11 failed")],
            ),
            (
                "is not as registered",
                &[(
                    "ledger 1 a 11 completed",
                    "ledger 1 a 11 completed elsewhere",
                )],
            ),
            (
                "undoes what is in no ledger",
                &[("\ntask 12", "\ntask 13 completed undoes\ntask 12")],
            ),
        ],
    );
}

#[test]
fn a_run_undoes_in_another_order_or_in_part() {
    examine(
        RUN,
        &[
            (
                "run 7: ",
                &[
                    ("60 undone 2 1 23", "60 undone 1 2 22"),
                    ("70 undone 1 2 22", "70 undone 2 1 23"),
                ],
            ),
            (
                "is Some(Compensated) after",
                &[
                    ("80 undone 1 1 21 completed\n", ""),
                    ("of 1 1 21 completed", "of 1 1 - registered"),
                    ("ledger 1 a 21 completed", "ledger 1 a - registered"),
                ],
            ),
            ("run 7: its ledger and", &[("of 2 1 23 completed\n", "")]),
            (
                "run 7: its ledger is not in order",
                &[(
                    "of 1 1 21 completed\nof 1 2 22 completed",
                    "of 1 2 22 completed\nof 1 1 21 completed",
                )],
            ),
            ("began before its turn", &[("62 leased", "58 leased")]),
            (
                "run 7 is Some(Quarantined) after",
                &[("run 7 compensated", "run 7 quarantined")],
            ),
            (
                "nothing undoes what its tasks did",
                &[
                    ("run 7 compensated", "run 7 failed"),
                    ("50 compensating failed\n", ""),
                    ("60 undone 2 1 23 completed\n", ""),
                    ("70 undone 1 2 22 completed\n", ""),
                    ("80 undone 1 1 21 completed\n", ""),
                ],
            ),
            // A run that goes well undoes nothing.
            (
                "its work was undone",
                &[
                    ("run 7 compensated", "run 7 completed"),
                    ("50 compensating failed\n", ""),
                    ("60 undone 2 1 23 completed\n", ""),
                    ("70 undone 1 2 22 completed\n", ""),
                    ("80 undone 1 1 21 completed\n", ""),
                ],
            ),
        ],
    );
}

#[test]
fn an_answer_is_registered_otherwise() {
    let said = |queue: &str, payload: &str, flushed: bool| {
        let stamp = |ms: i64| Stamp {
            mono: ms * 1_000_000,
            wall: ms * MS,
        };
        let verb = Verb::Register {
            task: 1,
            token: 5,
            name: "a".to_owned(),
            queue: queue.to_owned(),
            payload: payload.to_owned(),
        };
        let row = vec![Some("registered".to_owned()), Some("1".to_owned())];
        let name = "c".to_owned();
        let entries = [
            Entry::Client { name, flushed },
            Entry::Call {
                tx: 1,
                alone: true,
                verb,
                stamp: stamp(11),
            },
            Entry::Answer {
                tx: 1,
                answer: Answer::Rows(vec![row]),
                stamp: stamp(13),
            },
        ];
        let (tasks, runs) = told(WELL);
        violations(&tasks, &runs, &transactions(&entries, &mut Vec::new()))
    };
    assert!(said("again", "{}", true).is_empty());
    assert!(!said("once", "{}", true).is_empty());
    assert!(!said("again", "[]", true).is_empty());
    // What was not flushed may be gone, and its number another's.
    assert!(said("once", "{}", false).is_empty());
}
