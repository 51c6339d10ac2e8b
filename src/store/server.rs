//! Whose ids and tokens these are: see `model::server`.

use crate::model::server::{mark, onward};
use crate::pg::table::{is_there, last_value, set_value};
use crate::pg::xact;
use crate::pg::{lock, server};
use std::cell::Cell;
use std::ffi::CStr;

/// The mark of the server that draws them. A sequence: its value is known to all at once, whatever becomes of the transaction; it is in the
/// log before what is drawn next, and in every dump.
const MARK: &CStr = c"server_seq";
const DRAWN: [&CStr; 2] = [c"token_seq", c"id_seq"];

thread_local! {
    /// The installation for which this backend has looked.
    static LOOKED: Cell<u32> = const { Cell::new(0) };
}

/// Before a call draws anything: sends ids and tokens ahead if this server has not drawn the last ones.
pub fn go_on() {
    let home = xact::home();
    if LOOKED.get() == home {
        return;
    }
    if !is_there(MARK) {
        return; // A schema of 0.1.0, until ALTER EXTENSION … UPDATE.
    }
    let here = mark(server::started(), server::database(), home);
    if last_value(MARK) != here {
        lock::one_at_a_time(MARK, || {
            if last_value(MARK) == here {
                return;
            }
            // (Of one that was never used, nobody knows a value.)
            for sequence in DRAWN.into_iter().filter(|drawn| last_value(drawn) > 0) {
                set_value(sequence, onward(last_value(sequence), xact::clock()));
            }
            set_value(MARK, here);
        });
    }
    LOOKED.set(home);
}
