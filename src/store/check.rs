//! The invariants, asked of the tables.

use crate::pg::session::Session;
use crate::statements;

statements! {
    CHECK = "baton_check.sql",
}

/// (invariant, object, its id, detail)
pub type Broken = (String, String, i64, String);

pub fn broken(session: &Session, full: bool) -> Vec<Broken> {
    CHECK.with(|s| {
        s.read_planned_here(session, &[full.into()])
            .all(|row| (row.get(), row.get(), row.get(), row.get()))
    })
}
