use super::args::{self, Checked, answer};
use super::{access, items, slots};
use crate::model::access::Capability::Operate;
use crate::model::limits;
use crate::pg::datum::Text;
use crate::pg::session::Session;
use crate::pg::xact;
use crate::store::slot;
use pgrx::prelude::*;

/// Sets how many tasks with a slot key may be at work at once: the key is new, or its capacity is changed while tasks run. What is
/// added goes to who is in line at once. Lowering takes nothing from who holds a slot: while more are held than the new capacity, the key drains.
///
/// Arguments: `slot_key` (1 to 255 bytes); `capacity` (0 to 100000; 0: its tasks wait).
///
/// Needs `operate` in all queues.
///
/// Errors: 22004, 22023.
///
/// Locks: the key's row, waiting for who sets it, too, uses it for the first time, or takes slots away from it; then slots and those who wait for them, with SKIP LOCKED.
#[pg_extern(volatile, parallel_unsafe)]
fn slot_set(slot_key: Option<Text>, capacity: Option<i32>) {
    let session = access::verb(c"slot_set()", &[Operate]);
    let set = || -> Checked<()> {
        access::everywhere(&session, Operate)?;
        let name = args::required_word("slot_key", slot_key)?;
        let capacity = args::required("capacity", capacity)?;
        let capacity = args::in_range("capacity", capacity, 0, limits::CAPACITY)?;
        set(&session, &name, capacity);
        Ok(())
    };
    answer(set());
}

fn set(session: &Session, name: &str, capacity: i32) {
    xact::force_id();
    let (slot_key, lacks) = slot::set(session, name, capacity);
    if lacks > 0 {
        slot::add(session, slot_key, lacks);
    }
    for slot_key in slots::changed(session, slot_key).dry {
        items::next_batch_of_key(session, slot_key);
    }
}
