//! Kept plans: each statement file is prepared once per backend, with a generic plan, and planned
//! where the caller's planner settings cannot spoil it.

use super::datum::{Instant, Jsonb, JsonbArray, Places, QueueIds};
use super::session::{GucNest, Session};
use pgrx::memcxt::PgMemoryContexts;
use pgrx::prelude::*;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::OnceLock;

/// One SQL statement, from one file.
pub struct Statement {
    sql: &'static str,
    options: Cell<u32>,
    plan: Cell<pg_sys::SPIPlanPtr>,
}

/// An argument: its type and its value.
pub struct Arg {
    oid: pg_sys::Oid,
    datum: Option<pg_sys::Datum>,
}

macro_rules! arg_from {
    ($($rust:ty),*) => {$(
        impl From<$rust> for Arg {
            fn from(value: $rust) -> Arg {
                Arg { oid: <$rust as IntoDatum>::type_oid(), datum: value.into_datum() }
            }
        }
        impl From<Option<$rust>> for Arg {
            fn from(value: Option<$rust>) -> Arg {
                Arg { oid: <$rust as IntoDatum>::type_oid(), datum: value.into_datum() }
            }
        }
    )*};
}

arg_from!(
    bool, i16, i32, i64, f64, &str, String, Jsonb, Instant, Interval
);
arg_from!(
    Vec<i16>,
    Vec<i32>,
    Vec<i64>,
    Vec<Option<String>>,
    Vec<String>,
    Vec<Option<i64>>
);
arg_from!(
    Vec<Jsonb>,
    Vec<Option<Jsonb>>,
    Vec<bool>,
    Vec<Option<i32>>,
    JsonbArray,
    Places
);

impl From<Option<&QueueIds>> for Arg {
    fn from(value: Option<&QueueIds>) -> Arg {
        Arg {
            oid: pg_sys::INT4ARRAYOID,
            datum: value.map(QueueIds::datum),
        }
    }
}

/// The rows of a result, freed when dropped.
pub struct Rows<'s> {
    table: *mut pg_sys::SPITupleTable,
    count: usize,
    session: &'s Session,
}

/// One row, read column by column from left to right.
pub struct Row<'s> {
    tuple: pg_sys::HeapTuple,
    description: pg_sys::TupleDesc,
    column: i32,
    session: &'s Session,
}

/// The settings under which a plan is chosen: the statements are written so that each has one right
/// plan, along its index. Without these a generic plan sorts the whole queue (180 ms), and a caller's
/// settings make one that reads all of it.
const PLANNER: [(&CStr, &CStr); 25] = [
    (c"enable_seqscan", c"off"),
    (c"enable_bitmapscan", c"off"),
    (c"enable_sort", c"off"),
    (c"enable_incremental_sort", c"off"),
    (c"enable_hashjoin", c"off"),
    (c"enable_mergejoin", c"off"),
    (c"enable_indexscan", c"on"),
    (c"enable_indexonlyscan", c"on"),
    (c"enable_nestloop", c"on"),
    (c"enable_material", c"off"),
    (c"enable_memoize", c"off"),
    (c"jit", c"off"),
    (c"max_parallel_workers_per_gather", c"0"),
    (c"seq_page_cost", c"1"),
    (c"random_page_cost", c"4"),
    (c"cpu_tuple_cost", c"0.01"),
    (c"cpu_index_tuple_cost", c"0.005"),
    (c"cpu_operator_cost", c"0.0025"),
    (c"effective_cache_size", c"4GB"),
    (c"cursor_tuple_fraction", c"0.1"),
    (c"join_collapse_limit", c"8"),
    (c"from_collapse_limit", c"8"),
    (c"geqo", c"off"),
    (c"constraint_exclusion", c"partition"),
    (c"enable_tidscan", c"on"),
];

thread_local! {
    /// A statement of ours is running: what is planned now is planned our way.
    static PINNED: Cell<bool> = const { Cell::new(false) };
}

static NEXT_PLANNER: OnceLock<pg_sys::planner_hook_type> = OnceLock::new();

/// Once, when the library is loaded: the plans are pinned where planning happens, whenever that is. A kept
/// plan is made anew after an ANALYZE, a DDL, or when the caller creates its first temporary table.
pub fn install() {
    // SAFETY: hooks are set while the library is loaded, by the only thread.
    unsafe {
        let _ = NEXT_PLANNER.set(pg_sys::planner_hook);
        pg_sys::planner_hook = Some(plan);
    }
}

/// Others' statements pass without a guard: it would rewrite the errors that are raised while they are planned.
unsafe extern "C-unwind" fn plan(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    if PINNED.get() {
        return plan_pinned(query, text, options, params);
    }
    next_planner()(query, text, options, params)
}

#[pg_guard]
unsafe extern "C-unwind" fn plan_pinned(
    query: *mut pg_sys::Query,
    text: *const c_char,
    options: c_int,
    params: pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt {
    let nest = GucNest::open();
    for (name, value) in PLANNER {
        nest.set(name, value);
    }
    pg_sys::ffi::pg_guard_ffi_boundary(|| next_planner()(query, text, options, params))
}

type Planner = unsafe extern "C-unwind" fn(
    *mut pg_sys::Query,
    *const c_char,
    c_int,
    pg_sys::ParamListInfo,
) -> *mut pg_sys::PlannedStmt;

fn next_planner() -> Planner {
    unsafe extern "C-unwind" {
        // The server's own, without the guard of pgrx's.
        fn standard_planner(
            query: *mut pg_sys::Query,
            text: *const c_char,
            options: c_int,
            params: pg_sys::ParamListInfo,
        ) -> *mut pg_sys::PlannedStmt;
    }
    NEXT_PLANNER
        .get()
        .copied()
        .flatten()
        .unwrap_or(standard_planner)
}

/// Says that a statement of ours is running, until it is dropped.
struct Pin(bool);

impl Pin {
    fn set(pinned: bool) -> Pin {
        Pin(PINNED.replace(pinned))
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        PINNED.set(self.0);
    }
}

impl Statement {
    pub const fn new(sql: &'static str) -> Statement {
        Statement {
            sql,
            options: Cell::new(pg_sys::CURSOR_OPT_GENERIC_PLAN),
            plan: Cell::new(ptr::null_mut()),
        }
    }

    /// Runs a statement that may write or lock: it sees what is committed now.
    pub fn write<'s>(&self, session: &'s Session, args: &[Arg]) -> Rows<'s> {
        self.run(session, args, false, false)
    }

    /// Runs a statement that only reads, in the snapshot of the caller's statement.
    pub fn read<'s>(&self, session: &'s Session, args: &[Arg]) -> Rows<'s> {
        self.run(session, args, true, false)
    }

    /// Runs a statement that only reads, and sees what is committed now whatever the caller's isolation level.
    pub fn read_latest<'s>(&self, session: &'s Session, args: &[Arg]) -> Rows<'s> {
        self.run(session, args, true, true)
    }

    /// The same for a statement over whole tables: planned anew with the caller's settings, but never compiled (that took 3.0 s of 3.4).
    pub fn read_planned_here<'s>(&self, session: &'s Session, args: &[Arg]) -> Rows<'s> {
        let nest = GucNest::open();
        nest.set(c"jit", c"off");
        self.options.set(pg_sys::CURSOR_OPT_CUSTOM_PLAN);
        self.run(session, args, true, false)
    }

    fn run<'s>(
        &self,
        session: &'s Session,
        args: &[Arg],
        read_only: bool,
        latest: bool,
    ) -> Rows<'s> {
        session.connect();
        let mut values: Vec<pg_sys::Datum> = args
            .iter()
            .map(|arg| arg.datum.unwrap_or(pg_sys::Datum::null()))
            .collect();
        let nulls: Vec<std::ffi::c_char> = args
            .iter()
            .map(|arg| if arg.datum.is_some() { b' ' } else { b'n' } as _)
            .collect();
        // SAFETY: the session is connected to SPI; the arrays are as long as the plan has parameters,
        // because it was prepared for these very argument types (a statement has one call site's
        // types).
        unsafe {
            if self.plan.get().is_null() {
                self.prepare(args);
            }
            let pin = Pin::set(self.options.get() == pg_sys::CURSOR_OPT_GENERIC_PLAN);
            let code = if latest {
                pg_sys::SPI_execute_snapshot(
                    self.plan.get(),
                    values.as_mut_ptr(),
                    nulls.as_ptr(),
                    pg_sys::GetLatestSnapshot(),
                    ptr::null_mut(),
                    read_only,
                    false,
                    0,
                )
            } else {
                pg_sys::SPI_execute_plan(
                    self.plan.get(),
                    values.as_mut_ptr(),
                    nulls.as_ptr(),
                    read_only,
                    0,
                )
            };
            drop(pin);
            if code < 0 {
                let reason = CStr::from_ptr(pg_sys::SPI_result_code_string(code)).to_string_lossy();
                panic!("SPI_execute_plan: {reason}");
            }
            let table = pg_sys::SPI_tuptable;
            let count = if table.is_null() {
                0
            } else {
                (*table).numvals as usize
            };
            Rows {
                table,
                count,
                session,
            }
        }
    }

    unsafe fn prepare(&self, args: &[Arg]) {
        let sql = CString::new(self.sql).expect("a statement has no NUL byte");
        let mut types: Vec<pg_sys::Oid> = args.iter().map(|arg| arg.oid).collect();
        let plan = pg_sys::SPI_prepare_cursor(
            sql.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            self.options.get() as i32,
        );
        assert!(!plan.is_null(), "SPI_prepare_cursor failed");
        pg_sys::SPI_keepplan(plan);
        self.plan.set(plan);
    }
}

/// A change of the server's own privileges.
#[derive(Clone, Copy)]
pub enum Grant {
    To,
    From,
}

/// Grants a role a privilege on some objects (as they stand in a GRANT), or takes it back: the only SQL that is
/// made up rather than written down, because a GRANT takes no parameters.
pub fn change_grant(session: &Session, grant: Grant, privilege: &str, objects: &str, role: &str) {
    session.connect();
    let (verb, to, end) = match grant {
        Grant::To => ("GRANT", "TO", ""),
        // Also from whom the role has passed it on to.
        Grant::From => ("REVOKE", "FROM", " CASCADE"),
    };
    let role = pgrx::spi::quote_identifier(role);
    let sql = format!("{verb} {privilege} ON {objects} {to} {role}{end}");
    let sql = CString::new(sql).expect("a name has no NUL byte");
    // SAFETY: the session is connected to SPI.
    let code = unsafe { pg_sys::SPI_execute(sql.as_ptr(), false, 0) };
    assert_eq!(code, pg_sys::SPI_OK_UTILITY as i32, "GRANT is a utility");
}

impl<'s> Rows<'s> {
    pub fn len(&self) -> usize {
        self.count
    }

    /// The first row, if there is one, as `read` makes it.
    pub fn first<T>(self, read: impl FnOnce(&mut Row<'s>) -> T) -> Option<T> {
        (self.count > 0).then(|| read(&mut self.row(0)))
    }

    /// All rows, as `read` makes them.
    pub fn all<T>(self, mut read: impl FnMut(&mut Row<'s>) -> T) -> Vec<T> {
        (0..self.count).map(|i| read(&mut self.row(i))).collect()
    }

    fn row(&self, i: usize) -> Row<'s> {
        // SAFETY: i is below the number of tuples in the table.
        unsafe {
            Row {
                tuple: *(*self.table).vals.add(i),
                description: (*self.table).tupdesc,
                column: 0,
                session: self.session,
            }
        }
    }
}

impl Drop for Rows<'_> {
    fn drop(&mut self) {
        if !self.table.is_null() && !std::thread::panicking() {
            // SAFETY: the table is this statement's, and nothing that was read points into it.
            unsafe { pg_sys::SPI_freetuptable(self.table) }
        }
    }
}

impl Row<'_> {
    /// The next column.
    pub fn get<T: Column>(&mut self) -> T {
        self.column += 1;
        let mut is_null = false;
        // SAFETY: the tuple belongs to the live table of the result.
        unsafe {
            let datum =
                pg_sys::SPI_getbinval(self.tuple, self.description, self.column, &mut is_null);
            T::read((!is_null).then_some(datum), self.session)
        }
    }
}

/// What a column may be read as; nothing that is read points into the result.
pub trait Column {
    /// # Safety
    /// The datum is of the SQL type that belongs to `Self`.
    unsafe fn read(datum: Option<pg_sys::Datum>, session: &Session) -> Self;
}

impl<T: Column> Column for Option<T> {
    unsafe fn read(datum: Option<pg_sys::Datum>, session: &Session) -> Self {
        datum.map(|datum| T::read(Some(datum), session))
    }
}

macro_rules! plain_column {
    ($($rust:ty),*) => {$(
        impl Column for $rust {
            unsafe fn read(datum: Option<pg_sys::Datum>, _: &Session) -> Self {
                let datum = datum.expect("the column is not null");
                <$rust>::from_datum(datum, false).expect("the column is not null")
            }
        }
    )*};
}

plain_column!(
    bool,
    i16,
    i32,
    i64,
    f64,
    String,
    Instant,
    Interval,
    Vec<i16>,
    Vec<i32>,
    Vec<i64>,
    Vec<String>
);

macro_rules! copied_column {
    ($($rust:ty),*) => {$(
        impl Column for $rust {
            unsafe fn read(datum: Option<pg_sys::Datum>, session: &Session) -> Self {
                let datum = datum.expect("the column is not null");
                <$rust>::from_datum_in_memory_context(
                    PgMemoryContexts::For(session.caller_context()),
                    datum,
                    false,
                    <$rust as IntoDatum>::type_oid(),
                )
                .expect("the column is not null")
            }
        }
    )*};
}

copied_column!(Jsonb, JsonbArray, Places);

/// Declares the statements of a store module: `NAME = "file.sql"`.
#[macro_export]
macro_rules! statements {
    ($($name:ident = $file:literal),* $(,)?) => {$(
        thread_local! {
            static $name: $crate::pg::statement::Statement =
                const { $crate::pg::statement::Statement::new(include_str!(concat!("../../sql/queries/", $file))) };
        }
    )*};
}
