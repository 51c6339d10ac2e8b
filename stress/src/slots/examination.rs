//! Slots as the tapes may tell of them, and as they may not.

use std::ops::Range;

use super::violations;
use crate::acts::{Known, MS};
use crate::history::{Answer, Entry, Stamp, Verb};
use crate::project::{Last, TapeEvent};
use crate::transaction::{Flushes, transactions};

/// A key of capacity 2 that nobody changes.
const FIXED: &str = "two";
/// One of capacity 1.
const CHANGED: &str = "few";

/// A task with this key, created and leased then, and what became of it.
fn task(id: i64, key: &str, created: i64, tape: &[(&str, i64)]) -> Last {
    let event = |(i, (kind, at)): (usize, &(&str, i64))| TapeEvent {
        seq: i as i64 + 1,
        kind: (*kind).to_owned(),
        token: Some(id),
        at: at * MS,
        owner: None,
        body: Default::default(),
    };
    Last {
        task: id,
        queue: "again".to_owned(),
        name: None,
        key: None,
        run: None,
        step: None,
        item_index: None,
        max_attempts: 3,
        slot_keys: vec![key.to_owned()],
        created_at: created * MS,
        compensations: Vec::new(),
        columns: vec![None; 15],
        tape: tape.iter().enumerate().map(event).collect(),
    }
}

/// Leased and ended.
fn worked(id: i64, key: &str, created: i64, lease: Range<i64>) -> Last {
    task(
        id,
        key,
        created,
        &[("leased", lease.start), ("final", lease.end)],
    )
}

fn stamp(ms: i64) -> Stamp {
    Stamp {
        mono: ms * 1_000_000,
        wall: ms * MS,
    }
}

/// Somebody sets the capacity of `CHANGED`.
fn set(when: Range<i64>, capacity: i32, answered: bool, flushed: bool) -> Vec<Entry> {
    let key = CHANGED.to_owned();
    let verb = Verb::SlotSet { key, capacity };
    let answer = if answered {
        Answer::Rows(vec![vec![Some(String::new())]])
    } else {
        Answer::Lost(String::new())
    };
    vec![
        Entry::Client {
            name: "c".to_owned(),
            flushed,
        },
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

/// The same, and it is rolled back.
fn set_in_vain(when: Range<i64>, capacity: i32) -> Vec<Entry> {
    let mut entries = set(when.clone(), capacity, true, true);
    entries.insert(
        1,
        Entry::Begin {
            tx: 1,
            isolation: "READ COMMITTED".to_owned(),
        },
    );
    if let Entry::Call { alone, .. } = &mut entries[2] {
        *alone = false;
    }
    entries.push(Entry::Ended {
        tx: 1,
        committed: Some(false),
        stamp: stamp(when.end),
    });
    entries
}

fn crash(when: Range<i64>) -> Vec<Entry> {
    vec![Entry::Crash {
        down: stamp(when.start),
        up: stamp(when.end),
    }]
}

fn said(tasks: &[Last], calls: &[Vec<Entry>]) -> Vec<String> {
    let mut crashes = Vec::new();
    let mut all = Vec::new();
    for entries in calls {
        all.extend(transactions(entries, &mut crashes));
    }
    let known = Known {
        queues: Default::default(),
        by_key: Default::default(),
        by_name: Default::default(),
        run_of: Default::default(),
        there: Default::default(),
        undoing: Default::default(),
        by_owner: Default::default(),
        told: Default::default(),
    };
    let flushes = Flushes::of(&all, &known);
    violations(tasks, &all, &crashes, &flushes)
}

fn legal(tasks: &[Last], calls: &[Vec<Entry>]) {
    let said = said(tasks, calls);
    assert!(said.is_empty(), "it is legal: {said:#?}");
}

fn illegal(tasks: &[Last], calls: &[Vec<Entry>]) {
    assert!(!said(tasks, calls).is_empty(), "it is illegal: {tasks:#?}");
}

#[test]
fn more_are_at_work_than_may_be() {
    let three = |third: i64| {
        [
            worked(1, FIXED, 1, 10..30),
            worked(2, FIXED, 1, 15..40),
            worked(3, FIXED, 1, third..50),
        ]
    };
    legal(&three(30), &[]);
    illegal(&three(29), &[]);
    // Other keys have their own.
    let mut two = three(20);
    two[2].slot_keys = vec!["four".to_owned()];
    legal(&two, &[]);
}

#[test]
fn a_slot_is_given_away_that_is_still_held() {
    let after = |end: &'static str| {
        [
            task(1, CHANGED, 1, &[("leased", 10), (end, 20), ("final", 50)]),
            worked(2, CHANGED, 1, 30..40),
        ]
    };
    // What is scheduled gives its slots back; what is requeued at once, or undone, keeps them.
    legal(&after("released"), &[]);
    legal(&after("retry_scheduled"), &[]);
    illegal(&after("lease_lost"), &[]);
    illegal(&after("compensating"), &[]);
    // In a run the slot may have been given back, because that was paused.
    let mut in_run = after("lease_lost");
    in_run[0].run = Some(7);
    legal(&in_run, &[]);
}

#[test]
fn a_key_is_raised_by_nobody() {
    let two = [worked(1, CHANGED, 1, 10..30), worked(2, CHANGED, 1, 25..40)];
    illegal(&two, &[]);
    legal(&two, &[set(20..22, 2, true, true)]);
    legal(&two, &[set(20..22, 2, false, true)]);
    illegal(&two, &[set(20..22, 1, true, true)]);
    illegal(&two, &[set_in_vain(20..22, 2)]);
    illegal(&two, &[set(26..28, 2, true, true)]);
}

#[test]
fn a_slot_is_given_out_of_a_key_that_was_lowered() {
    let one = |created: i64| [worked(1, CHANGED, created, 25..40)];
    let closed = || set(10..12, 0, true, true);
    // It may have taken its slot before.
    legal(&one(12), &[closed()]);
    illegal(&one(13), &[closed()]);
    legal(&one(13), &[closed(), set(20..24, 1, true, true)]);
    illegal(&one(13), &[closed(), set(26..28, 1, true, true)]);
    // Who holds one keeps it.
    let two = |second: i64| {
        [
            worked(1, CHANGED, 1, 10..60),
            worked(2, CHANGED, second, 50..70),
        ]
    };
    let raised_and_lowered = || [set(5..6, 2, true, true), set(20..22, 1, true, true)];
    legal(&two(2), &raised_and_lowered());
    illegal(&two(30), &raised_and_lowered());
}

#[test]
fn a_capacity_is_lost_in_a_crash_although_it_was_on_disk() {
    let one = [worked(1, CHANGED, 20, 25..40)];
    let closed = |flushed| [set(10..12, 0, true, flushed), crash(14..16)];
    legal(&one, &closed(false));
    illegal(&one, &closed(true));
    // What was under way when the server went down has happened by then, or never.
    let two = [worked(1, CHANGED, 1, 10..30), worked(2, CHANGED, 1, 25..40)];
    let raised = || set(11..12, 2, false, true);
    let lowered = || set(17..18, 1, true, true);
    legal(&two, &[raised(), crash(14..16)]);
    let late = [
        worked(1, CHANGED, 20, 21..30),
        worked(2, CHANGED, 20, 25..40),
    ];
    illegal(&late, &[raised(), crash(14..16), lowered()]);
    legal(&late, &[raised(), lowered()]);
}
