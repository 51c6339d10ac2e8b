//! R3: three workers, one saga: they create it, lease it, send heartbeats and end it.

use crate::arena::{Arena, Seat, locked, pause};
use anyhow::Result;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Every so many contests the lease is a short one, and it is taken over when it runs out.
const TAKE_OVER_EVERY: i32 = 10;
const SHORT: Duration = Duration::from_millis(120);

/// What was told to the sides of a contest.
#[derive(Default)]
pub struct Told {
    holder: Mutex<Option<Holder>>,
    looks: Mutex<Vec<Option<String>>>,
}

#[derive(Clone, Copy)]
struct Holder {
    side: usize,
    token: i64,
    since: Instant,
}

pub fn lease(arena: &Arena) -> Result<()> {
    arena.play(|_, _, _| Ok(()), play)
}

fn play(seat: &mut Seat<Told>) -> Result<()> {
    let n = seat.contest;
    let takes_over = n % TAKE_OVER_EVERY == 0;
    let who = name(seat.side);
    let ms = seat.dice.ms(1.0);
    let create = "SELECT create_saga($1, $2, $3)";
    seat.line.run(create, &[&n, &who, &ms])?;
    seat.meet()?;

    let ttl = if takes_over { SHORT } else { LONG };
    acquire(seat, ttl, "acquire")?;
    seat.meet()?;
    if takes_over {
        expire(seat)?;
        seat.meet()?;
    }
    let Some(holder) = *locked(&seat.deal.holder) else {
        return Ok(()); // it would be seen as a saga that never ended
    };

    // Heartbeats that must not count: by whom it does not belong to, with a lease that nobody has, and too short a one.
    if seat.side == 0 {
        look(seat)?;
    }
    seat.meet()?;
    if seat.side == holder.side {
        heartbeat(seat, who, holder.token, "1 s", "wrong heartbeat: too short")?;
    } else if seat.side == (holder.side + 1) % 3 {
        heartbeat(
            seat,
            who,
            holder.token + 1_000_000,
            "20 min",
            "wrong heartbeat: not the owner",
        )?;
    } else {
        heartbeat(seat, "nobody", 0, "20 min", "wrong heartbeat: no lease")?;
    }
    seat.meet()?;
    if seat.side == 0 {
        look(seat)?;
        let looks = locked(&seat.deal.looks);
        let same = if looks[0] == looks[1] {
            "unchanged"
        } else {
            "changed"
        };
        let insert = "INSERT INTO told VALUES ($1, 'all', 'look', $2)";
        seat.line.run(insert, &[&n, &same])?;
    }
    seat.meet()?;

    // The end: the holder's, a second report of it that says otherwise, and the holder's own heartbeat thread.
    let owner = name(holder.side);
    let mine = seat.dice.ms(1.5);
    match (seat.side + 3 - holder.side) % 3 {
        0 => finalize(seat, owner, holder.token, "completed", "paid", mine)?,
        1 => {
            let (state, why) = if n % 2 == 0 {
                ("failed", "refused")
            } else {
                ("quarantined", "unclear")
            };
            finalize(seat, owner, holder.token, state, why, mine)?;
        }
        _ => heartbeat(seat, owner, holder.token, "20 min", "heartbeat at the end")?,
    }
    seat.meet()?;

    // After the end.
    match seat.side {
        0 => acquire(seat, LONG, "after the end: acquire"),
        1 => heartbeat(
            seat,
            owner,
            holder.token,
            "30 min",
            "after the end: heartbeat",
        ),
        _ => Ok(()),
    }
}

const LONG: Duration = Duration::from_secs(600);

fn name(side: usize) -> &'static str {
    ["saga-0", "saga-1", "saga-2"][side]
}

fn acquire(seat: &mut Seat<Told>, ttl: Duration, call: &'static str) -> Result<()> {
    let (who, ms) = (name(seat.side), seat.dice.ms(1.0));
    let ttl = ttl.as_secs_f64();
    let row = seat.line.row(
        "SELECT outcome, token FROM acquire($1, $2, make_interval(secs => $3), $4, $5)",
        &[&seat.contest, &who, &ttl, &call, &ms],
    )?;
    if let Some(row) = row
        && row.get::<_, &str>(0) == "acquired"
    {
        let (token, mut holder) = (row.get(1), locked(&seat.deal.holder));
        // On a busy machine a short lease may be over, and granted again, before its first holder gets here.
        if holder.is_none_or(|earlier| earlier.token <= token) {
            *holder = Some(Holder {
                side: seat.side,
                token,
                since: Instant::now(),
            });
        }
    }
    Ok(())
}

/// About when the lease runs out, its holder sends a heartbeat and the others acquire.
fn expire(seat: &mut Seat<Told>) -> Result<()> {
    let Some(holder) = *locked(&seat.deal.holder) else {
        return Ok(());
    };
    seat.meet()?;
    // As much before the end as a round trip takes, so that what was read is true and what is written is not.
    pause(seat.dice.ms(3.0));
    let left = SHORT.saturating_sub(holder.since.elapsed() + Duration::from_micros(2_500));
    std::thread::sleep(left);
    if seat.side == holder.side {
        heartbeat(
            seat,
            name(holder.side),
            holder.token,
            "10 min",
            "late heartbeat",
        )
    } else {
        acquire(seat, LONG, "take over")
    }
}

fn heartbeat(seat: &mut Seat<Told>, who: &str, token: i64, ttl: &str, call: &str) -> Result<()> {
    let ms = seat.dice.ms(1.0);
    seat.line.run(
        "SELECT heartbeat($1, $2, $3, $4::text::interval, $5, $6)",
        &[&seat.contest, &who, &token, &ttl, &call, &ms],
    )
}

fn finalize(
    seat: &mut Seat<Told>,
    who: &str,
    token: i64,
    state: &str,
    why: &str,
    ms: f64,
) -> Result<()> {
    seat.line.run(
        "SELECT finalize($1, $2, $3, $4, $5, $6)",
        &[&seat.contest, &who, &token, &state, &why, &ms],
    )
}

fn look(seat: &mut Seat<Told>) -> Result<()> {
    let row = seat.line.row("SELECT look($1)", &[&seat.contest])?;
    locked(&seat.deal.looks).push(row.and_then(|row| row.get(0)));
    Ok(())
}
