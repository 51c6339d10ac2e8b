//! What is run: runs as they are built, and those with a fault.

use super::{Calls, Fault, Running, Runs, Step};
use crate::check::Expected;
use crate::model::run::{OnError, When};
use crate::words::{Heard, Verb, Word};

const fn step(tasks: u8, needs: &'static [u8]) -> Step {
    Step {
        run: 0,
        tasks,
        needs,
        when: When::Completed,
        checkpoint: false,
    }
}

/// Two steps that run, and one that needs both: the lower half of a diamond.
const JOIN: &[Step] = &[step(1, &[]), step(1, &[]), step(1, &[0, 1])];

/// The same, one of the two with two tasks.
const WIDE_JOIN: &[Step] = &[step(2, &[]), step(1, &[]), step(1, &[0, 1])];

/// A whole one.
const DIAMOND: &[Step] = &[step(1, &[]), step(1, &[0]), step(1, &[0]), step(1, &[1, 2])];

/// Two tasks, what follows if they complete, and what follows if one fails.
const HANDLED: &[Step] = &[
    step(2, &[]),
    step(1, &[0]),
    Step {
        when: When::Failed,
        ..step(1, &[0])
    },
];

/// One that is three tasks wide.
const THREE: &[Step] = &[step(3, &[]), step(1, &[0])];

/// Two steps that have nothing to do with each other, and what follows each: a checkpoint comes before the one.
const APART: &[Step] = &[
    step(1, &[]),
    step(1, &[]),
    Step {
        checkpoint: true,
        ..step(1, &[0])
    },
    step(1, &[1]),
];

/// A step beside those.
const BESIDE: &[Step] = &[
    step(1, &[]),
    step(2, &[]),
    Step {
        when: When::Done,
        ..step(1, &[0, 1])
    },
];

const CHECKPOINT: &[Step] = &[
    step(1, &[]),
    step(1, &[]),
    Step {
        checkpoint: true,
        ..step(1, &[0, 1])
    },
];

/// Two runs, each a step and what follows it.
const TWO_RUNS: &[Step] = &[
    step(1, &[]),
    step(1, &[0]),
    Step {
        run: 1,
        ..step(1, &[])
    },
    Step {
        run: 1,
        ..step(1, &[2])
    },
];

/// Two runs, each two steps.
const SIDE_BY_SIDE: &[Step] = &[
    step(1, &[]),
    step(1, &[]),
    Step {
        run: 1,
        ..step(1, &[])
    },
    Step {
        run: 1,
        ..step(1, &[])
    },
];

const EACH: &[&[u8]] = &[&[0], &[1], &[2], &[3], &[4]];

fn base(heard: &Heard) -> Runs {
    Runs {
        steps: JOIN,
        on_error: OnError::Continue,
        batches: &EACH[..3],
        fails: &[],
        calls: Calls::default(),
        running: Running::Ask,
        max_parallel: false,
        open: 3,
        fault: None,
        heard: heard.clone(),
    }
}

pub type Configuration = (String, Runs, Expected);

pub fn configurations(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = as_built(quick, heard);
    all.extend(broken());
    all
}

fn as_built(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = Vec::new();
    let mut holds = |name: &str, model: Runs| all.push((name.to_owned(), model, Expected::Holds));
    let base = base(heard);
    let open = if quick { 2 } else { 3 };
    let wide = |steps: &'static [Step]| Runs {
        steps: if quick { JOIN } else { steps },
        batches: if quick { &EACH[..3] } else { &EACH[..4] },
        open,
        ..base.clone()
    };
    holds(
        "a join",
        Runs {
            open: 3,
            max_parallel: true,
            ..wide(WIDE_JOIN)
        },
    );
    holds(
        "a diamond, paused and resumed",
        Runs {
            calls: Calls {
                pause: 1,
                resume: 1,
                ..Calls::default()
            },
            ..wide(DIAMOND)
        },
    );
    holds(
        "paused twice, tasks given back",
        Runs {
            calls: Calls {
                pause: if quick { 1 } else { 2 },
                resume: 2,
                requeue: 1,
                ..Calls::default()
            },
            max_parallel: true,
            open,
            ..base.clone()
        },
    );
    holds(
        "a checkpoint",
        Runs {
            steps: CHECKPOINT,
            calls: Calls {
                pause: 1,
                resume: 2,
                ..Calls::default()
            },
            open,
            ..base.clone()
        },
    );
    for (name, running) in [
        ("cancelled, workers asked", Running::Ask),
        ("cancelled, workers left alone", Running::Leave),
        ("cancelled, by force", Running::Force),
    ] {
        holds(
            name,
            Runs {
                running,
                calls: Calls {
                    pause: 1,
                    resume: 1,
                    cancel: 1,
                    requeue: 1,
                    ..Calls::default()
                },
                open,
                ..wide(JOIN)
            },
        );
    }
    holds(
        "cancelled twice",
        Runs {
            running: Running::Leave,
            calls: Calls {
                cancel: 2,
                requeue: 1,
                ..Calls::default()
            },
            max_parallel: true,
            open,
            ..base.clone()
        },
    );
    for (name, on_error) in [
        ("a failure goes on", OnError::Continue),
        ("a failure stops the run", OnError::Fail),
        ("a failure pauses the run", OnError::Pause),
    ] {
        holds(
            name,
            Runs {
                steps: if quick { HANDLED } else { BESIDE },
                on_error,
                fails: &[0, 1],
                calls: Calls {
                    pause: 1,
                    resume: if quick { 1 } else { 2 },
                    redrive: 1,
                    ..Calls::default()
                },
                open: 2,
                batches: &EACH[..4],
                ..base.clone()
            },
        );
    }
    if !quick {
        holds(
            "a failure pauses the run, three at a time",
            Runs {
                steps: HANDLED,
                on_error: OnError::Pause,
                fails: &[0],
                calls: Calls {
                    pause: 1,
                    resume: 1,
                    redrive: 1,
                    ..Calls::default()
                },
                batches: &EACH[..4],
                ..base.clone()
            },
        );
    }
    holds(
        "a failure in a paused run, tasks called off",
        Runs {
            steps: HANDLED,
            on_error: OnError::Fail,
            fails: &[0],
            batches: &EACH[..4],
            calls: Calls {
                pause: 1,
                resume: 1,
                call_off: 1,
                ..Calls::default()
            },
            open,
            ..base.clone()
        },
    );
    holds(
        "two runs, batches across",
        Runs {
            steps: TWO_RUNS,
            batches: &[&[0, 2], &[2, 0], &[1], &[3]],
            calls: Calls {
                pause: 1,
                resume: 1,
                cancel: u8::from(!quick),
                ..Calls::default()
            },
            max_parallel: true,
            open,
            ..base.clone()
        },
    );
    all
}

fn broken() -> Vec<Configuration> {
    let mut all = Vec::new();
    let base = base(&Heard::default());
    let mut violates = |name: &str, property: &'static str, fault: Fault, model: Runs| {
        let model = Runs {
            fault: Some(fault),
            ..model
        };
        all.push((name.to_owned(), model, Expected::Violates(property)));
    };
    let paused = Runs {
        calls: Calls {
            pause: 1,
            resume: 1,
            requeue: 1,
            ..Calls::default()
        },
        open: 2,
        ..base.clone()
    };
    let cancelled = Runs {
        calls: Calls {
            cancel: 1,
            ..Calls::default()
        },
        open: 2,
        ..base.clone()
    };
    let called_off = Runs {
        steps: HANDLED,
        on_error: OnError::Fail,
        fails: &[0],
        batches: &EACH[..4],
        calls: Calls {
            pause: 1,
            resume: 1,
            call_off: 1,
            ..Calls::default()
        },
        open: 2,
        ..base.clone()
    };
    let failing = Runs {
        steps: HANDLED,
        on_error: OnError::Fail,
        fails: &[0, 1],
        batches: &EACH[..4],
        calls: Calls {
            pause: 1,
            resume: 1,
            ..Calls::default()
        },
        open: 2,
        ..base.clone()
    };
    violates("gate awaited", "V2", Fault::GateAwaited, cancelled.clone());
    violates(
        "gate ignored: dispatched in a paused run",
        "pause",
        Fault::GateIgnored,
        paused.clone(),
    );
    violates(
        "gate ignored: a join is lost",
        "D2",
        Fault::GateIgnored,
        paused.clone(),
    );
    violates(
        "nothing left for later",
        "D2",
        Fault::DueForgotten,
        paused.clone(),
    );
    violates(
        "a failure not left for later",
        "on_error",
        Fault::FailureForgotten,
        failing.clone(),
    );
    violates(
        "ends looked at side by side",
        "D2",
        Fault::RowUnlocked,
        base.clone(),
    );
    violates(
        "dispatched side by side",
        "D1",
        Fault::RowUnlocked,
        Runs {
            calls: Calls {
                pause: 1,
                ..Calls::default()
            },
            ..paused.clone()
        },
    );
    violates(
        "where the run is, read before its row",
        "pause",
        Fault::StateReadEarly,
        Runs {
            steps: APART,
            open: 2,
            ..base.clone()
        },
    );
    violates(
        "resume looks at ends only",
        "D2",
        Fault::ResumeLooksAtEnds,
        Runs {
            steps: CHECKPOINT,
            ..paused.clone()
        },
    );
    violates(
        "leases stand in a paused run",
        "pause",
        Fault::GrantedMissing,
        Runs {
            steps: WIDE_JOIN,
            batches: &EACH[..4],
            ..paused.clone()
        },
    );
    violates(
        "a task called off, and nobody told",
        "ends",
        Fault::CalledOffForgotten,
        Runs {
            fails: &[0],
            ..failing.clone()
        },
    );
    violates(
        "given back without the gate",
        "ends",
        Fault::RequeueUnlocked,
        paused.clone(),
    );
    violates(
        "counter without a lock",
        "D4",
        Fault::CountUnlocked,
        Runs {
            steps: WIDE_JOIN,
            batches: &EACH[..4],
            ..base.clone()
        },
    );
    violates(
        "runs in no order",
        "V2",
        Fault::UnsortedRuns,
        Runs {
            steps: SIDE_BY_SIDE,
            batches: &[&[0, 2], &[1, 3]],
            ..base.clone()
        },
    );
    violates(
        "a cancel leaves what waits",
        "ends",
        Fault::CancelKeepsWaiting,
        cancelled.clone(),
    );
    violates(
        "a cancel takes tasks before the gate",
        "V2",
        Fault::TasksBeforeGate,
        Runs {
            calls: Calls {
                cancel: 1,
                ..paused.calls
            },
            ..paused.clone()
        },
    );
    violates(
        "passed over and forgotten",
        "ends",
        Fault::PassedOverForgotten,
        called_off.clone(),
    );
    violates(
        "tasks waited for after counters",
        "V2",
        Fault::TasksAfterCounters,
        Runs {
            steps: THREE,
            ..called_off.clone()
        },
    );
    violates(
        "a failure is overtaken",
        "on_error",
        Fault::FailureOvertaken,
        Runs {
            on_error: OnError::Pause,
            ..failing.clone()
        },
    );
    violates(
        "a lease stands in a run cancelled since",
        "C1",
        Fault::GrantedLooksOnce,
        Runs {
            running: Running::Leave,
            calls: Calls {
                cancel: 1,
                ..paused.calls
            },
            open: 3,
            ..paused.clone()
        },
    );
    violates(
        "a lease taken again and again",
        "V2",
        Fault::TakenAgain,
        Runs {
            steps: WIDE_JOIN,
            calls: Calls {
                pause: 1,
                cancel: 1,
                ..Calls::default()
            },
            ..paused.clone()
        },
    );
    violates(
        "a redrive leaves the step ended",
        "ends",
        Fault::RedriveKeepsStep,
        Runs {
            on_error: OnError::Pause,
            calls: Calls {
                redrive: 1,
                resume: 1,
                ..Calls::default()
            },
            ..failing.clone()
        },
    );
    all
}

/// What the configurations without a fault hear together, and nothing else.
pub const EXPECTED: &[(Verb, &[Word])] = &[(
    Verb::Run,
    &[
        Word::Dispatched,
        Word::Skipped,
        Word::Waiting,
        Word::Requeued,
        Word::Blocked,
        Word::NotReady,
        Word::Paused,
        Word::Resumed,
        Word::Redriven,
        Word::CancelRequested,
        Word::Completed,
        Word::Failed,
        Word::Cancelled,
        Word::Undone,
    ],
)];
