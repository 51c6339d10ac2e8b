//! Tasks, slots, keys and what is due: as committed, as one transaction sees them, and who has locked what.

pub const TASKS: usize = 4;
pub const KEYS: usize = 2;
pub const SLOTS: usize = 2;

/// A row that can be locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// A task: not there, in line for a key, ready (or running), or ended.
    Task(u8),
    /// A slot of a key: not there, free, or held by a task.
    Slot(u8, u8),
    /// A key: its capacity, and how many slots it says it has.
    Key(u8),
    /// The rows of `baton.due` of a key, left by who got in line (0) or freed a slot (1): how many.
    Due(u8, u8),
}

pub const ABSENT: u8 = 0;

pub const READY: u8 = 8;
pub const ENDED: u8 = 9;

pub fn in_line(key: u8) -> u8 {
    1 + key
}

pub const FREE: u8 = 1;

pub fn held_by(task: u8) -> u8 {
    2 + task
}

pub fn key_row(capacity: u8, slots: u8) -> u8 {
    capacity << 4 | slots
}

pub fn capacity(key: u8) -> u8 {
    key >> 4
}

pub fn slots(key: u8) -> u8 {
    key & 15
}

const ROWS: usize = TASKS + KEYS * SLOTS + KEYS + KEYS * 2;

impl Row {
    fn index(self) -> usize {
        match self {
            Row::Task(task) => task as usize,
            Row::Slot(key, slot) => TASKS + key as usize * SLOTS + slot as usize,
            Row::Key(key) => TASKS + KEYS * SLOTS + key as usize,
            Row::Due(key, side) => TASKS + KEYS * SLOTS + KEYS + key as usize * 2 + side as usize,
        }
    }
}

pub fn slots_of(key: u8) -> impl Iterator<Item = Row> {
    (0..SLOTS as u8).map(move |slot| Row::Slot(key, slot))
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
pub struct RowSet(u32);

impl RowSet {
    pub fn has(self, row: Row) -> bool {
        self.0 & 1 << row.index() != 0
    }

    pub fn add(&mut self, row: Row) {
        self.0 |= 1 << row.index();
    }

    pub fn add_all(&mut self, other: RowSet) {
        self.0 |= other.0;
    }
}

/// The sides of a key (`pg::lock::SlotSide`); the numbers are those of `Row::Due`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    Waiting = 0,
    Freeing = 1,
}

impl Side {
    pub fn of(due: u8) -> Side {
        if due == 0 {
            Side::Waiting
        } else {
            Side::Freeing
        }
    }

    pub fn other(self) -> Side {
        match self {
            Side::Waiting => Side::Freeing,
            Side::Freeing => Side::Waiting,
        }
    }
}

/// What a transaction holds, and what it has written and nobody sees yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Session {
    pub locked: RowSet,
    /// Rows of `baton.due` that are to stay until it ends.
    pub kept: RowSet,
    written: RowSet,
    values: Rows,
    sides: [[bool; 2]; KEYS],
    /// Rows of `baton.due` inserted (or kept), seen, locked, and deleted.
    pub due: [[u8; 2]; KEYS],
    left: [[bool; 2]; KEYS],
    pub due_seen: [[u8; 2]; KEYS],
    pub due_mine: [[u8; 2]; KEYS],
    pub due_deleted: [[u8; 2]; KEYS],
}

impl Session {
    pub const NEW: Session = Session {
        locked: RowSet(0),
        kept: RowSet(0),
        written: RowSet(0),
        values: Rows::EMPTY,
        sides: [[false; 2]; KEYS],
        due: [[0; 2]; KEYS],
        left: [[false; 2]; KEYS],
        due_seen: [[0; 2]; KEYS],
        due_mine: [[0; 2]; KEYS],
        due_deleted: [[0; 2]; KEYS],
    };

    /// What a statement of this transaction reads: its own writes, else what its snapshot shows.
    pub fn read(&self, snapshot: &Rows, row: Row) -> u8 {
        if self.written.has(row) {
            self.values.get(row)
        } else {
            snapshot.get(row)
        }
    }

    pub fn has_written(&self, row: Row) -> bool {
        self.written.has(row)
    }

    /// Writes a row that it holds, or a new one.
    pub fn write(&mut self, row: Row, value: u8) {
        self.locked.add(row);
        self.written.add(row);
        self.values.set(row, value);
    }

    pub fn hold(&mut self, key: u8, side: Side) {
        self.sides[key as usize][side as usize] = true;
    }

    pub fn holds(&self, key: u8, side: Side) -> bool {
        self.sides[key as usize][side as usize]
    }

    pub fn leave_due(&mut self, key: u8, side: Side) {
        self.due[key as usize][side as usize] += 1;
    }

    pub fn delete_due(&mut self, key: u8, side: u8) {
        let (key, side) = (key as usize, side as usize);
        self.due_deleted[key][side] = self.due_mine[key][side];
    }

    pub fn has_left_due(&mut self, key: u8, side: Side) {
        self.left[key as usize][side as usize] = true;
    }

    /// It has left such a row itself, or kept one.
    pub fn has_left(&self, key: u8, side: Side) -> bool {
        self.left[key as usize][side as usize]
    }

    /// How many rows of `baton.due` it has inserted, and deleted.
    pub fn due_of(&self, key: u8, side: Side) -> (u8, u8) {
        let (key, side) = (key as usize, side as usize);
        (self.due[key][side], self.due_deleted[key][side])
    }

    /// What it wrote becomes visible. Returns the rows that have new versions.
    pub fn commit(&self, committed: &mut Rows) -> RowSet {
        for index in 0..ROWS {
            if self.written.0 & 1 << index != 0 {
                committed.0[index] = self.values.0[index];
            }
        }
        for key in 0..KEYS {
            for side in 0..2 {
                let row = Row::Due(key as u8, side as u8);
                let count = committed.get(row) + self.due[key][side] - self.due_deleted[key][side];
                committed.set(row, count);
            }
        }
        self.written
    }

    /// Others have deleted rows of `baton.due`, those that were there first: they are not seen any more.
    pub fn forget_due(&mut self, deleted: &[[u8; 2]; KEYS]) {
        for (seen, deleted) in self
            .due_seen
            .iter_mut()
            .flatten()
            .zip(deleted.iter().flatten())
        {
            *seen = seen.saturating_sub(*deleted);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_places_of_their_own() {
        let mut rows: Vec<Row> = (0..TASKS as u8).map(Row::Task).collect();
        for key in 0..KEYS as u8 {
            rows.extend(slots_of(key));
            rows.extend([Row::Key(key), Row::Due(key, 0), Row::Due(key, 1)]);
        }
        let mut places: Vec<usize> = rows.into_iter().map(Row::index).collect();
        places.sort_unstable();
        assert_eq!(places, (0..ROWS).collect::<Vec<_>>());
    }

    #[test]
    fn a_key_tells_capacity_and_slots() {
        let key = key_row(1, 2);
        assert_eq!((capacity(key), slots(key)), (1, 2));
    }

    #[test]
    fn who_took_up_what_others_took_up_first_leaves_the_rest() {
        let mut session = Session::NEW;
        session.due_seen[0] = [2, 1];
        session.forget_due(&[[1, 2], [0, 0]]);
        assert_eq!(session.due_seen[0], [1, 0]);
    }
}
