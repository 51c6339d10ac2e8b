//! Where a race is run: tables of a few sides each, every side a thread with a connection of its own, that play one
//! contest after another and meet before each part of it.

use anyhow::{Context, Result, bail};
use postgres::types::ToSql;
use postgres::{Client, Config, NoTls, Row, Statement};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// Nobody waits longer than this for the other sides of a table.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Arena<'a> {
    pub socket_dir: &'a Path,
    pub database: &'a str,
    pub seed: u64,
    pub tables: usize,
    pub sides: usize,
    pub contests: usize,
}

/// One side of a table.
pub struct Seat<'a, T> {
    pub side: usize,
    pub table: usize,
    pub contest: i32,
    /// The same numbers for the same seed, contest and side: both tellings spend the same time thinking.
    pub dice: Dice,
    pub line: Line,
    room: &'a Room<T>,
    pub deal: &'a T,
}

/// What the sides of a table share: the deal of the present contest is made anew for each.
struct Room<T> {
    sides: usize,
    meeting: Mutex<Meeting>,
    met: Condvar,
    deals: Vec<T>,
}

#[derive(Default)]
struct Meeting {
    present: usize,
    times: u64,
    broken: bool,
}

impl<T> Room<T> {
    /// Waits for all sides of the table, so that what follows begins for all of them at the same moment.
    fn meet(&self) -> Result<()> {
        let mut meeting = locked(&self.meeting);
        meeting.present += 1;
        if meeting.present == self.sides {
            meeting.present = 0;
            meeting.times += 1;
            self.met.notify_all();
        }
        let (now, begun) = (meeting.times, Instant::now());
        if meeting.present == 0 {
            return Ok(());
        }
        while meeting.times == now {
            if meeting.broken || begun.elapsed() > PATIENCE {
                bail!(LEFT);
            }
            meeting = self
                .met
                .wait_timeout(meeting, PATIENCE)
                .map_or_else(|e| e.into_inner().0, |(meeting, _)| meeting);
        }
        Ok(())
    }

    fn is_broken(&self) -> bool {
        locked(&self.meeting).broken
    }
}

const LEFT: &str = "another side has left the table";

/// Whoever leaves before the end breaks up the table, or the others would wait for ever.
struct Leaving<'a, T>(&'a Room<T>, bool);

impl<T> Drop for Leaving<'_, T> {
    fn drop(&mut self) {
        if !self.1 {
            locked(&self.0.meeting).broken = true;
            self.0.met.notify_all();
        }
    }
}

impl<T> Seat<'_, T> {
    pub fn meet(&self) -> Result<()> {
        self.room.meet()
    }

    /// Asks again and again, with a short pause, until it is so.
    pub fn until(&self, mut so: impl FnMut() -> bool) -> Result<()> {
        let begun = Instant::now();
        while !so() {
            if self.room.is_broken() || begun.elapsed() > PATIENCE {
                bail!(LEFT);
            }
            pause(0.2);
        }
        Ok(())
    }
}

impl Arena<'_> {
    /// Plays all contests: `prepare` by the first side alone, then `play` by all of them.
    pub fn play<T: Default + Send + Sync>(
        &self,
        prepare: impl Fn(&mut Line, i32, usize) -> Result<()> + Sync,
        play: impl Fn(&mut Seat<T>) -> Result<()> + Sync,
    ) -> Result<()> {
        let tables = self.tables.min(self.contests);
        let rooms: Vec<Room<T>> = (0..tables)
            .map(|table| Room {
                sides: self.sides,
                meeting: Mutex::default(),
                met: Condvar::new(),
                deals: (table..self.contests)
                    .step_by(tables)
                    .map(|_| T::default())
                    .collect(),
            })
            .collect();
        let (prepare, play) = (&prepare, &play);
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (table, room) in rooms.iter().enumerate() {
                for side in 0..self.sides {
                    threads.push(scope.spawn(move || -> Result<()> {
                        let mut leaving = Leaving(room, false);
                        let mut line = Some(Line::open(self.socket_dir, self.database)?);
                        for (deal, contest) in room
                            .deals
                            .iter()
                            .zip((table..self.contests).step_by(tables))
                        {
                            let mut own = line.take().expect("it is put back");
                            let number = i32::try_from(contest)?;
                            if side == 0 {
                                prepare(&mut own, number, table)?;
                            }
                            let mut seat = Seat {
                                side,
                                table,
                                contest: number,
                                dice: Dice::of(&[self.seed, contest as u64, side as u64]),
                                line: own,
                                room,
                                deal,
                            };
                            seat.meet()?;
                            play(&mut seat).with_context(|| format!("contest {contest}"))?;
                            seat.meet()?;
                            line = Some(seat.line);
                        }
                        leaving.1 = true;
                        Ok(())
                    }));
                }
            }
            let mut ends: Vec<_> = threads
                .into_iter()
                .filter_map(|thread| match thread.join() {
                    Ok(end) => end.err(),
                    Err(_) => Some(anyhow::anyhow!("a side panicked")),
                })
                .collect();
            // Who broke it up knows why; the others only that somebody did.
            ends.sort_by_key(|error| error.root_cause().to_string() == LEFT);
            ends.into_iter().next().map_or(Ok(()), Err)
        })
    }
}

/// A connection, with its statements prepared once.
pub struct Line {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

pub type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Line {
    pub fn open(socket_dir: &Path, database: &str) -> Result<Line> {
        let client = Config::new()
            .host_path(socket_dir)
            .user("postgres")
            .dbname(database)
            .connect(NoTls)?;
        Ok(Line {
            client,
            statements: HashMap::new(),
        })
    }

    /// Runs a statement and returns its first row, if it has one.
    pub fn row(&mut self, sql: &'static str, values: Values) -> Result<Option<Row>> {
        let statement = match self.statements.get(sql) {
            Some(statement) => statement.clone(),
            None => {
                let statement = self.client.prepare(sql).context(sql)?;
                self.statements.insert(sql, statement.clone());
                statement
            }
        };
        self.client.query_opt(&statement, values).context(sql)
    }

    pub fn run(&mut self, sql: &'static str, values: Values) -> Result<()> {
        self.row(sql, values).map(drop)
    }

    /// Runs statements from a file.
    pub fn script(&mut self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(sql)?)
    }

    pub fn rows(&mut self, sql: &'static str) -> Result<Vec<Row>> {
        self.client.query(sql, &[]).context(sql)
    }
}

/// SplitMix64.
pub struct Dice(u64);

impl Dice {
    pub fn of(parts: &[u64]) -> Dice {
        let mut dice = Dice(0);
        for part in parts {
            dice.0 ^= part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            dice.0 = dice.roll();
        }
        dice
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Milliseconds, from 0 up to `most`.
    pub fn ms(&mut self, most: f64) -> f64 {
        most * (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn below(&mut self, count: usize) -> usize {
        (self.roll() % count as u64) as usize
    }
}

pub fn pause(ms: f64) {
    thread::sleep(Duration::from_secs_f64(ms / 1000.0));
}

/// A lock that another thread's panic does not keep from the rest.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}
