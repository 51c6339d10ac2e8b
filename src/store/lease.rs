//! Leases: granted, kept, given back, lost, and ended with their task.

use crate::model::ending::{Lease, OnLost};
use crate::model::run::RunState;
use crate::model::saga;
use crate::model::state::State;
use crate::pg::datum::{Instant, Jsonb};
use crate::pg::session::Session;
use crate::pg::statement::Row;
use crate::pg::table::{self, Changed, Columns, Key, Moment, Strength, Table};
use crate::pg::xact;
use crate::statements;
use crate::store::floors::{self, Line};
use crate::store::tables::{Done, Live, Queue, Run, Task};
use crate::store::task::state;
use pgrx::datum::Interval;
use std::cell::RefCell;
use std::collections::HashMap;

statements! {
    LEASE = "lease.sql",
    LOCK_BY_ID = "lock_by_id.sql",
    LOCK_OWNER = "lock_owner.sql",
    LOCK_BY_TOKEN = "lock_by_token.sql",
    LOCK_OVERDUE = "lock_overdue.sql",
    LOCK_OF_OWNER = "lock_of_owner.sql",
    TOUCH_OVERDUE = "touch_overdue.sql",
    PROMOTE = "promote.sql",
    MAKE_READY = "make_ready.sql",
    MAKE_WAITING = "make_waiting.sql",
    UNLEASE = "unlease.sql",
    START = "start.sql",
    REQUIRE_LEASE = "require_lease.sql",
    END_TASK = "end_task.sql",
    END_LEASE = "end_lease.sql",
    SETTLED = "settled.sql",
    REQUEST_CANCEL = "request_cancel.sql",
}

/// A lease as it is handed to its worker.
pub struct Leased {
    pub task_id: i64,
    pub ready_seq: i64,
    pub lease_token: i64,
    pub lease_expires_at: Instant,
    pub attempt: i32,
    pub lost_leases: i32,
    pub name: Option<String>,
    pub key: Option<String>,
    pub payload: Jsonb,
    pub run_id: Option<i64>,
    pub item_index: Option<i32>,
    pub metadata: Jsonb,
    /// Its run's state, if it stands in one.
    pub run: Option<RunState>,
}

/// Who takes a lease, and for how long.
pub struct Taker<'a> {
    pub owner: &'a str,
    pub ttl: Interval,
    pub max_runtime: Option<Interval>,
}

fn leased(task_id: i64, row: &mut Row) -> Leased {
    Leased {
        task_id,
        ready_seq: row.get(),
        lease_token: row.get(),
        lease_expires_at: row.get(),
        attempt: row.get(),
        lost_leases: row.get(),
        name: row.get(),
        key: row.get(),
        payload: row.get(),
        run_id: row.get(),
        item_index: row.get(),
        metadata: row.get(),
        run: run_state(row),
    }
}

fn run_state(row: &mut Row) -> Option<RunState> {
    let code: Option<i16> = row.get();
    code.map(|code| RunState::from_code(code).expect("the table holds known states only"))
}

impl Taker<'_> {
    /// When a lease that begins now runs out; `max_runtime` is the task's own.
    fn expiry(&self, now: Instant, max_runtime: Option<Interval>) -> Instant {
        let longest = max_runtime.or(self.max_runtime);
        let ttl = longest.map_or(micros(self.ttl), |longest| {
            micros(longest).min(micros(self.ttl))
        });
        Instant(now.0 + ttl)
    }
}

/// The intervals that are stored are in microseconds (`args::interval`).
fn micros(interval: Interval) -> i64 {
    interval.as_micros() as i64
}

type LiveRow = table::Row<Live>;

/// Leases up to `max` ready tasks of a lane, in the order of their places. Locks them FOR UPDATE, passing by what others hold.
pub fn claim(
    session: &Session,
    queue_id: i32,
    priority: i16,
    max: i32,
    taker: &Taker,
) -> Vec<Leased> {
    let scan = floors::scan(Line::Ready { queue_id, priority });
    let (live, asked) = (Live::write(), Task::read());
    let mut tasks = Vec::new();
    let mut first;
    loop {
        let moment = Moment::now();
        let keys = [
            Key::is(queue_id),
            Key::is(priority),
            Key::after(scan.start()),
        ];
        let mut line = live.scan(&moment, "task_live_ready", keys);
        let mut moved = false;
        first = None;
        while tasks.len() < max as usize
            && let Some(task) = line.next()
        {
            first.get_or_insert_with(|| task.get(session, Live::ready_seq));
            match grant(session, &live, &asked, &moment, task, taker) {
                Ok(leased) => tasks.push(leased),
                Err(Changed::Moved) => moved = true,
                Err(_) => {}
            }
        }
        // What has changed since this look began is ready still, perhaps.
        if !moved || tasks.len() == max as usize {
            break;
        }
    }
    // Also if nothing was claimed: the floor learns how far the line is empty, or held by others.
    scan.end(first, table::last_value(c"ready_seq"));
    tasks
}

/// Leases one task as this moment sees it, unless somebody else is at it, or has been since.
fn grant(
    session: &Session,
    live: &Table<Live>,
    asked: &Table<Task>,
    moment: &Moment,
    task: &LiveRow,
    taker: &Taker,
) -> Result<Leased, Changed> {
    match live.lock_seen(moment, task, Strength::Update) {
        Changed::Done => {}
        not => return Err(not),
    }
    // Read and drawn under the lock: nobody can have had a later time, or a greater token.
    let now = Instant(xact::clock());
    let lease_token = table::next_value(c"token_seq");
    let lease_expires_at = taker.expiry(now, task.get(session, Live::max_runtime));
    let attempt = task.get::<i32>(session, Live::attempt) + 1;
    let seq = task.get::<i64>(session, Live::last_seq) + 1;
    let mut leased = live.next_version(task);
    leased
        .set(Live::state, State::Running.code())
        .set(Live::lease_token, lease_token)
        .set(Live::owner, taker.owner)
        .set(Live::leased_at, now)
        .set(Live::lease_expires_at, lease_expires_at)
        .set(Live::check_at, lease_expires_at)
        .set(Live::heartbeat_at, None::<Instant>)
        .set(Live::started_at, None::<Instant>)
        .set(Live::attempt, attempt)
        .set(Live::last_seq, seq)
        .set(Live::leased_seq, seq);
    let changed = live.update(moment, task, leased);
    assert!(changed == Changed::Done, "the task is locked");
    let task_id = task.get(session, Live::task_id);
    let asked = asked
        .find(moment, "task_pkey", [Key::is::<i64>(task_id)])
        .expect("a live task was asked for");
    let run_id = asked.get(session, Task::run_id);
    Ok(Leased {
        task_id,
        ready_seq: task.get(session, Live::ready_seq),
        lease_token,
        lease_expires_at,
        attempt,
        lost_leases: task.get(session, Live::lost_leases),
        name: asked.get(session, Task::name),
        key: asked.get(session, Task::key),
        payload: asked.get(session, Task::payload),
        run_id,
        item_index: asked.get(session, Task::item_index),
        metadata: asked.get(session, Task::metadata),
        run: run_id.map(|run_id| state_of_run(session, moment, run_id)),
    })
}

fn state_of_run(session: &Session, moment: &Moment, run_id: i64) -> RunState {
    let run = Run::read()
        .find(moment, "run_pkey", [Key::is(run_id)])
        .expect("a task's run is there");
    RunState::from_code(run.get(session, Run::state)).expect("the table holds known states only")
}

/// Leases these tasks, ready and locked by this transaction.
pub fn lease(session: &Session, task_ids: Vec<i64>, taker: &Taker) -> Vec<Leased> {
    let args = [
        task_ids.into(),
        taker.owner.into(),
        taker.ttl.into(),
        taker.max_runtime.into(),
    ];
    let mut tasks = LEASE.with(|s| {
        s.write(session, &args).all(|row| {
            let task_id = row.get();
            leased(task_id, row)
        })
    });
    tasks.sort_by_key(|task| task.ready_seq);
    tasks
}

/// Where a task stands.
#[derive(Clone)]
pub struct Place {
    pub queue_id: i32,
    pub step_id: Option<i64>,
    pub shard: Option<i16>,
    /// The task or run whose work it undoes.
    pub compensates: Option<i64>,
    /// Once it is completed, its step says how to undo that.
    pub compensable: bool,
    /// The keys of which it holds a slot while it is ready, running or compensating.
    pub slot_keys: Vec<i64>,
}

impl Place {
    pub fn read(row: &mut Row) -> Place {
        Place {
            queue_id: row.get(),
            step_id: row.get(),
            shard: row.get(),
            compensates: row.get(),
            compensable: row.get::<Option<bool>>().unwrap_or(false),
            slot_keys: row.get::<Option<Vec<i64>>>().unwrap_or_default(),
        }
    }
}

/// A live task under its lock.
pub struct Locked {
    pub task_id: i64,
    pub place: Place,
    pub state: State,
    pub owner: Option<String>,
    pub lease_expires_at: Option<Instant>,
    pub cancel_reason: Option<String>,
    pub expired: bool,
    /// Its `run_at`, if any, has come.
    pub due: bool,
    pub lease: Lease,
    pub backoff_base: Interval,
    pub backoff_max: Interval,
    /// Its queue is paused.
    pub paused: bool,
    pub lease_ttl: Interval,
    pub max_runtime: Option<Interval>,
    /// Compensations registered for what it has done.
    pub registrations: i32,
}

fn locked(row: &mut Row) -> Locked {
    let task_id = row.get();
    let place = Place::read(row);
    let state = state(row);
    let owner = row.get();
    let lease_expires_at = row.get();
    let attempt = row.get();
    let lost_leases = row.get();
    let started = row.get();
    let cancel_requested = row.get();
    let cancel_reason = row.get();
    let expired: Option<bool> = row.get();
    let timed_out = row.get();
    let due = row.get();
    let max_attempts = row.get();
    let max_lost_leases = row.get();
    let on_lost: String = row.get();
    Locked {
        task_id,
        place,
        state,
        owner,
        lease_expires_at,
        cancel_reason,
        expired: expired.unwrap_or(false),
        due,
        lease: Lease {
            attempt,
            max_attempts,
            lost_leases,
            max_lost_leases,
            started,
            cancel_requested,
            timed_out,
            on_lost: OnLost::parse(&on_lost).expect("the table holds known policies only"),
        },
        backoff_base: row.get(),
        backoff_max: row.get(),
        paused: row.get(),
        lease_ttl: row.get(),
        max_runtime: row.get(),
        registrations: row.get(),
    }
}

/// Locks a live task, whatever queues the caller may touch; `None`: others hold it.
pub fn lock_owner(session: &Session, task_id: i64) -> Option<Locked> {
    LOCK_OWNER.with(|s| s.write(session, &[task_id.into()]).first(locked))
}

/// Waits for the task's lock.
pub fn lock_by_id(session: &Session, task_id: i64) -> Option<Locked> {
    LOCK_BY_ID.with(|s| {
        s.write(session, &[task_id.into(), session.queues().into()])
            .first(locked)
    })
}

/// Waits for the task's lock; `None` unless the token is current.
pub fn lock_by_token(session: &Session, task_id: i64, token: i64) -> Option<Locked> {
    LOCK_BY_TOKEN.with(|s| {
        let args = [task_id.into(), token.into(), session.queues().into()];
        s.write(session, &args).first(locked)
    })
}

/// Up to `max` leases of a queue that have run out; never waits.
pub fn lock_overdue(session: &Session, queue: &str, queue_id: i32, max: i32) -> Vec<Locked> {
    let scan = floors::scan(Line::Overdue {
        queue: queue.to_owned(),
    });
    let args = [
        queue_id.into(),
        scan.start_time().into(),
        i64::from(max).into(),
    ];
    LOCK_OVERDUE.with(|s| s.write(session, &args).all(locked))
}

/// Up to `max` leases of an owner with tokens up to `up_to_token`; never waits.
pub fn lock_of_owner(session: &Session, owner: &str, up_to_token: i64, max: i32) -> Vec<Locked> {
    let args = [
        owner.into(),
        up_to_token.into(),
        i64::from(max).into(),
        session.queues().into(),
    ];
    LOCK_OF_OWNER.with(|s| s.write(session, &args).all(locked))
}

/// Moves the time to look at leases that heartbeats have extended; never waits.
pub fn touch_overdue(session: &Session, queue: &str, queue_id: i32) {
    let scan = floors::scan(Line::Overdue {
        queue: queue.to_owned(),
    });
    let args = [queue_id.into(), scan.start_time().into()];
    TOUCH_OVERDUE.with(|s| drop(s.write(session, &args)));
}

/// A scheduled task of a run, or with slot keys, whose time has come.
pub struct Due {
    pub task_id: i64,
    pub step_id: Option<i64>,
    pub slot_keys: Vec<i64>,
}

/// Makes due tasks ready; returns those that stand in a run, or need slots, locked.
pub fn promote(session: &Session, queue: &str, queue_id: i32, max: i32) -> Vec<Due> {
    let scan = floors::scan(Line::Scheduled {
        queue: queue.to_owned(),
    });
    let args = [
        queue_id.into(),
        scan.start_time().into(),
        i64::from(max).into(),
    ];
    PROMOTE.with(|s| {
        s.write(session, &args).all(|row| Due {
            task_id: row.get(),
            step_id: row.get(),
            slot_keys: row.get::<Option<Vec<i64>>>().unwrap_or_default(),
        })
    })
}

pub fn make_ready(session: &Session, task_id: i64) {
    MAKE_READY.with(|s| drop(s.write(session, &[task_id.into()])));
}

/// Blocked, in line for a slot of this key; `None`: until its run is resumed.
pub fn make_waiting(session: &Session, task_id: i64, slot_key: Option<i64>) {
    let args = [task_id.into(), slot_key.into(), false.into()];
    MAKE_WAITING.with(|s| drop(s.write(session, &args)));
}

/// Goes over from the line of one key to that of another, and keeps its place.
pub fn go_over(session: &Session, task_id: i64, slot_key: i64) {
    let args = [task_id.into(), Some(slot_key).into(), true.into()];
    MAKE_WAITING.with(|s| drop(s.write(session, &args)));
}

/// A task that may hold slots, with its queue.
pub type Holder = (i64, i32, Vec<i64>);

pub fn holder(row: &mut Row) -> Holder {
    (
        row.get(),
        row.get(),
        row.get::<Option<Vec<i64>>>().unwrap_or_default(),
    )
}

/// Takes back leases that this transaction has granted.
pub fn unlease(session: &Session, task_ids: Vec<i64>, state: State) -> Vec<Holder> {
    UNLEASE.with(|s| {
        s.write(session, &[task_ids.into(), state.code().into()])
            .all(holder)
    })
}

/// The new expiry, if the token is live and the task not started.
pub fn start(
    session: &Session,
    task_id: i64,
    token: i64,
    ttl: Option<Interval>,
) -> Option<Instant> {
    let args = [
        task_id.into(),
        token.into(),
        ttl.into(),
        session.queues().into(),
    ];
    START.with(|s| s.write(session, &args).first(|row| row.get()))
}

/// What a heartbeat by the holder of the current token came to.
pub struct Beat {
    pub live: bool,
    pub extended: bool,
    pub lease_expires_at: Instant,
    pub cancel_requested: bool,
}

/// Extends a live lease, never backward and never beyond the step's or the queue's max_runtime; `None`: the token is not current. Locks the task FOR
/// NO KEY UPDATE, and reads the clock once it is held: it may have run out meanwhile.
pub fn heartbeat(
    session: &Session,
    task_id: i64,
    token: i64,
    ttl: Option<Interval>,
) -> Option<Beat> {
    let moment = Moment::now();
    let live = Live::write();
    let current = |task: &LiveRow| is_held_by(session, task, token);
    let seen = find(&live, &moment, task_id).filter(current)?;
    let newest = live.lock(&moment, &seen, Strength::NoKeyUpdate, true);
    let task = newest.filter(current)?;
    let queue = queue_of(session, &moment, &task);
    let now = Instant(xact::clock());
    let expires: Instant = task.get(session, Live::lease_expires_at);
    let ttl = ttl.unwrap_or_else(|| queue.get(session, Queue::lease_ttl));
    let own: Option<Interval> = task.get(session, Live::max_runtime);
    let longest = own.or_else(|| queue.get(session, Queue::max_runtime));
    let mut extended = Instant(now.0 + micros(ttl));
    if let Some(longest) = longest {
        let leased: Instant = task.get(session, Live::leased_at);
        extended = extended.min(Instant(leased.0 + micros(longest)));
    }
    let cancel_requested: Option<Instant> = task.get(session, Live::cancel_requested_at);
    let mut beat = Beat {
        live: expires > now,
        extended: expires > now && extended > expires,
        lease_expires_at: expires,
        cancel_requested: cancel_requested.is_some(),
    };
    if beat.extended {
        beat.lease_expires_at = extended;
        let mut later = live.next_version(&task);
        later
            .set(Live::lease_expires_at, extended)
            .set(Live::heartbeat_at, now);
        let changed = live.update(&moment, &task, later);
        assert!(changed == Changed::Done, "the task is locked");
    }
    Some(beat)
}

pub fn find(live: &Table<Live>, moment: &Moment, task_id: i64) -> Option<LiveRow> {
    live.find(moment, "task_live_pkey", [Key::is(task_id)])
}

/// Whether the token is the current one, of a task that the caller may touch.
pub fn is_held_by(session: &Session, task: &LiveRow, token: i64) -> bool {
    task.get::<Option<i64>>(session, Live::lease_token) == Some(token)
        && session.may_touch(task.get(session, Live::queue_id))
}

fn queue_of(session: &Session, moment: &Moment, task: &LiveRow) -> table::Row<Queue> {
    let queue_id: i32 = task.get(session, Live::queue_id);
    Queue::read()
        .find(moment, "queue_pkey", [Key::is(queue_id)])
        .expect("a queue's row is never removed")
}

/// Whether the lease is unexpired; `None`: the token is not current.
pub fn require(session: &Session, task_id: i64, token: i64) -> Option<bool> {
    let args = [task_id.into(), token.into(), session.queues().into()];
    REQUIRE_LEASE.with(|s| s.write(session, &args).first(|row| row.get()))
}

/// What a worker reports at the end.
#[derive(Clone, Copy)]
pub struct Report<'a> {
    pub state: State,
    pub result: Option<Jsonb>,
    pub error: Option<Jsonb>,
    pub reason: Option<&'a str>,
}

impl<'a> Report<'a> {
    /// An end without a result.
    pub fn because(state: State, reason: &'a str) -> Report<'a> {
        Report {
            state,
            result: None,
            error: None,
            reason: Some(reason),
        }
    }
}

/// A task that its worker has ended.
pub struct Finalized {
    pub finalized_at: Instant,
    pub place: Place,
    /// The id drawn for the task that tells of this end.
    pub on_final_task_id: Option<i64>,
}

/// Where ends are written, opened once for all of a call.
pub struct Ends {
    live: Table<Live>,
    done: Table<Done>,
    /// The states of which a queue tells, by the queue, as the call first saw it.
    told: RefCell<HashMap<i32, Option<Vec<i16>>>>,
}

impl Ends {
    pub fn open() -> Ends {
        Ends {
            live: Live::write(),
            done: Done::write(),
            told: RefCell::default(),
        }
    }

    /// Whether its queue tells of such an end of this task.
    fn tells_of(&self, session: &Session, moment: &Moment, task: &LiveRow, state: State) -> bool {
        let queue_id = task.get(session, Live::queue_id);
        let mut told = self.told.borrow_mut();
        let told = told.entry(queue_id).or_insert_with(|| {
            queue_of(session, moment, task).get(session, Queue::on_final_states)
        });
        told.as_ref()
            .is_some_and(|states| states.contains(&state.code()))
            && task
                .get::<Option<i64>>(session, Live::on_final_of)
                .is_none()
    }
}

/// Ends the task if the token is current: the live row goes, the done row comes, and it is the final event. Not one that failed or was
/// cancelled with compensations registered: its work is undone first. Locks the task as DELETE does (FOR UPDATE).
pub fn finalize(
    session: &Session,
    ends: &Ends,
    task_id: i64,
    token: i64,
    report: &Report,
) -> Option<Finalized> {
    let moment = Moment::now();
    let (live, done) = (&ends.live, &ends.done);
    let mut task = find(live, &moment, task_id)?;
    loop {
        let registered = task
            .get::<Option<i32>>(session, Live::registrations)
            .is_some();
        if !is_held_by(session, &task, token) || registered && saga::is_undone(report.state, true) {
            return None;
        }
        match live.delete(&moment, &task) {
            Changed::Done => break,
            Changed::Gone => return None,
            Changed::Moved | Changed::Busy => {
                task = live.lock(&moment, &task, Strength::Update, true)?
            }
        }
    }
    let finalized_at = Instant(xact::clock());
    let tells = ends.tells_of(session, &moment, &task, report.state);
    let on_final_task_id = tells.then(|| table::next_value(c"id_seq"));
    let mut end = done.new_row();
    end.set(Done::task_id, task_id)
        .copy(Done::run_at, &task, Live::run_at)
        .set(Done::lease_token, token)
        .copy(Done::leased_at, &task, Live::leased_at)
        .copy(Done::heartbeat_at, &task, Live::heartbeat_at)
        .copy(Done::started_at, &task, Live::started_at)
        .copy(Done::cancel_requested_at, &task, Live::cancel_requested_at)
        .set(Done::finalized_at, finalized_at)
        .set(Done::last_seq, task.get::<i64>(session, Live::last_seq) + 1)
        .copy(Done::leased_seq, &task, Live::leased_seq)
        .copy(Done::step_id, &task, Live::step_id)
        .copy(Done::compensates, &task, Live::compensates)
        .copy(Done::max_runtime, &task, Live::max_runtime)
        .copy(Done::on_final_of, &task, Live::on_final_of)
        .set(Done::on_final_task_id, on_final_task_id)
        .copy(Done::queue_id, &task, Live::queue_id)
        .copy(Done::attempt, &task, Live::attempt)
        .copy(Done::lost_leases, &task, Live::lost_leases)
        .set(Done::state, report.state.code())
        .copy(Done::shard, &task, Live::shard)
        .copy(Done::compensable, &task, Live::compensable)
        .set(Done::ended_by_lease, true)
        .copy(Done::slot_keys, &task, Live::slot_keys)
        .copy(Done::owner, &task, Live::owner)
        .set(Done::reason, report.reason)
        .set(Done::result, report.result)
        .set(Done::error, report.error);
    done.insert(end);
    Some(Finalized {
        finalized_at,
        on_final_task_id,
        place: Place {
            queue_id: task.get(session, Live::queue_id),
            step_id: task.get(session, Live::step_id),
            shard: task.get(session, Live::shard),
            compensates: task.get(session, Live::compensates),
            compensable: task
                .get::<Option<bool>>(session, Live::compensable)
                .unwrap_or(false),
            slot_keys: task
                .get::<Option<Vec<i64>>>(session, Live::slot_keys)
                .unwrap_or_default(),
        },
    })
}

/// Ends a task that this transaction has locked; returns the id drawn for the task that tells of it.
pub fn end_task(
    session: &Session,
    task_id: i64,
    report: &Report,
    by_lease: bool,
    lost: bool,
) -> Option<i64> {
    let args = [
        task_id.into(),
        report.state.code().into(),
        report.reason.map(str::to_owned).into(),
        report.result.into(),
        report.error.into(),
        by_lease.into(),
        lost.into(),
    ];
    END_TASK
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .expect("the task is locked by this transaction")
}

/// How a lease ends while its task lives on.
pub struct GivenBack {
    /// The attempt stays counted.
    pub used: bool,
    pub loss_counted: bool,
    pub delay: Interval,
    pub event: &'static str,
    pub error: Option<Jsonb>,
    /// Its holder gave it back: a replay is answered the same.
    pub by_lease: bool,
}

/// Ends the lease of a running task that this transaction has locked; returns its `run_at`.
pub fn end_lease(session: &Session, task_id: i64, state: State, given_back: &GivenBack) -> Instant {
    let args = [
        task_id.into(),
        state.code().into(),
        given_back.used.into(),
        given_back.loss_counted.into(),
        given_back.delay.into(),
        given_back.event.into(),
        given_back.error.into(),
        given_back.by_lease.into(),
    ];
    END_LEASE
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .expect("the task is locked by this transaction")
}

/// What a lease was answered when it was given back.
pub struct Settled {
    pub kind: String,
    pub run_at: Instant,
    pub at: Instant,
    /// The task was blocked, because its run was paused.
    pub blocked: bool,
}

pub fn settled(session: &Session, task_id: i64, token: i64) -> Option<Settled> {
    SETTLED.with(|s| {
        s.write(session, &[task_id.into(), token.into()])
            .first(|row| Settled {
                kind: row.get(),
                run_at: row.get(),
                at: row.get(),
                blocked: row.get(),
            })
    })
}

pub fn request_cancel(session: &Session, task_id: i64, reason: Option<&str>, role: &str) {
    let args = [
        task_id.into(),
        reason.map(str::to_owned).into(),
        role.into(),
    ];
    REQUEST_CANCEL.with(|s| drop(s.write(session, &args)));
}
