//! Runs that undo what they did.

use super::*;

/// What was fetched can be undone.
fn undoable() -> Value {
    let mut definition = fetching("continue");
    definition["steps"][0]["compensate"] = json!({"queue": "again"});
    definition
}

/// One of the items failed, and what was fetched is given back.
fn undone() -> String {
    with(
        BADLY,
        &[
            (
                "90 final failed",
                "90 compensating failed\n99 baton.compensation_finalized completed\n99 final compensated",
            ),
            ("run failed", "undo 11 fetch 21 completed\nrun compensated"),
        ],
    )
}

/// The same, and it was cancelled before the last step.
fn cancelled() -> String {
    with(
        &undone(),
        &[
            (
                "70 step_dispatched alert 1\n90 step_finalized alert completed\n90 compensating failed",
                "65 cancel_requested\n70 step_finalized alert cancelled\n70 compensating cancelled",
            ),
            ("step alert completed 1\n", "step alert cancelled 0\n"),
            ("task 14 alert 0 completed 80..90\n", ""),
        ],
    )
}

fn asked(row: &[Option<&str>], when: Range<i64>) -> Vec<Entry> {
    call(when, cancel(), row)
}

fn requested() -> Vec<Entry> {
    asked(&[Some("cancel_requested"), Some("cancelling")], 64..66)
}

#[test]
fn a_run_does_not_undo_what_it_did_or_ends_otherwise() {
    examine(
        &undoable(),
        &undone(),
        &[
            (
                "should be Some(\"compensated\")",
                &[
                    (
                        "90 compensating failed\n99 baton.compensation_finalized completed\n99 final compensated",
                        "90 final failed",
                    ),
                    ("run compensated", "run failed"),
                ],
            ),
            (
                "should be Some(\"quarantined\")",
                &[("undo 11 fetch 21 completed", "undo 11 fetch 21 failed")],
            ),
            // What was left of it is not enough for another end.
            (
                "should be Some(\"failed\")",
                &[("undo 11 fetch 21 completed\n", "")],
            ),
            (
                "undone because it is cancelled",
                &[("90 compensating failed", "90 compensating cancelled")],
            ),
        ],
    );
    let gave_up = with(
        &undone(),
        &[
            ("21 completed", "21 failed"),
            ("99 final compensated", "99 final quarantined"),
            ("run compensated", "run quarantined"),
        ],
    );
    legal(&undoable(), &gave_up, Vec::new());
}

#[test]
fn a_run_that_went_well_undoes_something() {
    let well = with(
        WELL,
        &[("run completed", "undo 11 fetch - registered\nrun completed")],
    );
    examine(
        &undoable(),
        &well,
        &[
            (
                "where it is Completed",
                &[(
                    "70 final completed",
                    "70 final completed\n80 compensating completed",
                )],
            ),
            (
                "should be Some(\"completed\")",
                &[
                    (
                        "70 final completed",
                        "70 compensating completed\n70 final compensated",
                    ),
                    ("run completed", "run compensated"),
                ],
            ),
        ],
    );
}

#[test]
fn a_definition_registers_nothing_or_too_much() {
    examine(
        &undoable(),
        &undone(),
        &[
            (
                "G1: for task 11",
                &[("undo 11 fetch 21 completed", "undo 11 - 21 completed")],
            ),
            (
                "G1: for task 13",
                &[(
                    "run compensated",
                    "undo 13 each 22 completed\nrun compensated",
                )],
            ),
        ],
    );
}

#[test]
fn something_happens_in_a_run_whose_work_is_undone() {
    examine(
        &undoable(),
        &undone(),
        &[
            (
                "C1: dispatched where it is Compensating",
                &[(
                    "70 step_dispatched alert 1\n90",
                    "91 step_dispatched alert 1\n90",
                )],
            ),
            (
                "G1: a step ends",
                &[("90 step_finalized alert", "91 step_finalized alert")],
            ),
            (
                "G1: something is undone",
                &[
                    ("90 compensating", "99 compensating"),
                    ("99 baton", "89 baton"),
                ],
            ),
            (
                "final where it is Compensating",
                &[
                    ("99 final compensated", "99 final failed"),
                    ("run compensated", "run failed"),
                ],
            ),
        ],
    );
}

#[test]
fn a_task_that_was_undone_counts_otherwise_than_it_ended_first() {
    // Item 12 is compensated instead, after it had failed or was cancelled.
    let said = |first: &str, step: &str, failed: i64| {
        let story = with(
            BADLY,
            &[
                (
                    "task 12 each 0 failed 40..50",
                    "task 12 each 0 compensated 40..50\nundo 12 - 22 completed",
                ),
                (
                    "70 step_finalized each failed",
                    &format!("70 step_finalized each {step}"),
                ),
                ("step each failed 2", &format!("step each {step} 2")),
            ],
        );
        let mut told = told(&story);
        let task = told.tasks.iter_mut().find(|task| task.task == 12);
        let event = TapeEvent {
            seq: 2,
            kind: "compensating".to_owned(),
            token: Some(12),
            at: 45 * MS,
            owner: None,
            body: json!({"state": first}),
        };
        task.expect("it is told of").tape.insert(1, event);
        let each = told.run.steps.iter_mut().find(|step| step.name == "each");
        each.expect("it is told of").failed = failed;
        let start = starts(&fetching("continue"), INPUT);
        let entries = call(9..11, start, &[Some("started"), Some("7")]);
        let all = transactions(&entries, &mut Vec::new());
        let flushes = Flushes::of(&all, &known());
        judge(&[told.run], &told.tasks, &all, &[], &flushes)
    };
    assert!(said("failed", "failed", 1).is_empty());
    assert!(!said("failed", "failed", 0).is_empty());
    assert!(!said("failed", "cancelled", 1).is_empty());
    assert!(!said("cancelled", "failed", 0).is_empty());
}

#[test]
fn a_run_whose_work_is_undone_answers_otherwise() {
    let told = |verb: Verb, row: &[Option<&str>]| {
        let known = call(75..77, get(), &[Some("compensating"), None, None]);
        said(
            &undoable(),
            &cancelled(),
            vec![requested(), known, call(80..82, verb, row)],
        )
    };
    let right = |verb: Verb, row: &[Option<&str>]| {
        let said = told(verb, row);
        assert!(said.is_empty(), "it is legal: {said:#?}");
    };
    let wrong = |verb: Verb, row: &[Option<&str>]| assert!(!told(verb, row).is_empty());
    let compensating = Some("compensating");
    right(cancel(), &[compensating, compensating]);
    wrong(cancel(), &[compensating, Some("cancelling")]);
    wrong(cancel(), &[Some("cancel_requested"), Some("cancelling")]);
    wrong(cancel(), &[Some("cancel_requested"), compensating]);
    wrong(cancel(), &[Some("terminal"), compensating]);
    right(pause("by hand"), &[Some("terminal")]);
    wrong(pause("by hand"), &[Some("already_paused")]);
    right(resume("by hand"), &[Some("not_paused")]);
    wrong(resume("by hand"), &[Some("terminal")]);
    right(get(), &[compensating, None, None]);
    wrong(get(), &[Some("cancelling"), None, None]);
    wrong(get(), &[Some("compensated"), None, None]);
}

#[test]
fn a_cancel_of_what_does_not_run_tells_of_something_else() {
    let calls = |state: &str, when: Range<i64>| {
        vec![
            requested(),
            asked(&[Some("cancel_requested"), Some(state)], when),
        ]
    };
    let definition = undoable();
    legal(&definition, &cancelled(), calls("compensating", 69..71));
    illegal(
        "was answered",
        &definition,
        &cancelled(),
        calls("compensated", 69..71),
    );
    illegal(
        "was answered",
        &definition,
        &cancelled(),
        calls("compensating", 75..77),
    );
    legal(&definition, &cancelled(), calls("cancelling", 67..69));
}

#[test]
fn a_run_is_not_there_that_was_started() {
    let calls = |word: &str, from: i64| vec![call(from..from + 2, pause("by hand"), &[Some(word)])];
    let definition = fetching("continue");
    // (its start was answered at 11)
    legal(&definition, WELL, calls("not_found", 10));
    illegal("not_found", &definition, WELL, calls("not_found", 20));
}
