//! R5: a stale plan saved over the ends of its steps.

use crate::arena::{Arena, Seat};
use anyhow::Result;

pub fn plan(arena: &Arena) -> Result<()> {
    arena.play(
        |line, contest, _| line.run("CALL prepare($1)", &[&contest]),
        |seat: &mut Seat<()>| {
            let n = seat.contest;
            let step = ["a", "b", "c"][seat.side];
            let state = if step == "a" { "failed" } else { "completed" };
            let ms = seat.dice.ms(1.0);
            let report = "CALL report($1, $2, $3, $4)";
            if step == "a" {
                seat.line.run(report, &[&n, &step, &state, &0.0])?;
                let ms = 2.0 + seat.dice.ms(2.0);
                return seat.line.run("CALL pause_on_error($1, $2)", &[&n, &ms]);
            }
            let ms = 1.0 + ms;
            seat.line.run(report, &[&n, &step, &state, &ms])
        },
    )
}
