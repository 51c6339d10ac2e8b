//! What is run: slots as they are built, and those with a fault.

use super::{Fault, Slots};
use crate::check::Expected;
use crate::words::{Heard, Verb, Word};

/// One key with one slot, which the first task holds; two more come.
fn base(heard: &Heard) -> Slots {
    Slots {
        capacities: &[1],
        tasks: &[1, 1, 1],
        there: 1,
        sets: &[],
        acquires: false,
        cancels: false,
        takers: 1,
        open: 3,
        crashes: true,
        every_snapshot: false,
        fault: None,
        heard: heard.clone(),
    }
}

/// Two keys with a slot each; who needs both, and who needs one.
fn two_keys(heard: &Heard) -> Slots {
    Slots {
        capacities: &[1, 1],
        tasks: &[1, 2, 3],
        there: 2,
        ..base(heard)
    }
}

pub type Configuration = (String, Slots, Expected);

pub fn configurations(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = as_built(quick, heard);
    all.extend(broken());
    all
}

fn as_built(quick: bool, heard: &Heard) -> Vec<Configuration> {
    let mut all = Vec::new();
    let mut holds = |name: &str, model: Slots| all.push((name.to_owned(), model, Expected::Holds));
    holds(
        "one slot, all come and go",
        Slots {
            cancels: true,
            takers: 1,
            ..base(heard)
        },
    );
    holds(
        "one slot, every snapshot a step",
        Slots {
            tasks: &[1, 1],
            cancels: true,
            every_snapshot: true,
            ..base(heard)
        },
    );
    holds(
        "ended and acquired in one transaction",
        Slots {
            acquires: true,
            open: 2,
            ..base(heard)
        },
    );
    holds(
        "two slots",
        Slots {
            capacities: &[2],
            tasks: &[1, 1, 1],
            there: 3,
            ..base(heard)
        },
    );
    holds(
        "lowered and raised",
        Slots {
            capacities: &[2],
            there: 2,
            sets: &[(0, 1)],
            open: 2,
            ..base(heard)
        },
    );
    holds(
        "raised from none, lowered to none",
        Slots {
            capacities: &[0],
            tasks: &[1, 1],
            there: 1,
            sets: &[(0, 1), (0, 0)],
            open: 2,
            ..base(heard)
        },
    );
    holds(
        "two keys, all or none",
        Slots {
            tasks: &[1, 2, 3],
            there: 2,
            ..two_keys(heard)
        },
    );
    holds(
        "two keys, one who needs one behind",
        Slots {
            tasks: &[1, 3, 2],
            there: 2,
            open: 2,
            ..two_keys(heard)
        },
    );
    holds(
        "two keys, ended and acquired at once",
        Slots {
            tasks: &[1, 3, 2],
            acquires: true,
            open: 2,
            ..two_keys(heard)
        },
    );
    holds(
        "two keys, every snapshot a step",
        Slots {
            every_snapshot: true,
            open: 2,
            ..two_keys(heard)
        },
    );
    if !quick {
        holds(
            "four tasks, two who take up",
            Slots {
                tasks: &[1, 1, 1, 1],
                cancels: true,
                takers: 2,
                open: 2,
                ..base(heard)
            },
        );
        holds(
            "lowered and raised again",
            Slots {
                capacities: &[2],
                there: 2,
                sets: &[(0, 1), (0, 2)],
                open: 2,
                ..base(heard)
            },
        );
        holds(
            "raised, lowered and raised",
            Slots {
                capacities: &[0],
                tasks: &[1, 1],
                there: 1,
                sets: &[(0, 1), (0, 0), (0, 2)],
                open: 2,
                ..base(heard)
            },
        );
        holds(
            "two keys, four tasks",
            Slots {
                tasks: &[1, 3, 2, 1],
                there: 2,
                open: 2,
                ..two_keys(heard)
            },
        );
    }
    all
}

fn broken() -> Vec<Configuration> {
    let heard = Heard::default();
    let mut all = Vec::new();
    let mut violates = |name: &str, property: &'static str, fault, model: Slots| {
        let model = Slots {
            fault: Some(fault),
            ..model
        };
        all.push((name.to_owned(), model, Expected::Violates(property)));
    };
    let base = || base(&heard);
    let two_keys = || two_keys(&heard);
    let lowered = || Slots {
        capacities: &[2],
        there: 2,
        sets: &[(0, 1)],
        ..base()
    };
    violates("nobody is seen on a side", "line", Fault::NoSides, base());
    violates(
        "only who frees is seen",
        "line",
        Fault::OnlyWhoFreesIsSeen,
        base(),
    );
    violates(
        "only who waits is seen",
        "line",
        Fault::OnlyWhoWaitsIsSeen,
        base(),
    );
    violates(
        "sides are waited for",
        "V2",
        Fault::SideAwaited,
        Slots {
            tasks: &[2, 3, 1, 3],
            there: 4,
            ..two_keys()
        },
    );
    violates(
        "nothing is left for later",
        "line",
        Fault::DueForgotten,
        base(),
    );
    violates(
        "due rows deleted at once",
        "line",
        Fault::DueDeletedAtOnce,
        base(),
    );
    violates(
        "due rows not locked, and kept",
        "line",
        Fault::DueNotLocked,
        base(),
    );
    violates(
        "who frees does not look again",
        "line",
        Fault::FreerDoesNotLookAgain,
        base(),
    );
    violates(
        "who waits does not look again",
        "line",
        Fault::WaiterDoesNotLookAgain,
        base(),
    );
    violates(
        "a locked slot is none",
        "line",
        Fault::LockedSlotIgnored,
        base(),
    );
    violates(
        "what others hold is left to them",
        "line",
        Fault::OpenForgotten,
        Slots {
            cancels: true,
            ..base()
        },
    );
    violates(
        "key not locked by who drains",
        "line",
        Fault::DrainUnlocked,
        lowered(),
    );
    violates(
        "taken while it drains",
        "drain",
        Fault::TakenWhileDraining,
        lowered(),
    );
    violates(
        "some rather than none",
        "S2",
        Fault::NotAllOrNone,
        two_keys(),
    );
    violates(
        "the next is not asked",
        "line",
        Fault::NextNotAsked,
        Slots {
            tasks: &[1, 2, 3, 1],
            there: 4,
            ..two_keys()
        },
    );
    violates(
        "freed anew since the snapshot",
        "S2",
        Fault::FreedAnew,
        Slots {
            every_snapshot: true,
            ..base()
        },
    );
    violates(
        "a raise wakes nobody",
        "line",
        Fault::RaiseWakesNobody,
        Slots {
            capacities: &[0],
            sets: &[(0, 1)],
            ..base()
        },
    );
    all
}

/// What the configurations without a fault hear together, and nothing else.
pub const EXPECTED: &[(Verb, &[Word])] = &[(
    Verb::Slots,
    &[
        Word::Taken,
        Word::Waiting,
        Word::Moved,
        Word::Given,
        Word::Unsure,
        Word::Late,
        Word::LeftDue,
        Word::Kept,
        Word::TakenUp,
        Word::Held,
        Word::Drained,
        Word::Full,
        Word::Unknown,
        Word::Cancelled,
        Word::Undone,
    ],
)];
