//! The event tape.

use crate::pg::datum::{Instant, Jsonb};
use crate::pg::session::Session;
use crate::pg::table::{Changed, Columns, Moment, Strength};
use crate::pg::xact;
use crate::statements;
use crate::store::lease;
use crate::store::tables::{Event, Live};

statements! {
    LOCK_TAPE = "lock_tape.sql",
    BY_DEDUP_KEY = "events_by_dedup_key.sql",
    EVENTS = "task_events.sql",
}

/// An event to be appended.
pub struct New {
    pub kind: String,
    pub body: Option<Jsonb>,
    pub dedup_key: Option<String>,
}

/// The last of the events that were appended.
pub struct Appended {
    pub seq: i64,
    pub at: Instant,
    pub cancel_requested: bool,
}

/// The next events of a live task's tape, all of them or (`None`) none: if the token is not current (where one is given), or there is
/// no room. Locks the task as UPDATE does (FOR NO KEY UPDATE), so seq is dense and in commit order.
pub fn append(
    session: &Session,
    task_id: i64,
    token: Option<i64>,
    new: &[New],
    max_events: i64,
) -> Option<Appended> {
    let moment = Moment::now();
    let live = Live::write();
    let mut task = lease::find(&live, &moment, task_id)?;
    let mut seq = loop {
        let current = match token {
            Some(token) => lease::is_held_by(session, &task, token),
            None => session.may_touch(task.get(session, Live::queue_id)),
        };
        let last_seq: i64 = task.get(session, Live::last_seq);
        let next_seq = last_seq + new.len() as i64;
        if !current || next_seq > max_events {
            return None;
        }
        let mut next = live.next_version(&task);
        next.set(Live::last_seq, next_seq);
        match live.update(&moment, &task, next) {
            Changed::Done => break last_seq,
            Changed::Gone => return None,
            Changed::Moved | Changed::Busy => {
                task = live.lock(&moment, &task, Strength::NoKeyUpdate, true)?
            }
        }
    };
    let events = Event::write();
    let mut at = Instant(xact::clock());
    for new in new {
        seq += 1;
        at = Instant(xact::clock());
        let mut event = events.new_row();
        event
            .set(Event::tape_id, task_id)
            .set(Event::seq, seq)
            .set(Event::at, at)
            .set(Event::lease_token, token)
            .set(Event::kind, new.kind.as_str())
            .set(Event::dedup_key, new.dedup_key.as_deref())
            .set(Event::body, new.body);
        events.insert(event);
    }
    let cancel_requested: Option<Instant> = task.get(session, Live::cancel_requested_at);
    Some(Appended {
        seq,
        at,
        cancel_requested: cancel_requested.is_some(),
    })
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
pub type Read = (i64, String, Option<Jsonb>, Instant, Option<i64>);

pub fn events(session: &Session, task_id: i64, after_seq: i64, max: i32) -> Vec<Read> {
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
