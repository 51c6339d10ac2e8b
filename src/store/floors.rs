//! Where this backend's scans start: one claim floor per line, in the backend's memory.
//!
//! A floor learned in a transaction rests on what that transaction saw, its own claims included; so it
//! counts for later transactions only once that one has committed.

use crate::model::claim_floor::{ClaimFloor, Seen};
use crate::pg::{datum::Instant, xact};
use std::cell::RefCell;
use std::collections::HashMap;

/// A line of tasks: an index over a position that only grows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Line {
    Ready {
        queue_id: i32,
        priority: i16,
    },
    /// Tasks that wait for a slot.
    Waiting {
        slot_key: i64,
        priority: i16,
    },
    /// Slots that are free.
    Free {
        slot_key: i64,
    },
    Overdue {
        queue: String,
    },
    Scheduled {
        queue: String,
    },
    /// Tasks that stand alone, in the order of their ends.
    Ended,
}

impl Line {
    fn is_of_times(&self) -> bool {
        matches!(
            self,
            Line::Overdue { .. } | Line::Scheduled { .. } | Line::Ended
        )
    }
}

/// More lines than this are forgotten rather than remembered: the next scan starts at the beginning.
const LINES: usize = 4_096;

#[derive(Default)]
struct Floors {
    /// The installation the lines belong to; another one has other lines.
    home: u32,
    kept: HashMap<Line, ClaimFloor>,
    learned: HashMap<Line, ClaimFloor>,
}

thread_local! {
    static FLOORS: RefCell<Floors> = RefCell::default();
}

/// A scan of a line about to begin.
pub struct Scan {
    line: Line,
    start: i64,
    xmin: u64,
}

/// Begins a scan. While a writer stays open it may start at a guess: good for a poll, which comes again.
pub fn scan(line: Line) -> Scan {
    begin(line, ClaimFloor::start)
}

/// Begins a scan that misses nothing: for a decision that nobody comes back to.
pub fn sure_scan(line: Line) -> Scan {
    begin(line, |floor, _, _| floor.sure_start())
}

fn begin(line: Line, start: fn(&ClaimFloor, u64, i64) -> i64) -> Scan {
    xact::on_end(end);
    let xmin = xact::oldest_other();
    let now = xact::clock();
    // Asked before the borrow: a look-up in the catalogs may wait, and end the process there.
    let home = xact::home();
    FLOORS.with_borrow_mut(|floors| {
        if floors.home != home {
            *floors = Floors {
                home,
                ..Floors::default()
            };
        }
        let floor = floors.learned.get(&line).or_else(|| floors.kept.get(&line));
        let start = floor.map_or(i64::MIN, |floor| {
            if line.is_of_times() {
                floor.start_of_times(xmin, now)
            } else {
                start(floor, xmin, now)
            }
        });
        Scan { line, start, xmin }
    })
}

impl Scan {
    /// Where it starts, exclusive.
    pub fn start(&self) -> i64 {
        self.start
    }

    pub fn start_time(&self) -> Instant {
        Instant(self.start)
    }

    /// Tells what it saw: its first visible entry, and the highest position drawn so far.
    pub fn end(self, first: Option<i64>, drawn: i64) {
        let seen = Seen {
            first,
            drawn,
            next_xid: xact::next_id(),
            xmin: self.xmin,
            now: xact::clock(),
        };
        FLOORS.with_borrow_mut(|floors| {
            if floors.learned.len() + floors.kept.len() > LINES {
                floors.kept.clear();
                floors.learned.clear();
            }
            let kept = &floors.kept;
            let floor = floors
                .learned
                .entry(self.line)
                .or_insert_with_key(|line| kept.get(line).copied().unwrap_or_default());
            floor.learn(self.start, &seen);
        });
    }
}

/// At the end of a transaction nothing may fail: a borrow that is still held is left alone.
fn end(stands: bool) {
    FLOORS.with(|floors| {
        if let Ok(mut floors) = floors.try_borrow_mut() {
            let learned = std::mem::take(&mut floors.learned);
            if stands {
                floors.kept.extend(learned);
            }
        }
    });
}
