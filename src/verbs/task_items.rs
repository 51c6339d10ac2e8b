use super::access;
use super::args::{self, Checked, answer};
use crate::model::limits;
use crate::pg::datum::{Jsonb, Text};
use crate::store::task::{self, Item};
use pgrx::prelude::*;

/// A group's items with their results, in order, a page at a time.
///
/// Arguments: `run_id`; `name` (of the group); `after_index` (the last index of the page before; -1: from the first);
/// `max_items` (1 to 100000).
///
/// Errors: 22004, 22023, 54000 (max_items).
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn task_items(
    run_id: Option<i64>,
    name: Option<Text>,
    after_index: default!(Option<i32>, "-1"),
    max_items: default!(Option<i32>, "1000"),
) -> TableIterator<
    'static,
    (
        name!(item_index, i32),
        name!(task_id, i64),
        name!(state, String),
        name!(result, Option<Jsonb>),
        name!(error, Option<Jsonb>),
    ),
> {
    let session = access::reader();
    let items = || -> Checked<Vec<Item>> {
        let run_id = args::required("run_id", run_id)?;
        let name = args::required_word("name", name)?;
        let after = args::required("after_index", after_index)?;
        let max = args::max_rows("max_items", max_items, limits::ITEMS as i32)?;
        Ok(task::items(&session, run_id, &name, after, max))
    };
    TableIterator::new(answer(items()))
}
