//! What is run: joins as they are built, the naive ones, and those with a fault.

use super::{Fault, Join, Mechanism};
use crate::check::Expected;
use crate::words::{Heard, Verb, Word};

const SINGLE: &[&[u8]] = &[&[0], &[1], &[2], &[3]];

/// One group of two items, with one counter, whose last end dispatches.
fn base(heard: &Heard) -> Join {
    Join {
        groups: &[2],
        mechanism: Mechanism::Counters,
        fault: None,
        split: false,
        batches: &SINGLE[..2],
        enders: 1,
        built_in: true,
        deliveries: 0,
        needs_all: false,
        in_one_transaction: false,
        cancel: false,
        gate: false,
        slots: 3,
        crashes: true,
        every_snapshot: false,
        heard: heard.clone(),
    }
}

pub type Configuration = (String, Join, Expected);

pub fn configurations(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = as_built(quick, heard);
    all.extend(broken());
    all
}

fn as_built(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = Vec::new();
    let mut holds = |name: &str, model: Join| all.push((name.to_owned(), model, Expected::Holds));
    let base = base(heard);
    let wide = Join {
        groups: if quick { &[3] } else { &[4] },
        batches: if quick { &SINGLE[..3] } else { SINGLE },
        every_snapshot: !quick,
        ..base.clone()
    };
    let two_groups = Join {
        groups: if quick { &[1, 2] } else { &[2, 2] },
        batches: if quick { &SINGLE[..3] } else { SINGLE },
        split: true,
        every_snapshot: !quick,
        ..base.clone()
    };
    holds("one counter", wide.clone());
    holds(
        "split counter, all overlap",
        Join {
            split: true,
            slots: if quick { 3 } else { 4 },
            ..wide.clone()
        },
    );
    holds(
        "every snapshot a step",
        Join {
            split: true,
            every_snapshot: true,
            gate: true,
            enders: 2,
            ..base.clone()
        },
    );
    holds(
        "worker against canceller",
        Join {
            split: true,
            enders: 2,
            slots: if quick { 2 } else { 3 },
            ..wide.clone()
        },
    );
    holds(
        "gate taken",
        Join {
            split: true,
            gate: true,
            ..wide.clone()
        },
    );
    holds(
        "run cancelled",
        Join {
            split: true,
            cancel: true,
            gate: true,
            slots: if quick { 2 } else { 3 },
            ..wide.clone()
        },
    );
    holds(
        "messages, late and twice",
        Join {
            split: true,
            built_in: false,
            deliveries: 2,
            cancel: true,
            slots: if quick { 2 } else { 3 },
            every_snapshot: false,
            ..wide.clone()
        },
    );
    holds(
        "messages, every snapshot a step",
        Join {
            groups: if quick { &[2] } else { &[3] },
            batches: if quick { &SINGLE[..2] } else { &SINGLE[..3] },
            split: true,
            built_in: false,
            deliveries: 2,
            cancel: true,
            every_snapshot: true,
            ..base.clone()
        },
    );
    holds(
        "messages beside a built-in",
        Join {
            split: true,
            deliveries: 2,
            gate: true,
            cancel: true,
            ..base.clone()
        },
    );
    holds(
        "two groups, batches across",
        Join {
            batches: if quick {
                &[&[0, 2], &[2, 1]]
            } else {
                &[&[0, 2], &[3, 1], &[2, 0]]
            },
            gate: !quick,
            ..two_groups.clone()
        },
    );
    holds(
        "two groups, one successor",
        Join {
            built_in: false,
            deliveries: 2,
            needs_all: true,
            slots: if quick { 2 } else { 3 },
            every_snapshot: false,
            ..two_groups.clone()
        },
    );
    holds(
        "finalize and dispatch at once",
        Join {
            built_in: false,
            in_one_transaction: true,
            split: true,
            ..wide.clone()
        },
    );
    holds(
        "step locked, then siblings",
        Join {
            mechanism: Mechanism::LockThenLook,
            ..wide.clone()
        },
    );
    all
}

fn broken() -> Vec<Configuration> {
    let base = base(&Heard::default());
    let mut all = Vec::new();
    let mut violates = |name: &str, property: &'static str, model: Join| {
        all.push((name.to_owned(), model, Expected::Violates(property)));
    };
    let naive = |mechanism| Join {
        mechanism,
        ..base.clone()
    };
    let fault = |fault| Join {
        fault: Some(fault),
        ..base.clone()
    };
    violates(
        "NOT EXISTS in the same transaction",
        "D2",
        naive(Mechanism::NotExists),
    );
    violates(
        "NOT EXISTS in a second one",
        "D1",
        naive(Mechanism::NotExistsLater),
    );
    violates(
        "NOT EXISTS with the step's lock",
        "D2",
        naive(Mechanism::NotExistsUnderLock),
    );
    violates(
        "counter read, then written",
        "D4",
        fault(Fault::ReadThenWrite),
    );
    violates(
        "counter read, then written: lost",
        "D2",
        fault(Fault::ReadThenWrite),
    );
    violates(
        "counted down for the loser, too",
        "D4",
        Join {
            enders: 2,
            ..fault(Fault::LoserCounts)
        },
    );
    violates(
        "dispatched for the loser, too",
        "D3",
        Join {
            enders: 2,
            ..fault(Fault::LoserCounts)
        },
    );
    violates(
        "a shard dispatches",
        "D3",
        Join {
            split: true,
            ..fault(Fault::ShardDispatches)
        },
    );
    violates(
        "no key in dispatch",
        "D1",
        Join {
            built_in: false,
            deliveries: 2,
            ..fault(Fault::NoKey)
        },
    );
    let batches = Join {
        batches: &[&[0, 1], &[1, 0]],
        ..base.clone()
    };
    violates(
        "unsorted batch",
        "V2",
        Join {
            fault: Some(Fault::UnsortedBatch),
            ..batches
        },
    );
    violates(
        "mark the run, then lock its tasks",
        "V2",
        Join {
            cancel: true,
            ..fault(Fault::GateAwaited)
        },
    );
    violates(
        "nothing left for later",
        "D2",
        Join {
            gate: true,
            ..fault(Fault::GateForgotten)
        },
    );
    violates(
        "gate not looked at",
        "C1",
        Join {
            cancel: true,
            ..fault(Fault::GateIgnored)
        },
    );
    let one_each = Join {
        groups: &[1, 1],
        built_in: false,
        needs_all: true,
        in_one_transaction: true,
        ..base.clone()
    };
    violates(
        "needs read without a lock",
        "D2",
        Join {
            fault: Some(Fault::HandlerUnlocked),
            ..one_each.clone()
        },
    );
    // No fault: several calls in one transaction may deadlock, as the contract says.
    violates("two calls in one transaction", "V2", one_each);
    all
}

/// What the configurations without a fault hear together, and nothing else.
pub const EXPECTED: &[(Verb, &[Word])] = &[
    (
        Verb::DispatchSuccessor,
        &[
            Word::Dispatched,
            Word::AlreadyDispatched,
            Word::Waiting,
            Word::RunNotActive,
        ],
    ),
    (
        // A last end dispatches, leaves it for later, or finds the run cancelled; what was left is worked off.
        Verb::Join,
        &[
            Word::Dispatched,
            Word::Waiting,
            Word::RunNotActive,
            Word::Requeued,
            Word::Undone,
        ],
    ),
];
