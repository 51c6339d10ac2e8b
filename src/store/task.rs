//! Tasks: created, found, read.

use crate::model::outcome::Found;
use crate::model::state::State;
use crate::pg::datum::{Instant, Jsonb};
use crate::pg::session::Session;
use crate::pg::statement::{Row, Rows};
use crate::pg::table::{self, Columns, Key, Moment, Table};
use crate::pg::xact;
use crate::statements;
use crate::store::step;
use crate::store::tables::{Live, Queue, Task};
use std::collections::HashSet;

statements! {
    CREATE = "task_create.sql",
    CREATE_MANY = "task_create_many.sql",
    BY_KEY = "task_by_key.sql",
    FOUND = "found.sql",
    IS_LIVE = "task_is_live.sql",
    FINALIZED_SAME = "finalized_same.sql",
    REASON = "done_reason.sql",
    GET = "task_get.sql",
    GET_BY_KEY = "task_get_by_key.sql",
    ITEMS = "task_items.sql",
    HOLD_ENDED = "hold_ended.sql",
    LIST = "task_list.sql",
    LIST_RUN = "task_list_run.sql",
    ANNOTATE_FENCE = "annotate_fence.sql",
    ANNOTATE_LOCK = "annotate_lock.sql",
    ANNOTATE = "annotate.sql",
    ANNOTATIONS = "task_annotations.sql",
}

/// What is asked for.
pub struct New {
    pub queue: String,
    pub payload: Jsonb,
    pub name: Option<String>,
    pub key: Option<String>,
    pub priority: i16,
    pub run_at: Option<Instant>,
    pub max_attempts: Option<i32>,
    pub metadata: Jsonb,
}

/// A new task, and its queue.
pub struct Created {
    pub lanes: i32,
    pub task_id: i64,
    pub state: State,
}

pub fn state(row: &mut Row) -> State {
    let code: i16 = row.get();
    State::from_code(code).expect("the table holds known states only")
}

/// Where a new task with slot keys stands.
pub struct Placed<'a> {
    pub task_id: i64,
    pub slot_keys: &'a [i64],
    pub state: State,
    /// The key in whose line it stands.
    pub waits_for: Option<i64>,
}

/// `None`: the queue of that name is not the one that is held, or the key is taken. Takes no lock but the new rows' own (with a key it waits for
/// another transaction that is creating the same one).
pub fn create(
    session: &Session,
    queue_id: i32,
    new: &New,
    placed: Option<&Placed>,
) -> Option<Created> {
    match new.key {
        Some(_) => create_with_key(session, queue_id, new, placed),
        None => create_plain(session, queue_id, new, placed),
    }
}

/// A task without a key: nobody else can be creating the same.
fn create_plain(
    session: &Session,
    queue_id: i32,
    new: &New,
    placed: Option<&Placed>,
) -> Option<Created> {
    let moment = Moment::now();
    let queue = Queue::read().find(&moment, "queue_pkey", [Key::is(queue_id)])?;
    let dropped: Option<Instant> = queue.get(session, Queue::dropped_at);
    if dropped.is_some() || queue.get::<String>(session, Queue::name) != new.queue {
        return None;
    }
    let task_id = placed.map_or_else(step::next_id, |placed| placed.task_id);
    let slot_keys = placed.map(|placed| placed.slot_keys.to_vec());
    let now = Instant(xact::clock());
    let asked = new.max_attempts;
    let max_attempts = asked.unwrap_or_else(|| queue.get(session, Queue::max_attempts));
    let state = match placed {
        Some(placed) => placed.state,
        None => state_at(new.run_at, now),
    };
    let row = NewTask {
        task_id,
        now,
        queue_id,
        max_attempts,
        priority: new.priority,
        slot_keys,
        name: new.name.as_deref(),
        payload: new.payload,
        metadata: new.metadata,
        run_at: new.run_at,
        state,
        waits_for: placed.and_then(|placed| placed.waits_for),
    };
    row.insert(&Task::write(), &Live::write());
    Some(Created {
        lanes: queue.get(session, Queue::lanes),
        task_id,
        state,
    })
}

fn state_at(run_at: Option<Instant>, now: Instant) -> State {
    if run_at.is_some_and(|run_at| run_at > now) {
        State::Scheduled
    } else {
        State::Ready
    }
}

/// A new task as its two rows have it.
struct NewTask<'a> {
    task_id: i64,
    now: Instant,
    queue_id: i32,
    max_attempts: i32,
    priority: i16,
    slot_keys: Option<Vec<i64>>,
    name: Option<&'a str>,
    payload: Jsonb,
    metadata: Jsonb,
    run_at: Option<Instant>,
    state: State,
    waits_for: Option<i64>,
}

impl NewTask<'_> {
    fn insert(self, tasks: &Table<Task>, lives: &Table<Live>) {
        let mut task = tasks.new_row();
        task.set(Task::task_id, self.task_id)
            .set(Task::created_at, self.now)
            .set(Task::queue_id, self.queue_id)
            .set(Task::max_attempts, self.max_attempts)
            .set(Task::priority, self.priority)
            .set(Task::slot_keys, self.slot_keys.clone())
            .set(Task::name, self.name)
            .set(Task::payload, self.payload)
            .set(Task::metadata, self.metadata);
        tasks.insert(task);
        let ready_at = (self.state == State::Ready).then_some(self.now);
        let mut live = lives.new_row();
        live.set(Live::task_id, self.task_id)
            .set(Live::slot_keys, self.slot_keys)
            .set(Live::waits_for, self.waits_for)
            .set(Live::ready_seq, table::next_value(c"ready_seq"))
            .set(Live::ready_at, ready_at)
            .set(Live::run_at, self.run_at)
            .set(Live::last_seq, 0i64)
            .set(Live::queue_id, self.queue_id)
            .set(Live::attempt, 0)
            .set(Live::lost_leases, 0)
            .set(Live::state, self.state.code())
            .set(Live::priority, self.priority);
        lives.insert(live);
    }
}

fn create_with_key(
    session: &Session,
    queue_id: i32,
    new: &New,
    placed: Option<&Placed>,
) -> Option<Created> {
    let args = [
        new.queue.as_str().into(),
        new.payload.into(),
        new.name.clone().into(),
        new.key.clone().into(),
        new.priority.into(),
        new.run_at.into(),
        new.max_attempts.into(),
        new.metadata.into(),
        queue_id.into(),
        placed.map(|placed| placed.slot_keys.to_vec()).into(),
        placed.map(|placed| placed.task_id).into(),
        placed.map(|placed| placed.state.code()).into(),
        placed.and_then(|placed| placed.waits_for).into(),
    ];
    CREATE.with(|s| {
        s.write(session, &args).first(|row| Created {
            lanes: row.get(),
            task_id: row.get(),
            state: state(row),
        })
    })
}

/// What is asked for, many times over.
pub struct NewMany {
    pub queue_id: i32,
    pub payloads: Vec<Jsonb>,
    pub name: Option<String>,
    pub keys: Option<Vec<Option<String>>>,
    pub priority: i16,
    pub run_at: Option<Instant>,
    pub max_attempts: i32,
    pub slot_keys: Vec<i64>,
}

/// (ordinal, task id) of those that were created. Takes no lock but the new rows' own (with keys it waits for other transactions that are
/// creating the same ones).
pub fn create_many(session: &Session, new: &NewMany) -> Vec<(i64, i64)> {
    if new.keys.is_some() || !new.slot_keys.is_empty() {
        return create_many_with_keys(session, new);
    }
    let _moment = Moment::now();
    let (tasks, lives) = (Task::write(), Live::write());
    let metadata = Jsonb::empty_object();
    let mut created = Vec::new();
    for (ordinal, payload) in (1..).zip(&new.payloads) {
        let (task_id, now) = (step::next_id(), Instant(xact::clock()));
        let row = NewTask {
            task_id,
            now,
            queue_id: new.queue_id,
            max_attempts: new.max_attempts,
            priority: new.priority,
            slot_keys: None,
            name: new.name.as_deref(),
            payload: *payload,
            metadata,
            run_at: new.run_at,
            state: state_at(new.run_at, now),
            waits_for: None,
        };
        row.insert(&tasks, &lives);
        created.push((ordinal, task_id));
    }
    created
}

fn create_many_with_keys(session: &Session, new: &NewMany) -> Vec<(i64, i64)> {
    let args = [
        new.queue_id.into(),
        new.payloads.clone().into(),
        new.name.clone().into(),
        new.priority.into(),
        new.run_at.into(),
        new.max_attempts.into(),
        if new.slot_keys.is_empty() {
            State::Ready
        } else {
            State::Blocked
        }
        .code()
        .into(),
        Jsonb::empty_object().into(),
        new.keys.clone().into(),
        (!new.slot_keys.is_empty())
            .then(|| new.slot_keys.clone())
            .into(),
    ];
    let (mut asked, mut created) = (Vec::new(), HashSet::new());
    CREATE_MANY.with(|s| {
        s.write(session, &args)
            .all(|row| match (row.get::<Option<i64>>(), row.get::<i64>()) {
                (Some(ordinal), task_id) => asked.push((ordinal, task_id)),
                (None, task_id) => drop(created.insert(task_id)),
            })
    });
    asked.retain(|(_, task_id)| created.contains(task_id));
    asked
}

/// The holder of a key: its id, its state, and whether its payload is this one.
pub fn by_key(
    session: &Session,
    queue_id: i32,
    key: &str,
    payload: Jsonb,
) -> Option<(i64, State, bool)> {
    BY_KEY.with(|s| {
        s.write(session, &[queue_id.into(), key.into(), payload.into()])
            .first(|row| (row.get(), state(row), row.get()))
    })
}

/// A task as it stands, for the answer to a call that came too late.
pub struct Standing {
    pub found: Found,
    pub last_seq: i64,
    pub lease_expires_at: Option<Instant>,
    pub cancel_requested: bool,
    pub finalized_at: Option<Instant>,
}

pub fn find(session: &Session, task_id: i64) -> Option<Standing> {
    FOUND.with(|s| {
        s.write(session, &[task_id.into(), session.queues().into()])
            .first(|row| Standing {
                found: Found {
                    state: state(row),
                    lease_token: row.get(),
                    ended_by_lease: row.get(),
                    expired: row.get(),
                    started: row.get(),
                },
                last_seq: row.get(),
                lease_expires_at: row.get(),
                cancel_requested: row.get(),
                finalized_at: row.get(),
            })
    })
}

/// Whether a task has not ended.
pub fn is_live(session: &Session, task_id: i64) -> bool {
    IS_LIVE
        .with(|s| s.write(session, &[task_id.into()]).first(|row| row.get()))
        .expect("one row")
}

/// Whether a task ended with these very values.
pub fn finalized_same(
    session: &Session,
    task_id: i64,
    state: State,
    result: Option<Jsonb>,
    error: Option<Jsonb>,
    reason: Option<&str>,
) -> bool {
    let args = [
        task_id.into(),
        state.code().into(),
        result.into(),
        error.into(),
        reason.map(str::to_owned).into(),
    ];
    FINALIZED_SAME
        .with(|s| s.write(session, &args).first(|row| row.get()))
        .unwrap_or(false)
}

/// A task, whole: the columns of `task_get`, which reads them in its own order.
pub fn get<T>(session: &Session, task_id: i64, read: impl FnOnce(&mut Row) -> T) -> Option<T> {
    let args = [task_id.into(), session.queues().into()];
    GET.with(|s| s.read(session, &args).first(|row| read(row)))
}

pub fn get_by_key<T>(
    session: &Session,
    queue: &str,
    key: &str,
    read: impl FnOnce(&mut Row) -> T,
) -> Option<T> {
    GET_BY_KEY.with(|s| {
        let args = [queue.into(), key.into(), session.queues().into()];
        s.read(session, &args).first(|row| read(row))
    })
}

/// (index, task, state, result, error)
pub type Item = (i32, i64, String, Option<Jsonb>, Option<Jsonb>);

pub fn items(session: &Session, run_id: i64, name: &str, after: i32, max: i32) -> Vec<Item> {
    let args = [
        run_id.into(),
        name.into(),
        after.into(),
        i64::from(max).into(),
        session.queues().into(),
    ];
    let read = |rows: Rows| rows.all(|row| (row.get(), row.get(), row.get(), row.get(), row.get()));
    ITEMS.with(|s| read(s.read(session, &args)))
}

/// Why a task ended.
pub fn reason(session: &Session, task_id: i64) -> Option<String> {
    REASON
        .with(|s| s.write(session, &[task_id.into()]).first(|row| row.get()))
        .flatten()
}

/// A task that has ended, kept from being purged.
pub struct Ended {
    pub state: State,
    pub queue_id: i32,
    pub in_run: bool,
}

/// `None`: it is live, or gone.
pub fn hold_ended(session: &Session, task_id: i64) -> Option<Ended> {
    let args = [task_id.into(), session.queues().into()];
    HOLD_ENDED.with(|s| {
        s.write(session, &args).first(|row| Ended {
            state: state(row),
            queue_id: row.get(),
            in_run: row.get(),
        })
    })
}

/// Which tasks a list shows.
pub struct Filter {
    pub queue: Option<String>,
    pub states: Vec<State>,
    pub name: Option<String>,
    pub owner: Option<String>,
    pub run_id: Option<i64>,
    pub before_task_id: i64,
    pub max_tasks: i32,
}

/// A page of the newest tasks, in any order: the columns of `task_list`, which reads them in its own order.
pub fn list<T>(session: &Session, filter: &Filter, read: fn(&mut Row) -> T) -> Vec<T> {
    let codes = |terminal: bool| -> Vec<i16> {
        let states = filter.states.iter().copied();
        // Only a running task has an owner.
        states
            .filter(|state| state.is_terminal() == terminal)
            .filter(|state| filter.owner.is_none() || *state == State::Running)
            .map(State::code)
            .collect()
    };
    let mut args = vec![
        filter.queue.clone().into(),
        codes(false).into(),
        codes(true).into(),
        filter.name.clone().into(),
        filter.before_task_id.into(),
        filter.owner.clone().into(),
        i64::from(filter.max_tasks).into(),
        session.queues().into(),
    ];
    match filter.run_id {
        None => LIST.with(|s| s.read(session, &args).all(read)),
        Some(run_id) => {
            args.push(run_id.into());
            LIST_RUN.with(|s| s.read(session, &args).all(read))
        }
    }
}

/// Whether the token is current; then it stays so until the transaction ends.
pub fn annotate_fence(session: &Session, task_id: i64, token: i64) -> bool {
    let args = [task_id.into(), token.into(), session.queues().into()];
    ANNOTATE_FENCE.with(|s| s.write(session, &args).len() == 1)
}

/// The task's metadata with `metadata` merged into it, and whether that is a change; held still.
pub fn annotate_lock(session: &Session, task_id: i64, metadata: Jsonb) -> Option<(Jsonb, bool)> {
    let args = [task_id.into(), metadata.into(), session.queues().into()];
    ANNOTATE_LOCK.with(|s| s.write(session, &args).first(|row| (row.get(), row.get())))
}

/// `false`: there are `max` changes already.
pub fn annotate(
    session: &Session,
    task_id: i64,
    merged: Jsonb,
    metadata: Jsonb,
    role: &str,
    max: i64,
) -> bool {
    let args = [
        task_id.into(),
        merged.into(),
        metadata.into(),
        role.into(),
        max.into(),
    ];
    ANNOTATE.with(|s| s.write(session, &args).len() == 1)
}

/// (at, role, metadata)
pub type Annotation = (Instant, String, Jsonb);

pub fn annotations(session: &Session, task_id: i64) -> Vec<Annotation> {
    let args = [task_id.into(), session.queues().into()];
    let read = |rows: Rows| rows.all(|row| (row.get(), row.get(), row.get()));
    ANNOTATIONS.with(|s| read(s.read(session, &args)))
}
