//! Rows read and written without a statement: through the server's own index scans, row locks, and heap and index inserts. For the
//! functions that every task passes, where starting the executor takes longer than what it does: see benches/README.md.
//!
//! What the executor does for a statement is done here, too: a new snapshot for each look (`Moment`), constraints, partial and unique indexes,
//! 40001 where a fixed snapshot does not show what has changed. What it does and this does not: row triggers, generated columns, defaults, exclusion and deferrable constraints.

use super::compat::{self, Stale};
use super::error::Misuse;
use super::session::Session;
use super::statement::Column;
use super::xact;
use pgrx::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr;
use std::rc::Rc;
use std::sync::Once;

/// The columns of a table, in their order; see `table!`.
pub trait Columns: Copy + 'static {
    const TABLE: &'static CStr;
    /// Their names and types.
    const COLUMNS: &'static [(&'static str, pg_sys::Oid)];

    fn position(self) -> usize;

    fn with_shape<T>(with: impl FnOnce(&RefCell<Option<Rc<Shape>>>) -> T) -> T;

    /// Opens the table for what reads only.
    fn read() -> Table<Self> {
        Table::open(pg_sys::AccessShareLock as _)
    }

    /// Opens the table for what writes or locks rows.
    fn write() -> Table<Self> {
        Table::open(pg_sys::RowExclusiveLock as _)
    }
}

/// Declares a table's columns: `Live = "task_live" { task_id: bigint, … }`.
#[macro_export]
macro_rules! table {
    ($(#[$doc:meta])* $columns:ident = $table:literal { $($column:ident: $type:ident),* $(,)? }) => {
        $(#[$doc])*
        #[allow(non_camel_case_types, dead_code, reason = "the columns are named as in the schema, all of them, in their order")]
        #[derive(Clone, Copy)]
        pub enum $columns { $($column),* }

        impl $crate::pg::table::Columns for $columns {
            const TABLE: &'static std::ffi::CStr = $table;
            const COLUMNS: &'static [(&'static str, pgrx::pg_sys::Oid)] = &[$((stringify!($column), $crate::pg::table::sql::$type)),*];

            fn position(self) -> usize {
                self as usize
            }

            fn with_shape<T>(with: impl FnOnce(&std::cell::RefCell<Option<std::rc::Rc<$crate::pg::table::Shape>>>) -> T) -> T {
                thread_local! {
                    static SHAPE: std::cell::RefCell<Option<std::rc::Rc<$crate::pg::table::Shape>>> = const { std::cell::RefCell::new(None) };
                }
                SHAPE.with(with)
            }
        }
    };
}

/// The types of columns, under the names that `table!` has for them.
#[allow(non_upper_case_globals, reason = "SQL's names")]
pub mod sql {
    use pgrx::pg_sys::{self, Oid};

    pub const smallint: Oid = pg_sys::INT2OID;
    pub const int: Oid = pg_sys::INT4OID;
    pub const bigint: Oid = pg_sys::INT8OID;
    pub const boolean: Oid = pg_sys::BOOLOID;
    pub const text: Oid = pg_sys::TEXTOID;
    pub const jsonb: Oid = pg_sys::JSONBOID;
    pub const interval: Oid = pg_sys::INTERVALOID;
    pub const timestamptz: Oid = pg_sys::TIMESTAMPTZOID;
    pub const smallints: Oid = pg_sys::INT2ARRAYOID;
    pub const ints: Oid = pg_sys::INT4ARRAYOID;
    pub const bigints: Oid = pg_sys::INT8ARRAYOID;
    pub const jsonbs: Oid = pg_sys::JSONBARRAYOID;
}

/// What is kept of a table until somebody changes it: its indexes and constraints, ready to be evaluated.
pub struct Shape {
    relation: pg_sys::Oid,
    generation: u64,
    /// Where all of it lives.
    context: pg_sys::MemoryContext,
    evaluation: *mut pg_sys::ExprContext,
    not_null: Vec<(usize, String)>,
    checks: Vec<(String, *mut pg_sys::ExprState)>,
    indexes: Vec<Index>,
}

struct Index {
    relation: pg_sys::Oid,
    name: String,
    info: *mut pg_sys::IndexInfo,
    predicate: *mut pg_sys::ExprState,
    unique: bool,
}

impl Drop for Shape {
    fn drop(&mut self) {
        // SAFETY: nobody else refers to what lives there.
        unsafe {
            if !pg_sys::proc_exit_inprogress {
                pg_sys::MemoryContextDelete(self.context);
            }
        }
    }
}

thread_local! {
    /// Grows whenever a table that was opened, or an index of one, may have changed.
    static GENERATION: Cell<u64> = const { Cell::new(0) };
    static KNOWN: RefCell<Vec<pg_sys::Oid>> = const { RefCell::new(Vec::new()) };
}

/// Watches for changes of tables; once per backend.
fn watch() {
    #[pg_guard]
    unsafe extern "C-unwind" fn changed(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
        let known = KNOWN.with(|known| {
            known
                .try_borrow()
                .map_or(true, |known| known.contains(&relation))
        });
        if relation == pg_sys::InvalidOid || known {
            GENERATION.set(GENERATION.get() + 1);
        }
    }

    static ONCE: Once = Once::new();
    // SAFETY: a backend has one thread; the callback lives as long as the library, that is, the backend.
    ONCE.call_once(|| unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(changed), pg_sys::Datum::from(0))
    });
}

/// Watches this table or index, too.
fn know(relation: pg_sys::Oid) {
    KNOWN.with_borrow_mut(|known| {
        if !known.contains(&relation) {
            known.push(relation);
        }
    });
}

impl Shape {
    /// Reads the catalogs.
    fn read(table: &CStr, columns: &[(&str, pg_sys::Oid)]) -> Shape {
        watch();
        let generation = GENERATION.get();
        // SAFETY: the relation is open while its descriptor is read; what is kept is allocated in its own memory context, which
        // lives as long as the shape.
        unsafe {
            let id = relation_named(table);
            know(id);
            let relation = pg_sys::table_open(id, pg_sys::AccessShareLock as _);
            let context = pg_sys::AllocSetContextCreateExtended(
                pg_sys::CacheMemoryContext,
                c"pg_baton table".as_ptr(),
                pg_sys::ALLOCSET_SMALL_MINSIZE as _,
                pg_sys::ALLOCSET_SMALL_INITSIZE as _,
                pg_sys::ALLOCSET_SMALL_MAXSIZE as _,
            );
            let mut shape = Shape {
                relation: id,
                generation,
                context,
                evaluation: ptr::null_mut(),
                not_null: Vec::new(),
                checks: Vec::new(),
                indexes: Vec::new(),
            };
            {
                let _there = Switched::to(context);
                shape.evaluation = pg_sys::CreateStandaloneExprContext();
                shape.read_columns((*relation).rd_att, table, columns);
                shape.read_indexes(relation);
            }
            pg_sys::table_close(relation, pg_sys::AccessShareLock as _);
            shape
        }
    }

    unsafe fn read_columns(
        &mut self,
        description: pg_sys::TupleDesc,
        table: &CStr,
        columns: &[(&str, pg_sys::Oid)],
    ) {
        let there = (*description).natts as usize;
        for i in 0..there.max(columns.len()) {
            let known = columns.get(i);
            let attribute = (i < there).then(|| compat::attribute(description, i));
            let found = attribute.map(|a| (pgrx::name_data_to_str(&a.attname), a.atttypid));
            // (Columns that somebody has added are let alone.)
            if known.is_some() && found.as_ref() != known {
                Misuse::not_as_made(table, &format!("column {} is not {}", i + 1, columns[i].0))
                    .raise();
            }
            let Some(attribute) = attribute else { continue };
            let name = pgrx::name_data_to_str(&attribute.attname);
            if attribute.attnotnull {
                self.not_null.push((i, name.to_owned()));
            }
        }
        let constraints = (*description).constr;
        if !constraints.is_null() {
            for i in 0..usize::from((*constraints).num_check) {
                let check = &*(*constraints).check.add(i);
                if !compat::is_enforced(check) {
                    continue;
                }
                let expression = pg_sys::stringToNode(check.ccbin).cast::<pg_sys::Expr>();
                let state =
                    pg_sys::ExecInitExpr(pg_sys::expression_planner(expression), ptr::null_mut());
                self.checks.push((
                    CStr::from_ptr(check.ccname).to_string_lossy().into_owned(),
                    state,
                ));
            }
        }
    }

    unsafe fn read_indexes(&mut self, relation: pg_sys::Relation) {
        let list = pg_sys::RelationGetIndexList(relation);
        if list.is_null() {
            return; // Somebody has dropped them all.
        }
        for i in 0..(*list).length as usize {
            let id = (*(*list).elements.add(i)).oid_value;
            know(id);
            let index = pg_sys::index_open(id, pg_sys::AccessShareLock as _);
            let info = pg_sys::BuildIndexInfo(index);
            if (*info).ii_ReadyForInserts {
                self.indexes.push(Index {
                    relation: id,
                    name: pgrx::name_data_to_str(&(*(*index).rd_rel).relname).to_owned(),
                    info,
                    predicate: pg_sys::ExecInitQual((*info).ii_Predicate, ptr::null_mut()),
                    unique: (*(*index).rd_index).indisunique,
                });
            }
            pg_sys::index_close(index, pg_sys::AccessShareLock as _);
        }
    }
}

/// Memory is allocated elsewhere until it is dropped.
struct Switched(pg_sys::MemoryContext);

impl Switched {
    fn to(context: pg_sys::MemoryContext) -> Switched {
        // SAFETY: the context is there for longer than this.
        unsafe {
            let before = pg_sys::CurrentMemoryContext;
            pg_sys::CurrentMemoryContext = context;
            Switched(before)
        }
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        // SAFETY: the context that was there before.
        unsafe { pg_sys::CurrentMemoryContext = self.0 }
    }
}

/// A table, index or sequence of the extension.
pub(super) fn relation_named(name: &CStr) -> pg_sys::Oid {
    let relation = look_up(name);
    if relation == pg_sys::InvalidOid {
        Misuse::not_as_made(name, "it is gone").raise();
    }
    relation
}

fn look_up(name: &CStr) -> pg_sys::Oid {
    // SAFETY: look-ups by C strings.
    unsafe { pg_sys::get_relname_relid(name.as_ptr(), xact::home().into()) }
}

/// An open table; its lock stays until the transaction ends.
pub struct Table<C> {
    relation: pg_sys::Relation,
    shape: Rc<Shape>,
    /// Those of its indexes that were written, open.
    written: RefCell<HashMap<pg_sys::Oid, pg_sys::Relation>>,
    of: PhantomData<C>,
}

/// How strongly a row is locked.
#[derive(Clone, Copy)]
pub enum Strength {
    /// As who ends or takes a lease.
    Update,
    /// As who extends a lease or appends to a tape.
    NoKeyUpdate,
}

/// What became of a row that was to be changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Done,
    /// Somebody holds it (and it was not to be waited for).
    Busy,
    /// There is a newer version of it.
    Moved,
    Gone,
}

impl<C: Columns> Table<C> {
    fn open(lock: pg_sys::LOCKMODE) -> Table<C> {
        loop {
            let kept = C::with_shape(|shape| shape.borrow().clone());
            let shape = match kept {
                Some(shape) if shape.generation == GENERATION.get() => shape,
                _ => {
                    let shape = Rc::new(Shape::read(C::TABLE, C::COLUMNS));
                    C::with_shape(|kept| kept.replace(Some(shape.clone())));
                    shape
                }
            };
            // SAFETY: plain server call; with the lock come the news of changes.
            let relation = unsafe { pg_sys::table_open(shape.relation, lock) };
            let table = Table {
                relation,
                shape,
                written: RefCell::default(),
                of: PhantomData,
            };
            if table.shape.generation == GENERATION.get() {
                return table;
            }
        }
    }

    /// The rows of an index whose first columns are as the keys say, and the next one within the bounds that follow them, in its
    /// order.
    pub fn scan<const N: usize>(
        &self,
        moment: &Moment,
        index: &str,
        keys: [Key; N],
    ) -> Scan<'_, C> {
        let kept = self.shape.indexes.iter().find(|kept| kept.name == index);
        let gone = || Misuse::not_as_made(C::TABLE, &format!("index {index} is gone")).raise();
        let kept = kept.unwrap_or_else(gone);
        // SAFETY: the keys are of the types of the index's columns (a wrong one would be another operator's), and copied by
        // index_rescan.
        unsafe {
            let relation = pg_sys::index_open(kept.relation, pg_sys::AccessShareLock as _);
            let mut entries = [pg_sys::ScanKeyData::default(); N];
            let mut column = 0;
            for (entry, key) in entries.iter_mut().zip(keys) {
                pg_sys::ScanKeyEntryInitialize(
                    entry,
                    0,
                    column + 1,
                    key.strategy,
                    pg_sys::InvalidOid,
                    *(*relation).rd_indcollation.add(column as usize),
                    key.operator.into(),
                    key.value,
                );
                column += i16::from(key.strategy == EQUAL);
            }
            let scan = compat::index_beginscan(self.relation, relation, moment.0, N);
            pg_sys::index_rescan(scan, entries.as_mut_ptr(), N as c_int, ptr::null_mut(), 0);
            Scan {
                index: relation,
                scan,
                ended: false,
                row: self.slot(),
                table: PhantomData,
            }
        }
    }

    /// The first row of such a scan.
    pub fn find<const N: usize>(
        &self,
        moment: &Moment,
        index: &str,
        keys: [Key; N],
    ) -> Option<Row<C>> {
        self.scan(moment, index, keys).into_next()
    }

    fn slot(&self) -> Row<C> {
        // SAFETY: the relation is open.
        Row {
            slot: unsafe { pg_sys::table_slot_create(self.relation, ptr::null_mut()) },
            of: PhantomData,
        }
    }

    /// Locks the newest version of a row, and returns it: what was changed meanwhile must be looked at again. `None`: it is gone, or
    /// somebody holds it and it was not to be waited for.
    pub fn lock(
        &self,
        moment: &Moment,
        row: &Row<C>,
        strength: Strength,
        wait: bool,
    ) -> Option<Row<C>> {
        let follow = pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION;
        let (changed, newest) = self.try_lock(moment, row, strength, wait, follow);
        match changed {
            Changed::Done => Some(newest),
            Changed::Busy | Changed::Gone => None,
            Changed::Moved => panic!("the newest version was asked for"),
        }
    }

    /// Locks a row as it was seen, without waiting.
    pub fn lock_seen(&self, moment: &Moment, row: &Row<C>, strength: Strength) -> Changed {
        self.try_lock(moment, row, strength, false, 0).0
    }

    fn try_lock(
        &self,
        moment: &Moment,
        row: &Row<C>,
        strength: Strength,
        wait: bool,
        follow: u32,
    ) -> (Changed, Row<C>) {
        let mode = match strength {
            Strength::Update => pg_sys::LockTupleMode::LockTupleExclusive,
            Strength::NoKeyUpdate => pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
        };
        let policy = if wait {
            pg_sys::LockWaitPolicy::LockWaitBlock
        } else {
            pg_sys::LockWaitPolicy::LockWaitSkip
        };
        let mut flags = pg_sys::TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS;
        if !xact::has_fixed_snapshot() {
            flags |= follow;
        }
        let newest = self.slot();
        let mut failure = pg_sys::TM_FailureData::default();
        // SAFETY: the row is one that this moment sees; the slot is an empty one of this table.
        let result = unsafe {
            pg_sys::table_tuple_lock(
                self.relation,
                &mut (*row.slot).tts_tid,
                moment.0,
                newest.slot,
                pg_sys::GetCurrentCommandId(false),
                mode,
                policy,
                flags as u8,
                &mut failure,
            )
        };
        (outcome(result), newest)
    }

    /// A row to be inserted, all NULL.
    pub fn new_row(&self) -> NewRow<'_, C> {
        // SAFETY: the relation is open; the arrays are as long as it has columns.
        unsafe {
            let slot = pg_sys::MakeSingleTupleTableSlot(
                (*self.relation).rd_att,
                &raw const pg_sys::TTSOpsVirtual,
            );
            let columns = (*(*slot).tts_tupleDescriptor).natts as usize;
            std::slice::from_raw_parts_mut((*slot).tts_isnull, columns).fill(true);
            NewRow {
                slot,
                of: PhantomData,
            }
        }
    }

    /// The next version of a row: a copy, to be changed.
    pub fn next_version<'r>(&self, row: &'r Row<C>) -> NewRow<'r, C> {
        let new: NewRow<'_, C> = self.new_row();
        let new = NewRow {
            slot: new.into_slot(),
            of: PhantomData,
        };
        // SAFETY: both slots are of this table; the values live as long as the row.
        unsafe {
            let columns = (*(*new.slot).tts_tupleDescriptor).natts;
            pg_sys::slot_getsomeattrs_int(row.slot, columns);
            ptr::copy_nonoverlapping(
                (*row.slot).tts_values,
                (*new.slot).tts_values,
                columns as usize,
            );
            ptr::copy_nonoverlapping(
                (*row.slot).tts_isnull,
                (*new.slot).tts_isnull,
                columns as usize,
            );
        }
        new
    }

    pub fn insert(&self, new: NewRow<C>) {
        self.check(&new);
        // SAFETY: the slot holds a row of this table.
        unsafe {
            pg_sys::table_tuple_insert(
                self.relation,
                new.slot,
                pg_sys::GetCurrentCommandId(true),
                0,
                ptr::null_mut(),
            );
            self.index(&new, Stale::All, false);
        }
    }

    /// Replaces a row by its next version, waiting for who holds it. (The heap knows no update that does not wait: who must not, locks it first.)
    pub fn update(&self, moment: &Moment, row: &Row<C>, new: NewRow<C>) -> Changed {
        self.check(&new);
        let mut failure = pg_sys::TM_FailureData::default();
        // SAFETY: the row is one that this moment sees, or that this transaction has locked.
        unsafe {
            let place = &mut (*row.slot).tts_tid;
            let (result, stale) =
                compat::table_tuple_update(self.relation, place, new.slot, moment.0, &mut failure);
            let changed = outcome(result);
            if changed == Changed::Done && stale != Stale::None {
                self.index(&new, stale, true);
            }
            changed
        }
    }

    /// Deletes a row, waiting for who holds it.
    pub fn delete(&self, moment: &Moment, row: &Row<C>) -> Changed {
        let mut failure = pg_sys::TM_FailureData::default();
        // SAFETY: as above.
        outcome(unsafe {
            pg_sys::table_tuple_delete(
                self.relation,
                &mut (*row.slot).tts_tid,
                pg_sys::GetCurrentCommandId(true),
                moment.0,
                ptr::null_mut(),
                true,
                &mut failure,
                false,
            )
        })
    }

    /// Stores the row in the slot and holds it against the table's constraints.
    fn check(&self, new: &NewRow<C>) {
        // SAFETY: the expressions are those of this table; their context lives as long as the shape.
        unsafe {
            pg_sys::ExecStoreVirtualTuple(new.slot);
            for (column, name) in &self.shape.not_null {
                if *(*new.slot).tts_isnull.add(*column) {
                    Misuse::not_null_violated(C::TABLE, name).raise();
                }
            }
            for (name, check) in &self.shape.checks {
                if !self.evaluate(new, |context| pg_sys::ExecCheck(*check, context)) {
                    Misuse::check_violated(C::TABLE, name).raise();
                }
            }
        }
    }

    unsafe fn evaluate(
        &self,
        new: &NewRow<C>,
        expression: impl FnOnce(*mut pg_sys::ExprContext) -> bool,
    ) -> bool {
        let context = self.shape.evaluation;
        (*context).ecxt_scantuple = new.slot;
        let holds = expression(context);
        (*context).ecxt_scantuple = ptr::null_mut();
        pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
        holds
    }

    /// Enters the row that was just written into the indexes that it belongs to.
    unsafe fn index(&self, new: &NewRow<C>, stale: Stale, same_keys: bool) {
        for index in &self.shape.indexes {
            if stale == Stale::Summarizing && !compat::is_summarizing(index.info) {
                continue;
            }
            let belongs = index.predicate.is_null()
                || self.evaluate(new, |context| pg_sys::ExecQual(index.predicate, context));
            if !belongs {
                continue;
            }
            let mut values = [pg_sys::Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
            let mut nulls = [false; pg_sys::INDEX_MAX_KEYS as usize];
            let relation = self.written.borrow().get(&index.relation).copied();
            let relation = relation.unwrap_or_else(|| {
                let opened = pg_sys::index_open(index.relation, pg_sys::RowExclusiveLock as _);
                self.written.borrow_mut().insert(index.relation, opened);
                opened
            });
            // What an access method keeps there points into the relation, which may be another one by now.
            (*index.info).ii_AmCache = ptr::null_mut();
            (*index.info).ii_Context = pg_sys::CurrentMemoryContext;
            let evaluation = Evaluation::of(index.info, new.slot);
            pg_sys::FormIndexDatum(
                index.info,
                new.slot,
                evaluation.0,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            );
            let unique = if index.unique {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_YES
            } else {
                pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO
            };
            pg_sys::index_insert(
                relation,
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
                &mut (*new.slot).tts_tid,
                self.relation,
                unique,
                same_keys && index.unique,
                index.info,
            );
            compat::end_insertions(relation, index.info);
        }
    }
}

impl<C> Drop for Table<C> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: closes what `open` and `index` opened.
            unsafe {
                for index in self.written.borrow().values() {
                    pg_sys::index_close(*index, pg_sys::NoLock as _);
                }
                pg_sys::table_close(self.relation, pg_sys::NoLock as _);
            }
        }
    }
}

/// What an index over expressions is evaluated in; ours have none, but somebody may have added one.
struct Evaluation(*mut pg_sys::EState, *mut pg_sys::IndexInfo);

impl Evaluation {
    unsafe fn of(info: *mut pg_sys::IndexInfo, slot: *mut pg_sys::TupleTableSlot) -> Evaluation {
        if (*info).ii_Expressions.is_null() {
            return Evaluation(ptr::null_mut(), info);
        }
        let state = pg_sys::CreateExecutorState();
        (*info).ii_ExpressionsState = ptr::null_mut();
        (*pg_sys::MakePerTupleExprContext(state)).ecxt_scantuple = slot;
        Evaluation(state, info)
    }
}

impl Drop for Evaluation {
    fn drop(&mut self) {
        if !self.0.is_null() && !std::thread::panicking() {
            // SAFETY: made by `of`; what was prepared in it goes with it.
            unsafe {
                (*self.1).ii_ExpressionsState = ptr::null_mut();
                pg_sys::FreeExecutorState(self.0);
            }
        }
    }
}

/// As the executor sees it; 40001 where a fixed snapshot does not show what has changed.
fn outcome(result: pg_sys::TM_Result::Type) -> Changed {
    use pg_sys::TM_Result as Of;
    match result {
        Of::TM_Ok => Changed::Done,
        Of::TM_BeingModified | Of::TM_WouldBlock => Changed::Busy,
        Of::TM_Updated | Of::TM_Deleted if xact::has_fixed_snapshot() => {
            Misuse::not_serializable().raise()
        }
        Of::TM_Updated => Changed::Moved,
        Of::TM_Deleted => Changed::Gone,
        // Changed by this very call since the moment: it must not come twice (store/slot.rs).
        Of::TM_SelfModified => Changed::Gone,
        _ => panic!("a row that is not visible"),
    }
}

/// A look at what is committed now (what the caller's snapshot shows, if that is fixed), and at what this transaction has done.
pub struct Moment(pg_sys::Snapshot);

impl Moment {
    pub fn now() -> Moment {
        // SAFETY: plain server calls, in the order of SPI's for each statement; popped when dropped, or with the transaction.
        unsafe {
            pg_sys::CommandCounterIncrement();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
            Moment(pg_sys::GetActiveSnapshot())
        }
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: pops what `now` has pushed; what was written is there for what reads next, however it does.
            unsafe {
                pg_sys::PopActiveSnapshot();
                pg_sys::CommandCounterIncrement();
            }
        }
    }
}

/// What a column of an index is compared with.
pub struct Key {
    strategy: u16,
    operator: u32,
    value: pg_sys::Datum,
}

const LESS_OR_EQUAL: u16 = 2;
const EQUAL: u16 = 3;
const GREATER: u16 = 5;

impl Key {
    pub fn is<T: Comparable>(value: T) -> Key {
        Key {
            strategy: EQUAL,
            operator: T::EQUAL,
            value: value.into_datum().expect("a key is not null"),
        }
    }

    pub fn after<T: Comparable>(value: T) -> Key {
        Key {
            strategy: GREATER,
            operator: T::GREATER,
            value: value.into_datum().expect("a key is not null"),
        }
    }

    pub fn until<T: Comparable>(value: T) -> Key {
        Key {
            strategy: LESS_OR_EQUAL,
            operator: T::LESS_OR_EQUAL,
            value: value.into_datum().expect("a key is not null"),
        }
    }
}

/// Types of indexed columns.
pub trait Comparable: IntoDatum {
    const LESS_OR_EQUAL: u32;
    const EQUAL: u32;
    const GREATER: u32;
}

macro_rules! comparable {
    ($($rust:ty: $less_or_equal:ident, $equal:ident, $greater:ident;)*) => {$(
        impl Comparable for $rust {
            const LESS_OR_EQUAL: u32 = pg_sys::$less_or_equal;
            const EQUAL: u32 = pg_sys::$equal;
            const GREATER: u32 = pg_sys::$greater;
        }
    )*};
}

comparable! {
    i16: F_INT2LE, F_INT2EQ, F_INT2GT;
    i32: F_INT4LE, F_INT4EQ, F_INT4GT;
    i64: F_INT8LE, F_INT8EQ, F_INT8GT;
    super::datum::Instant: F_TIMESTAMPTZ_LE, F_TIMESTAMPTZ_EQ, F_TIMESTAMPTZ_GT;
    &str: F_TEXT_LE, F_TEXTEQ, F_TEXT_GT;
}

/// A scan under way.
pub struct Scan<'t, C> {
    index: pg_sys::Relation,
    scan: pg_sys::IndexScanDesc,
    ended: bool,
    row: Row<C>,
    table: PhantomData<&'t ()>,
}

impl<C> Scan<'_, C> {
    pub fn next(&mut self) -> Option<&Row<C>> {
        // (A scan that has ended would begin anew.)
        // SAFETY: the scan is open, the slot is one of its table.
        self.ended = self.ended
            || !unsafe {
                pg_sys::index_getnext_slot(
                    self.scan,
                    pg_sys::ScanDirection::ForwardScanDirection,
                    self.row.slot,
                )
            };
        (!self.ended).then_some(&self.row)
    }

    fn into_next(mut self) -> Option<Row<C>> {
        self.next()?;
        let nothing = Row {
            slot: ptr::null_mut(),
            of: PhantomData,
        };
        Some(std::mem::replace(&mut self.row, nothing))
    }
}

impl<C> Drop for Scan<'_, C> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: closes what `scan` opened.
            unsafe {
                pg_sys::index_endscan(self.scan);
                pg_sys::index_close(self.index, pg_sys::NoLock as _);
            }
        }
    }
}

/// A row as it was read.
pub struct Row<C> {
    slot: *mut pg_sys::TupleTableSlot,
    of: PhantomData<C>,
}

impl<C: Columns> Row<C> {
    pub fn get<T: Column>(&self, session: &Session, column: C) -> T {
        let datum = self.datum(column);
        // SAFETY: the column is of the SQL type that belongs to T, as in a statement.
        unsafe { T::read(datum, session) }
    }

    fn datum(&self, column: C) -> Option<pg_sys::Datum> {
        let column = column.position();
        // SAFETY: the slot holds a row with at least this many columns.
        unsafe {
            if ((*self.slot).tts_nvalid as usize) <= column {
                pg_sys::slot_getsomeattrs_int(self.slot, column as c_int + 1);
            }
            (!*(*self.slot).tts_isnull.add(column)).then(|| *(*self.slot).tts_values.add(column))
        }
    }
}

impl<C> Drop for Row<C> {
    fn drop(&mut self) {
        if !self.slot.is_null() && !std::thread::panicking() {
            // SAFETY: the slot is ours.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) }
        }
    }
}

/// A row to be written; what it was copied from must outlive it.
pub struct NewRow<'r, C> {
    slot: *mut pg_sys::TupleTableSlot,
    of: PhantomData<(&'r (), C)>,
}

impl<'r, C: Columns> NewRow<'r, C> {
    pub fn set<T: IntoDatum>(&mut self, column: C, value: T) -> &mut Self {
        self.put(column, value.into_datum());
        self
    }

    /// Takes a column over from a row of another table.
    pub fn copy<D: Columns>(&mut self, column: C, row: &'r Row<D>, from: D) -> &mut Self {
        self.put(column, row.datum(from));
        self
    }

    fn put(&mut self, column: C, datum: Option<pg_sys::Datum>) {
        // SAFETY: the table has this column.
        unsafe {
            *(*self.slot).tts_isnull.add(column.position()) = datum.is_none();
            *(*self.slot).tts_values.add(column.position()) =
                datum.unwrap_or(pg_sys::Datum::null());
        }
    }

    fn into_slot(self) -> *mut pg_sys::TupleTableSlot {
        std::mem::ManuallyDrop::new(self).slot
    }
}

impl<C> Drop for NewRow<'_, C> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // SAFETY: the slot is ours.
            unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) }
        }
    }
}

/// Whether the extension has this table or sequence: one of an older version may not.
pub fn is_there(name: &CStr) -> bool {
    look_up(name) != pg_sys::InvalidOid
}

/// The next value of a sequence of the extension.
pub fn next_value(sequence: &CStr) -> i64 {
    // SAFETY: a server function with one argument, of its type.
    unsafe {
        pgrx::fcinfo::direct_function_call(
            pg_sys::nextval_oid,
            &[relation_named(sequence).into_datum()],
        )
    }
    .expect("a sequence has a next value")
}

/// The last value drawn from a sequence; 0: none.
pub fn last_value(sequence: &CStr) -> i64 {
    // SAFETY: as above.
    unsafe {
        pgrx::fcinfo::direct_function_call(
            pg_sys::pg_sequence_last_value,
            &[relation_named(sequence).into_datum()],
        )
    }
    .unwrap_or(0)
}

/// Lets a sequence go on after this value, at once and for all, whatever becomes of the transaction.
pub fn set_value(sequence: &CStr, value: i64) {
    // SAFETY: a server function with two arguments, of their types.
    unsafe {
        pgrx::fcinfo::direct_function_call::<i64>(
            pg_sys::setval_oid,
            &[relation_named(sequence).into_datum(), value.into_datum()],
        );
    }
}
