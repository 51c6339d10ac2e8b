//! As much of PostgreSQL's READ COMMITTED as a join depends on: committed rows, row locks that are held until the
//! transaction ends, and statements that read what was committed when they began.

pub const ITEMS: usize = 4;
pub const GROUPS: usize = 2;
pub const SHARDS: usize = 2;

/// A row that can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// An item: 0 while it is live.
    Item(u8),
    /// `step_count.remaining` of a shard.
    Count(u8, u8),
    /// `step.open_shards`; in a naive join, whether it was dispatched.
    Step(u8),
    Run,
    /// The key of a successor in `baton.dispatch`: there, or not.
    Key(u8),
    /// The rows of `baton.due` of a step.
    Due(u8),
}

const ROWS: usize = ITEMS + GROUPS * SHARDS + GROUPS + 1 + GROUPS + GROUPS;

impl Row {
    fn index(self) -> usize {
        match self {
            Row::Item(item) => item as usize,
            Row::Count(group, shard) => ITEMS + group as usize * SHARDS + shard as usize,
            Row::Step(group) => ITEMS + GROUPS * SHARDS + group as usize,
            Row::Run => ITEMS + GROUPS * SHARDS + GROUPS,
            Row::Key(successor) => ITEMS + GROUPS * SHARDS + GROUPS + 1 + successor as usize,
            Row::Due(group) => ITEMS + GROUPS * SHARDS + GROUPS + 1 + GROUPS + group as usize,
        }
    }
}

/// The values of all rows, at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rows([u8; ROWS]);

impl Rows {
    pub const EMPTY: Rows = Rows([0; ROWS]);

    pub fn get(&self, row: Row) -> u8 {
        self.0[row.index()]
    }

    pub fn set(&mut self, row: Row, value: u8) {
        self.0[row.index()] = value;
    }
}

/// A set of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowSet(u16);

impl RowSet {
    pub fn has(self, row: Row) -> bool {
        self.0 & 1 << row.index() != 0
    }

    pub fn add(&mut self, row: Row) {
        self.0 |= 1 << row.index();
    }
}

/// The strength of a row lock, as far as two of them conflict here: share with exclusive, exclusive with all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    Share,
    Exclusive,
}

/// What a transaction holds, and what it has written and nobody sees yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session {
    shared: RowSet,
    exclusive: RowSet,
    written: RowSet,
    values: Rows,
    /// Rows of `baton.due` inserted, and successors made: new rows, which nobody can lock before they are
    /// committed.
    pub due: [u8; GROUPS],
    pub successors: [u8; GROUPS],
    /// Rows of `baton.due` taken up.
    pub due_taken: [u8; GROUPS],
}

impl Session {
    pub const NEW: Session = Session {
        shared: RowSet(0),
        exclusive: RowSet(0),
        written: RowSet(0),
        values: Rows::EMPTY,
        due: [0; GROUPS],
        successors: [0; GROUPS],
        due_taken: [0; GROUPS],
    };

    /// Whether this transaction's locks keep another one from taking the row.
    pub fn conflicts(&self, row: Row, wanted: Lock) -> bool {
        self.exclusive.has(row) || wanted == Lock::Exclusive && self.shared.has(row)
    }

    pub fn lock(&mut self, row: Row, lock: Lock) {
        match lock {
            Lock::Share => self.shared.add(row),
            Lock::Exclusive => self.exclusive.add(row),
        }
    }

    /// What a statement of this transaction reads: its own writes, else what its snapshot shows.
    pub fn read(&self, snapshot: &Rows, row: Row) -> u8 {
        if self.written.has(row) {
            self.values.get(row)
        } else {
            snapshot.get(row)
        }
    }

    /// Writes a row that it holds.
    pub fn write(&mut self, row: Row, value: u8) {
        debug_assert!(self.exclusive.has(row), "{row:?} is written without a lock");
        self.written.add(row);
        self.values.set(row, value);
    }

    /// What it wrote becomes visible. Everything else is gone with the session.
    pub fn commit(&self, committed: &mut Rows) {
        for index in 0..ROWS {
            if self.written.0 & 1 << index != 0 {
                committed.0[index] = self.values.0[index];
            }
        }
        for group in 0..GROUPS as u8 {
            let due = Row::Due(group);
            let (more, less) = (self.due[group as usize], self.due_taken[group as usize]);
            committed.set(due, committed.get(due) + more - less);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_places_of_their_own() {
        let mut rows: Vec<Row> = (0..ITEMS as u8).map(Row::Item).collect();
        for group in 0..GROUPS as u8 {
            rows.extend((0..SHARDS as u8).map(|shard| Row::Count(group, shard)));
            rows.extend([Row::Step(group), Row::Key(group), Row::Due(group)]);
        }
        rows.push(Row::Run);
        let mut places: Vec<usize> = rows.into_iter().map(Row::index).collect();
        places.sort_unstable();
        assert_eq!(places, (0..ROWS).collect::<Vec<_>>());
    }

    #[test]
    fn share_locks_meet_and_exclusive_ones_do_not() {
        let mut session = Session::NEW;
        session.lock(Row::Run, Lock::Share);
        assert!(!session.conflicts(Row::Run, Lock::Share));
        assert!(session.conflicts(Row::Run, Lock::Exclusive));
        session.lock(Row::Step(0), Lock::Exclusive);
        assert!(session.conflicts(Row::Step(0), Lock::Share));
        assert!(!session.conflicts(Row::Step(1), Lock::Exclusive));
    }

    #[test]
    fn a_transaction_sees_its_own_writes_and_its_snapshot() {
        let mut session = Session::NEW;
        session.lock(Row::Item(0), Lock::Exclusive);
        session.write(Row::Item(0), 1);
        let mut committed = Rows::EMPTY;
        assert_eq!(session.read(&committed, Row::Item(0)), 1);
        assert_eq!(session.read(&committed, Row::Item(1)), 0);
        session.commit(&mut committed);
        assert_eq!(committed.get(Row::Item(0)), 1);
    }
}
