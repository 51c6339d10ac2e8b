//! The triggers on the tables.

use super::error::Misuse;
use super::{roles, session};
use pgrx::prelude::*;

/// Refuses a statement on a table of the extension unless one of its functions is at work. A statement
/// trigger: see sql/install/schema.sql.
#[pg_trigger(sql = false)]
fn only_the_functions_write<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, std::convert::Infallible> {
    if !session::is_open() {
        let table = trigger.relation().map(|table| table.name().to_owned());
        let table = table.unwrap_or_default();
        Misuse::wrong_state(format!(
            "table \"baton.{table}\" is written by functions only"
        ))
        .detail("A direct change would break what the functions promise.")
        .hint("Use the functions of pg_baton.")
        .raise();
    }
    Ok(None)
}

/// After a change of who may do what: every backend forgets what it knew.
#[pg_trigger(sql = false)]
fn capabilities_changed<'a>(
    trigger: &'a PgTrigger<'a>,
) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, std::convert::Infallible> {
    if let Ok(table) = trigger.relation() {
        roles::announce(table.oid());
    }
    Ok(None)
}
