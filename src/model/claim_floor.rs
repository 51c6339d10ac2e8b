//! Where a scan of a line may start without missing anything.
//!
//! A line is an index over a position that only grows: the place in line of a ready task, or the time
//! at which a lease or a scheduled task must be looked at. Entries at its low end are taken all the
//! time, and while anybody holds an old snapshot the dead entries stay in the index: every scan from
//! the start steps over all of them (4,000 lifecycles/s became 314 after 50 s). A floor in the
//! backend's memory lets the scan start behind them.
//!
//! The argument: whoever puts an entry into a line has a transaction id *before* it draws the
//! position. Take a mark (P, X): P the highest position drawn so far, X the next transaction id, read
//! after P. Then all entries up to P were put there by transactions older than X. Once a snapshot has
//! no running transaction of others older than X (`xmin >= X`), an entry up to P that is not visible in it never
//! will be, so the floor may move to P, or to just below the first visible entry if that is lower.

/// The lowest position a scan must still look at, exclusive; see the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimFloor {
    /// Nothing at or below it will ever be visible.
    floor: i64,
    /// Where the last scan found its first visible entry, minus one: a guess that may pass over an
    /// entry whose transaction was still open then.
    hint: i64,
    mark: Option<Mark>,
    /// When the last scan from the floor began, within `SWEEP_EVERY`.
    swept_at: i64,
    /// When the last scan from the very start began.
    rebuilt_at: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    position: i64,
    next_xid: u64,
    taken_at: i64,
}

/// A writer that stays open for longer than this (µs) makes the scans start at the hint…
const PATIENCE: i64 = 200_000;
/// …and from the floor once in this time (µs), so that nothing is found later than that.
const SWEEP_EVERY: i64 = 1_000_000;
/// A floor over times trusts that the clock does not step back; this often (µs) it does not.
const DISTRUST_EVERY: i64 = 60_000_000;

/// What a scan has seen, to be told to the floor.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// The first visible entry above the scan's start, locked by others or not.
    pub first: Option<i64>,
    /// The highest position drawn so far, and the next transaction id, read after it.
    pub drawn: i64,
    pub next_xid: u64,
    /// The oldest other transaction running when the scan's snapshot was taken.
    pub xmin: u64,
    pub now: i64,
}

impl Default for ClaimFloor {
    fn default() -> Self {
        ClaimFloor {
            floor: i64::MIN,
            hint: i64::MIN,
            mark: None,
            swept_at: i64::MIN,
            rebuilt_at: i64::MIN,
        }
    }
}

impl ClaimFloor {
    /// Where to start a scan (exclusive). `xmin` is of a snapshot not newer than the scan's.
    pub fn start(&self, xmin: u64, now: i64) -> i64 {
        match self.mark {
            Some(mark)
                if xmin < mark.next_xid
                    && now.saturating_sub(mark.taken_at) > PATIENCE
                    && now.saturating_sub(self.swept_at) < SWEEP_EVERY =>
            {
                self.hint.max(self.floor)
            }
            _ => self.floor,
        }
    }

    /// Where to start a scan that must not miss anything.
    pub fn sure_start(&self) -> i64 {
        self.floor
    }

    /// The same for a line of times.
    pub fn start_of_times(&self, xmin: u64, now: i64) -> i64 {
        if now < self.floor || now.saturating_sub(self.rebuilt_at) > DISTRUST_EVERY {
            i64::MIN
        } else {
            self.start(xmin, now)
        }
    }

    /// Learns from a scan that began at `start`.
    pub fn learn(&mut self, start: i64, seen: &Seen) {
        let below_first = seen.first.map_or(i64::MAX, |first| first.saturating_sub(1));
        if start <= self.floor {
            if start < self.floor {
                self.floor = start;
                self.mark = None;
            }
            if seen.now.saturating_sub(self.swept_at) >= SWEEP_EVERY {
                self.swept_at = seen.now;
            }
            if start == i64::MIN {
                self.rebuilt_at = seen.now;
            }
            if let Some(mark) = self.mark.filter(|mark| seen.xmin >= mark.next_xid) {
                self.floor = self.floor.max(mark.position.min(below_first));
                self.mark = None;
            }
        }
        self.hint = self.floor.max(below_first.min(seen.drawn));
        if self.mark.is_none() {
            self.mark = Some(Mark {
                position: seen.drawn,
                next_xid: seen.next_xid,
                taken_at: seen.now,
            });
        }
    }
}
