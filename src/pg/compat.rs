//! What differs between the versions of PostgreSQL. A tidy test sees to it that nothing else asks which one it is.

use pgrx::prelude::*;
use std::ffi::c_int;
use std::ptr;

/// Into which indexes the new version of a row must be entered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// The entries of the old version lead to it.
    None,
    /// Those that know pages rather than rows (BRIN).
    Summarizing,
    All,
}

pub unsafe fn table_tuple_update(
    relation: pg_sys::Relation,
    row: pg_sys::ItemPointer,
    new: *mut pg_sys::TupleTableSlot,
    snapshot: pg_sys::Snapshot,
    failure: &mut pg_sys::TM_FailureData,
) -> (pg_sys::TM_Result::Type, Stale) {
    let (mut mode, mut indexes) = Default::default();
    let result = pg_sys::table_tuple_update(
        relation,
        row,
        new,
        pg_sys::GetCurrentCommandId(true),
        snapshot,
        ptr::null_mut(),
        true,
        failure,
        &mut mode,
        &mut indexes,
    );
    #[cfg(feature = "pg15")]
    let stale = if indexes { Stale::All } else { Stale::None };
    #[cfg(not(feature = "pg15"))]
    let stale = match indexes {
        pg_sys::TU_UpdateIndexes::TU_None => Stale::None,
        pg_sys::TU_UpdateIndexes::TU_Summarizing => Stale::Summarizing,
        _ => Stale::All,
    };
    (result, stale)
}

/// Whether an index is one of [`Stale::Summarizing`]; 15 makes no difference.
pub unsafe fn is_summarizing(_index: *const pg_sys::IndexInfo) -> bool {
    #[cfg(feature = "pg15")]
    return true;
    #[cfg(not(feature = "pg15"))]
    return (*_index).ii_Summarizing;
}

/// Lets go of what an index has kept for the next insertion; before 17 none held anything.
pub unsafe fn end_insertions(_relation: pg_sys::Relation, _index: *mut pg_sys::IndexInfo) {
    #[cfg(not(any(feature = "pg15", feature = "pg16")))]
    if !(*_index).ii_AmCache.is_null() {
        pg_sys::index_insert_cleanup(_relation, _index);
    }
}

pub unsafe fn index_beginscan(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    keys: usize,
) -> pg_sys::IndexScanDesc {
    pg_sys::index_beginscan(
        table,
        index,
        snapshot,
        #[cfg(feature = "pg18")]
        ptr::null_mut(), // nobody counts
        keys as c_int,
        0,
    )
}

/// The column at this place, from 0.
pub unsafe fn attribute<'a>(
    description: pg_sys::TupleDesc,
    place: usize,
) -> &'a pg_sys::FormData_pg_attribute {
    #[cfg(not(feature = "pg18"))]
    return &(*description).attrs.as_slice((*description).natts as usize)[place];
    #[cfg(feature = "pg18")]
    return &*pg_sys::TupleDescAttr(description, place as c_int);
}

/// Whether a row must hold against the constraint; there are some that only say what should be, since 18.
pub fn is_enforced(_check: &pg_sys::ConstrCheck) -> bool {
    #[cfg(not(feature = "pg18"))]
    return true;
    #[cfg(feature = "pg18")]
    return _check.ccenforced;
}
