//! R4: an event after `final`, and a cancel before the first step.

use crate::arena::{Arena, Seat, pause};
use anyhow::Result;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A runner has so many steps to report, if it gets so far.
const STEPS: i32 = 8;
/// How often a consumer looks again after everybody else is done.
const LAST_LOOKS: usize = 3;

/// How many of runner and manager are done.
#[derive(Default)]
pub struct Done(AtomicUsize);

/// The runner, the manager, the consumer.
pub fn tape(arena: &Arena) -> Result<()> {
    arena.play(
        |line, contest, _| line.run("CALL prepare($1)", &[&contest]),
        |seat: &mut Seat<Done>| {
            let n = seat.contest;
            match seat.side {
                0 => {
                    for step in 1..=STEPS {
                        let ms = seat.dice.ms(1.0);
                        let percent = 100 * step / STEPS;
                        let row = seat
                            .line
                            .row("SELECT progress($1, $2, $3)", &[&n, &percent, &ms])?;
                        if row.is_none_or(|row| row.get::<_, &str>(0) != "appended") {
                            break;
                        }
                    }
                    seat.deal.0.fetch_add(1, SeqCst);
                }
                1 => {
                    let ms = 1.0 + seat.dice.ms(6.0);
                    let state = if n % 2 == 0 { "cancelled" } else { "completed" };
                    seat.line
                        .run("CALL finish($1, $2, $3)", &[&n, &state, &ms])?;
                    seat.deal.0.fetch_add(1, SeqCst);
                }
                _ => {
                    let mut looks = 0;
                    while looks < LAST_LOOKS {
                        looks += usize::from(seat.deal.0.load(SeqCst) == 2);
                        let row = seat.line.row("SELECT follow($1)", &[&n])?;
                        if row.is_some_and(|row| row.get(0)) {
                            break;
                        }
                        pause(1.0);
                    }
                }
            }
            Ok(())
        },
    )
}

/// The runner and the manager.
pub fn cancel(arena: &Arena) -> Result<()> {
    arena.play(
        |line, contest, _| line.run("CALL prepare($1)", &[&contest]),
        |seat: &mut Seat<()>| {
            let (later, ms) = (seat.dice.ms(2.0), seat.dice.ms(1.5));
            let call = match seat.side {
                0 => "CALL run($1, $2, $3)",
                _ => "CALL cancel($1, $2, $3)",
            };
            seat.line.run(call, &[&seat.contest, &later, &ms])
        },
    )
}
