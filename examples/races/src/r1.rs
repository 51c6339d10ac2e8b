//! R1: finalize against reconciler, and requeue against start.

use crate::arena::{Arena, Line, Seat};
use anyhow::Result;

pub fn finalize(arena: &Arena) -> Result<()> {
    arena.play(
        |line, contest, _| line.run("CALL prepare($1)", &[&contest]),
        |seat: &mut Seat<()>| {
            let (later, ms) = (seat.dice.ms(1.5), seat.dice.ms(2.0));
            let call = match seat.side {
                0 => "CALL report($1, $2, $3)",
                _ => "CALL reconcile($1, $2, $3)",
            };
            seat.line.run(call, &[&seat.contest, &later, &ms])?;
            seat.meet()?;
            if seat.side == 0 {
                seat.line.run("CALL go_on($1)", &[&seat.contest])?;
                seat.line.run("SELECT deploy()", &[])?;
            }
            Ok(())
        },
    )?;
    // A deploy that was hidden from a look above, behind a transaction that was still open.
    let mut line = Line::open(arena.socket_dir, arena.database)?;
    let one = "SELECT 1 FROM deploy() AS done WHERE done";
    while line.row(one, &[])?.is_some() {}
    Ok(())
}

pub fn requeue(arena: &Arena) -> Result<()> {
    arena.play(
        |line, contest, _| line.run("CALL prepare($1)", &[&contest]),
        |seat: &mut Seat<()>| {
            let (later, ms) = (seat.dice.ms(1.5), seat.dice.ms(2.0));
            let call = match seat.side {
                0 => "CALL start($1, $2, $3)",
                _ => "CALL requeue($1, $2, $3)",
            };
            seat.line.run(call, &[&seat.contest, &later, &ms])?;
            seat.meet()?;
            if seat.side == 0 {
                seat.line.run("CALL take_again($1)", &[&seat.contest])?;
            }
            Ok(())
        },
    )
}
