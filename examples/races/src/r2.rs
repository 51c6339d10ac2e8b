//! R2: five items, three at a time, one successor.

use crate::arena::{Arena, Line, Seat, Values, locked, pause};
use anyhow::Result;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const ITEMS: usize = 5;
/// The items before these end as soon as they can; these are in flight together, and end together.
const LAST: usize = 3;
const EXECUTORS: usize = 3;
const COPIES: usize = 2;

/// What the sides of a group share.
#[derive(Default)]
pub struct Group {
    taken: AtomicUsize,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    handled: AtomicUsize,
    messages: Mutex<Vec<Message>>,
    /// When each end began, and when it was answered.
    ends: Mutex<Vec<(Instant, Instant)>>,
}

impl Group {
    /// Whether the last two ends were under way at the same time.
    fn last_ends_overlap(&self) -> bool {
        let mut ends = locked(&self.ends).clone();
        ends.sort_by_key(|(_, answered)| *answered);
        matches!(ends[..], [.., (_, before), (last, _)] if last < before)
    }
}

struct Message {
    item: i64,
    due: Instant,
}

/// A worker for each item, and copies of an executor that handles their messages.
pub fn messages(arena: &Arena) -> Result<()> {
    let arena = Arena {
        sides: ITEMS + EXECUTORS,
        ..*arena
    };
    play(&arena)
}

/// The workers alone.
pub fn chord(arena: &Arena) -> Result<()> {
    let arena = Arena {
        sides: ITEMS,
        ..*arena
    };
    play(&arena)
}

fn play(arena: &Arena) -> Result<()> {
    let has_executors = arena.sides > ITEMS;
    arena.play(
        |line, contest, table| line.run("CALL prepare($1, $2)", &[&contest, &(table as i32)]),
        |seat: &mut Seat<Group>| {
            if seat.side < ITEMS {
                work(seat, has_executors)?;
            } else {
                execute(seat)?;
            }
            seat.meet()?;
            if seat.side == 0 {
                let most = seat.deal.most_in_flight.load(SeqCst).to_string();
                let last = if seat.deal.last_ends_overlap() { "overlap" } else { "apart" };
                let insert = "INSERT INTO told VALUES ($1, 'group', 'in flight', $2), ($1, 'group', 'last two ends', $3)";
                seat.line.run(insert, &[&seat.contest, &most, &last])?;
            }
            Ok(())
        },
    )?;
    let mut line = Line::open(arena.socket_dir, arena.database)?;
    line.run("CALL ship()", &[])
}

fn work(seat: &mut Seat<Group>, has_executors: bool) -> Result<()> {
    let group = seat.deal;
    let worker = format!("worker-{}", seat.side);
    let (reading, thinking, later) = (seat.dice.ms(0.5), seat.dice.ms(2.0), seat.dice.ms(1.0));
    let (item, token): (i64, i64) = loop {
        let take = "SELECT id, token FROM take($1, $2, $3, $4)";
        let values: Values = &[&seat.contest, &(seat.table as i32), &worker, &reading];
        match seat.line.row(take, values)? {
            Some(row) => break (row.get(0), row.get(1)),
            None => pause(0.3),
        }
    };
    let now = group.in_flight.fetch_add(1, SeqCst) + 1;
    group.most_in_flight.fetch_max(now, SeqCst);
    if group.taken.fetch_add(1, SeqCst) >= ITEMS - LAST {
        seat.until(|| group.taken.load(SeqCst) == ITEMS)?;
    }
    pause(later);
    // From here on the end may be counted already: what is in flight is never overstated.
    group.in_flight.fetch_sub(1, SeqCst);
    let finish = "CALL finish($1, $2, $3, $4)";
    let values: Values = &[&seat.contest, &item, &token, &thinking];
    let begun = Instant::now();
    seat.line.run(finish, values)?;
    locked(&group.ends).push((begun, Instant::now()));
    if has_executors {
        for _ in 0..COPIES {
            let due = Instant::now() + Duration::from_secs_f64(seat.dice.ms(4.0) / 1000.0);
            locked(&group.messages).push(Message { item, due });
        }
    }
    Ok(())
}

fn execute(seat: &mut Seat<Group>) -> Result<()> {
    let group = seat.deal;
    loop {
        let mut message = None;
        let dice = &mut seat.dice;
        let mut look = || {
            let mut messages = locked(&group.messages);
            let now = Instant::now();
            let due: Vec<usize> = (0..messages.len())
                .filter(|n| messages[*n].due <= now)
                .collect();
            if !due.is_empty() {
                message = Some(messages.swap_remove(due[dice.below(due.len())]));
                group.handled.fetch_add(1, SeqCst);
            }
            message.is_some() || group.handled.load(SeqCst) == ITEMS * COPIES
        };
        while !look() {
            pause(0.2);
        }
        let Some(message) = message else {
            return Ok(());
        };
        let thinking = seat.dice.ms(3.0);
        let values: Values = &[&seat.contest, &message.item, &thinking];
        seat.line.run("CALL handle($1, $2, $3)", values)?;
    }
}
