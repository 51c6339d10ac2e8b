//! The event tape.

use crate::pg::datum::{Instant, Jsonb};
use crate::pg::session::Session;
use crate::statements;

statements! {
    APPEND_EVENT = "append_event.sql",
    APPEND_EVENTS = "append_events.sql",
    LOCK_TAPE = "lock_tape.sql",
    BY_DEDUP_KEY = "events_by_dedup_key.sql",
    EVENTS = "task_events.sql",
}

/// (seq, at, cancel requested), if the task is live, the token current, and the tape not full.
pub fn append(
    session: &Session,
    task_id: i64,
    token: Option<i64>,
    kind: &str,
    body: Option<Jsonb>,
    dedup_key: Option<String>,
    max_events: i64,
) -> Option<(i64, Instant, bool)> {
    let args = [
        task_id.into(),
        token.into(),
        kind.into(),
        body.into(),
        dedup_key.into(),
        max_events.into(),
        session.queues().into(),
    ];
    APPEND_EVENT.with(|s| {
        s.write(session, &args)
            .first(|row| (row.get(), row.get(), row.get()))
    })
}

/// (first seq, last seq), on the same conditions.
pub fn append_many(
    session: &Session,
    task_id: i64,
    token: Option<i64>,
    kinds: Vec<String>,
    bodies: Vec<Option<Jsonb>>,
    dedup_keys: Vec<Option<String>>,
    max_events: i64,
) -> Option<(i64, i64)> {
    let args = [
        task_id.into(),
        token.into(),
        kinds.into(),
        bodies.into(),
        dedup_keys.into(),
        max_events.into(),
        session.queues().into(),
    ];
    APPEND_EVENTS.with(|s| s.write(session, &args).first(|row| (row.get(), row.get())))
}

/// Holds a live task's tape still until the transaction ends.
pub fn lock(session: &Session, task_id: i64) {
    LOCK_TAPE.with(|s| drop(s.write(session, &[task_id.into(), session.queues().into()])));
}

/// (seq, at) of the events that bear one of these keys.
pub fn by_dedup_key(session: &Session, task_id: i64, keys: Vec<String>) -> Vec<(i64, Instant)> {
    let args = [task_id.into(), keys.into(), session.queues().into()];
    BY_DEDUP_KEY.with(|s| s.write(session, &args).all(|row| (row.get(), row.get())))
}

/// (seq, kind, body, at, lease token)
pub type Event = (i64, String, Option<Jsonb>, Instant, Option<i64>);

pub fn events(session: &Session, task_id: i64, after_seq: i64, max: i32) -> Vec<Event> {
    let args = [
        task_id.into(),
        after_seq.into(),
        i64::from(max).into(),
        session.queues().into(),
    ];
    EVENTS.with(|s| {
        s.read(session, &args)
            .all(|row| (row.get(), row.get(), row.get(), row.get(), row.get()))
    })
}
