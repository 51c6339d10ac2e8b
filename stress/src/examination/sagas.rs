//! Compensations: what registers them, which ends have them run, and what is answered until the task ends.

use super::*;

fn register(name: &str, token: i64, outcome: &str) -> Said {
    let what = (name.to_owned(), "{}".to_owned());
    Said::new(Act::Register { token, what }, outcome)
}

impl Said {
    fn number(self, number: i64) -> Said {
        self.with(|r| r.number = Some(number))
    }
}

fn registered(name: &str, token: i64, number: i64) -> Said {
    register(name, token, "registered").number(number)
}

fn create_as(max_attempts: i32, bounded: bool, undoes: bool, delay: i64) -> Said {
    let act = Act::Create {
        queue: index("again"),
        max_attempts: Some(max_attempts),
        delay: delay * MS,
        bounded,
        in_run: false,
        undoes,
        flow: None,
    };
    Said::new(act, "created")
}

/// The first lease, of w1, until 111: nothing is registered, or one.
fn at_work(story: Story, registers: bool) -> Story {
    let story = story.says("w1", 10..12, leased("w1", 1, 11..111));
    if registers {
        story.says("w1", 13..14, registered("a", 1, 1))
    } else {
        story
    }
}

fn with_one() -> Story {
    at_work(story(), true)
}

fn started(state: State, token: i64) -> Said {
    finalize_as(state, token, "compensation_started").state(Compensating)
}

/// It has failed, and what it did is being undone.
fn undoing() -> Story {
    with_one().says("w1", 20..22, started(Failed, 1))
}

const BEGUN: [(&str, Option<i64>); 3] = [
    ("leased", Some(1)),
    ("baton.compensation_registered", Some(1)),
    ("compensating", Some(1)),
];
const ONE_DONE: (&str, Option<i64>) = ("baton.compensation_finalized", None);
const FINAL: (&str, Option<i64>) = ("final", None);

/// It has ended at 50, after one compensation.
fn undone(story: Story, state: State, reason: &str) -> Story {
    let shown = shows(state).attempt(1).seq(5).ended(50, Some(reason));
    story.says("reader", 60..62, shown)
}

#[test]
fn a_registration_is_numbered_wrongly() {
    let second = |said: Said| with_one().says("w1", 20..22, said);
    let (a, other) = (registered("a", 1, 2), registered("b", 1, 2));
    let again = register("a", 1, "exists");
    examine(
        second,
        &[other.clone(), again.clone().number(1)],
        &[
            registered("b", 1, 1),
            registered("b", 1, 3),
            a,
            again.clone().number(2),
            again,
            register("b", 1, "exists").number(1),
            register("b", 1, "registered"),
        ],
    );
}

#[test]
fn a_stale_token_registers() {
    let told = |said: Said| taken_over().says("c", 160..162, said);
    examine(
        told,
        &[register("a", 1, "lease_lost"), registered("a", 2, 1)],
        &[registered("a", 1, 1), register("a", 2, "lease_lost")],
    );
    let late = |said: Said| completed().says("w1", 30..32, said);
    examine(
        late,
        &[register("a", 1, "terminal")],
        &[registered("a", 1, 1), register("a", 1, "lease_lost")],
    );
    let nowhere = |said: Said| before_all().says("w1", 10..12, said);
    examine(
        nowhere,
        &[register("a", 1, "not_found")],
        &[register("a", 1, "lease_lost")],
    );
}

#[test]
fn a_lease_that_ran_out_but_is_current_registers_nothing() {
    let told = |said: Said| working().says("w1", 130..132, said);
    examine(
        told,
        // (a sweep may have taken it)
        &[registered("a", 1, 1), register("a", 1, "lease_lost")],
        &[register("a", 1, "lease_expired")],
    );
}

#[test]
fn a_compensation_registers_one() {
    let told = |undoes: bool| {
        let create = create_as(3, false, undoes, 0).state(Ready);
        at_work(before_all().says("producer", 1..2, create), true)
    };
    examine(told, &[false], &[true]);
}

#[test]
fn an_end_is_undone_that_should_not_be_or_the_reverse() {
    let ended = |(registers, state, started): (bool, State, bool)| {
        let word = if started {
            "compensation_started"
        } else {
            "finalized"
        };
        let said = finalize_as(state, 1, word);
        let said = if started {
            said.state(Compensating)
        } else {
            said.at(21)
        };
        at_work(story(), registers).says("w1", 20..22, said)
    };
    examine(
        ended,
        &[
            (true, Failed, true),
            (true, Cancelled, true),
            (true, Completed, false),
            (true, Quarantined, false),
            (false, Failed, false),
        ],
        &[
            (true, Failed, false),
            (true, Cancelled, false),
            (true, Completed, true),
            (true, Quarantined, true),
            (false, Failed, true),
        ],
    );
}

#[test]
fn it_is_said_to_have_ended_already() {
    let told = |said: Said| with_one().says("w1", 20..22, said);
    examine(
        told,
        &[started(Failed, 1)],
        &[
            started(Failed, 1).at(21),
            started(Failed, 1).state(Failed),
            started(Failed, 1).state(Compensated).at(21),
        ],
    );
}

#[test]
fn the_last_attempt_fails_and_nothing_is_undone() {
    let failed = |(registers, word, state): (bool, &'static str, State)| {
        let create = create_as(1, false, false, 0).state(Ready);
        at_work(before_all().says("producer", 1..2, create), registers).says(
            "w1",
            20..22,
            fail(1, word).state(state),
        )
    };
    examine(
        failed,
        &[
            (true, "compensation_started", Compensating),
            (false, "finalized", Failed),
        ],
        &[
            (true, "finalized", Failed),
            (false, "compensation_started", Compensating),
        ],
    );
}

#[test]
fn a_requested_cancel_ends_and_nothing_is_undone() {
    let released = |(registers, word): (bool, &'static str)| {
        at_work(story(), registers)
            .says("admin", 20..22, cancel("cancel_requested").state(Running))
            .says("w1", 30..32, release(1, word))
    };
    examine(
        released,
        &[(true, "compensation_started"), (false, "cancelled")],
        &[(true, "cancelled"), (false, "compensation_started")],
    );
}

#[test]
fn what_was_done_in_an_earlier_attempt_is_not_undone() {
    let cancelled = |said: Said| {
        with_one()
            .says("w1", 20..22, release(1, "released").run_at(21))
            .says("admin", 30..32, said)
    };
    examine(
        cancelled,
        &[cancel("compensation_started").state(Compensating)],
        &[cancel("cancelled").state(Cancelled)],
    );
    let forced = |said: Said| with_one().says("admin", 30..32, said);
    examine(
        forced,
        &[cancel_by_force("compensation_started").state(Compensating)],
        &[cancel_by_force("cancelled").state(Cancelled)],
    );
}

#[test]
fn a_lost_lease_ends_it_and_nothing_is_undone() {
    let lost = |(registers, word): (bool, &'static str)| {
        let leased = leased_from("once", "w1", 1, 11..111);
        let story = story_in("once").says("w1", 10..12, leased);
        let story = if registers {
            story.says("w1", 13..14, registered("a", 1, 1))
        } else {
            story
        };
        story.says("reaper", 120..122, reaped(word))
    };
    examine(
        lost,
        &[(true, "compensating"), (false, "failed")],
        &[
            (true, "failed"),
            (false, "compensating"),
            (true, "requeued"),
        ],
    );
}

#[test]
fn what_is_undone_is_cancelled() {
    let told = |said: Said| undoing().says("admin", 30..32, said);
    examine(
        told,
        &[
            cancel("compensating").state(Compensating),
            cancel_by_force("compensating").state(Compensating),
            // It may have ended meanwhile.
            cancel("terminal").state(Compensated),
            cancel("terminal").state(Quarantined),
        ],
        &[
            cancel("cancelled").state(Cancelled),
            cancel("cancel_requested").state(Compensating),
            cancel("compensation_started").state(Compensating),
            cancel("terminal").state(Failed),
            cancel("compensating").state(Running),
        ],
    );
}

#[test]
fn a_compensation_is_cancelled() {
    let told = |(undoes, said): (bool, Said)| {
        let create = create_as(3, false, undoes, 0).state(Ready);
        before_all()
            .says("producer", 1..2, create)
            .says("admin", 30..32, said)
    };
    examine(
        told,
        &[
            (true, cancel("compensating").state(Ready)),
            (false, cancel("cancelled").state(Cancelled)),
        ],
        &[
            (true, cancel("cancelled").state(Cancelled)),
            (true, cancel("compensating").state(Compensating)),
            (false, cancel("compensating").state(Ready)),
        ],
    );
}

#[test]
fn a_replay_is_answered_otherwise() {
    let again = |said: Said| undoing().says("w1", 30..32, said);
    let other = |state| finalize_as(state, 1, "already_finalized_differently").state(Compensating);
    examine(
        again,
        &[
            started(Failed, 1),
            other(Completed),
            other(Failed).result("other"),
            started(Failed, 1).state(Compensated).at(31),
            other(Completed).state(Quarantined).at(31),
            finalize_as(Failed, 2, "lease_lost").state(Compensating),
            // The first end had another reason.
            fail(1, "already_finalized_differently").state(Compensating),
            release(1, "lease_lost"),
        ],
        &[
            started(Completed, 1),
            started(Failed, 1).result("other"),
            other(Failed),
            finalize_as(Failed, 1, "already_finalized").state(Compensating),
            finalize_as(Failed, 1, "finalized").state(Failed).at(31),
            started(Failed, 2),
            started(Failed, 1).state(Compensated),
            started(Failed, 1).at(31),
            fail(1, "compensation_started").state(Compensating),
            release(1, "compensation_started"),
        ],
    );
}

#[test]
fn a_replay_of_another_call_is_answered_otherwise() {
    let failed = |said: Said| {
        let create = create_as(1, false, false, 0).state(Ready);
        at_work(before_all().says("producer", 1..2, create), true)
            .says(
                "w1",
                20..22,
                fail(1, "compensation_started").state(Compensating),
            )
            .says("w1", 30..32, said)
    };
    examine(
        failed,
        &[fail(1, "compensation_started").state(Compensating)],
        &[
            fail(1, "already_finalized_differently").state(Compensating),
            fail(1, "lease_lost").state(Compensating),
            started(Failed, 1),
        ],
    );
    let released = |word: &'static str| {
        with_one()
            .says("admin", 20..22, cancel("cancel_requested").state(Running))
            .says("w1", 30..32, release(1, "compensation_started"))
            .says("w1", 40..42, release(1, word))
    };
    examine(
        released,
        &["compensation_started"],
        &["cancelled", "lease_lost", "released"],
    );
}

#[test]
fn what_is_undone_is_leased_or_worked_on() {
    let told = |said: Said| undoing().says("w", 30..32, said);
    examine(
        told,
        &[
            by_id("w", "not_ready").state(Compensating),
            heartbeat(1, "lease_lost"),
            start(1, "lease_lost"),
            require(1, "refused"),
            register("b", 1, "lease_lost"),
            redrive("not_terminal"),
        ],
        &[
            acquired("w", 2, 31..131).attempt(2),
            leased("w", 2, 31..131).attempt(2),
            by_id("w", "held").state(Running).owner("w1").until(111),
            heartbeat(1, "extended").until(131),
            start(1, "started").until(331),
            require(1, "held"),
            registered("b", 1, 2),
            redrive("completed"),
        ],
    );
}

#[test]
fn what_is_undone_is_done_again_before_it_has_ended() {
    let read = |said: Said| {
        undoing()
            .says("admin", 30..32, redrive("redriven").new_task(9))
            .says("reader", 60..62, said)
    };
    examine(
        read,
        &[shows(Compensated)
            .attempt(1)
            .seq(5)
            .ended(25, Some("compensated"))],
        &[
            shows(Compensating).attempt(1).seq(3),
            shows(Compensated)
                .attempt(1)
                .seq(5)
                .ended(50, Some("compensated")),
        ],
    );
}

#[test]
fn it_ends_before_all_is_undone() {
    let ended = |(state, events): (State, Vec<(&'static str, Option<i64>)>)| {
        let two = [
            BEGUN[0],
            BEGUN[1],
            ("baton.compensation_registered", Some(1)),
            BEGUN[2],
        ];
        let seq = (two.len() + events.len()) as i64;
        let reason = if state == Compensated {
            "compensated"
        } else {
            "compensation_failed"
        };
        let shown = shows(state).attempt(1).seq(seq).ended(50, Some(reason));
        with_one()
            .says("w1", 15..16, registered("b", 1, 2))
            .says("w1", 20..22, started(Failed, 1))
            .says("reader", 60..62, shown)
            .says("reader", 70..72, tape(&[&two[..], &events[..]].concat()))
    };
    examine(
        ended,
        &[
            (Compensated, vec![ONE_DONE, ONE_DONE, FINAL]),
            (Quarantined, vec![ONE_DONE, FINAL]),
            (Quarantined, vec![ONE_DONE, ONE_DONE, FINAL]),
        ],
        &[
            (Compensated, vec![ONE_DONE, FINAL]),
            (Compensated, vec![FINAL]),
            (Compensated, vec![ONE_DONE, ONE_DONE, ONE_DONE, FINAL]),
            (Quarantined, vec![FINAL]),
            (Compensated, vec![ONE_DONE, ONE_DONE, ("final", Some(1))]),
        ],
    );
}

#[test]
fn it_ends_for_another_reason_than_it_had() {
    let failed = |(state, reason)| undone(undoing(), state, reason);
    examine(
        failed,
        &[
            (Compensated, "compensated"),
            (Quarantined, "compensation_failed"),
        ],
        &[
            (Compensated, "compensation_failed"),
            (Quarantined, "compensated"),
            (Failed, "compensated"),
        ],
    );
    let cancelled = |reason| {
        let story = with_one().says("w1", 20..22, started(Cancelled, 1));
        undone(story, Compensated, reason)
    };
    examine(cancelled, &["cancelled"], &["compensated"]);
}

#[test]
fn it_ends_without_having_been_undone() {
    let read = |said: Said| undoing().says("reader", 60..62, said);
    let shown = |state| shows(state).attempt(1);
    examine(
        read,
        &[
            shown(Compensating).seq(3),
            shown(Compensated).seq(5).ended(50, Some("compensated")),
        ],
        &[
            shown(Running).seq(3),
            shown(Compensating).seq(4),
            shown(Failed).seq(4).ended(21, None),
            shown(Compensated).seq(5).ended(10, Some("compensated")),
        ],
    );
}

#[test]
fn what_was_registered_is_lost() {
    let failed = |(careless, said): (bool, Said)| {
        let story = if careless {
            working().careless("w1")
        } else {
            working()
        };
        story
            .says("w1", 13..14, registered("a", 1, 1))
            .crash(15..17)
            .says("w1", 20..22, said)
    };
    let finalized = || finalize_as(Failed, 1, "finalized").at(21);
    examine(
        failed,
        &[
            (false, started(Failed, 1)),
            (true, started(Failed, 1)),
            (true, finalized()),
        ],
        &[(false, finalized())],
    );
}

#[test]
fn what_was_answered_to_be_undone_is_lost() {
    let read = |said: Said| {
        with_one()
            .careless("c")
            .says("c", 20..22, started(Failed, 1))
            .crash(30..40)
            .says("reader", 50..52, said)
    };
    examine(
        read,
        &[shows(Compensating).attempt(1).seq(3)],
        &[shows(Running).attempt(1).seq(2).held("w1", 1, 11..111)],
    );
}

#[test]
fn a_replay_flushes_what_was_not() {
    let read = |(verb, seq): (Said, i64)| {
        let noted = append(1, "appended").seq(4).at(26);
        let Said { reply, .. } = noted;
        let act = Act::Append {
            token: None,
            dedup_key: None,
        };
        undoing()
            .careless("c")
            .says("c", 25..27, Said { act, reply })
            .says("w1", 28..29, verb)
            .crash(30..40)
            .says("reader", 50..52, shows(Compensating).attempt(1).seq(seq))
    };
    examine(
        read,
        &[(started(Failed, 1), 3), (started(Failed, 1), 4)],
        &[(started(Failed, 1), 2)],
    );
}

#[test]
fn a_task_with_slot_keys_is_blocked_where_it_may_not_be() {
    let made = |(bounded, delay, state): (bool, i64, State)| {
        before_all().says(
            "producer",
            1..12,
            create_as(3, bounded, false, delay).state(state),
        )
    };
    examine(
        made,
        &[
            (true, 0, Ready),
            (true, 0, Blocked),
            (true, 50, Scheduled),
            (true, 5, Blocked),
            (false, 0, Ready),
        ],
        &[
            (false, 0, Blocked),
            (true, 0, Scheduled),
            (true, 50, Blocked),
            (true, 50, Ready),
        ],
    );
    // What is given back without a delay keeps its slots.
    let retried = |(delay, state): (i64, State)| {
        let create = create_as(3, true, false, 0).state(Ready);
        at_work(before_all().says("producer", 1..2, create), false).says(
            "w1",
            20..22,
            fail_retrying_after(delay, 1, "retry_scheduled")
                .state(state)
                .run_at(21 + delay),
        )
    };
    examine(
        retried,
        &[(0, Ready), (50, Scheduled)],
        &[(0, Blocked), (50, Blocked)],
    );
}
