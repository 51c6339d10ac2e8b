//! What came of it, claim by claim, each checked in the database or against the files themselves.

use super::files::{Input, Totals};
use super::workers::{Crew, Lease};
use super::{DATABASE, FOLD_QUEUE, Group, Trouble, items};
use crate::cluster::Cluster;
use anyhow::{Context, Result, bail};
use serde_json::Value;

/// One event of a tape.
pub struct Event {
    pub seq: i64,
    pub kind: String,
    pub body: Value,
    pub seconds: f64,
    pub token: Option<i64>,
}

/// Prints a line per claim and remembers which did not hold.
#[derive(Default)]
pub struct Claims {
    broken: Vec<&'static str>,
}

/// Prints the summary; an error if anything is not as it must be.
pub fn print(
    cluster: &Cluster,
    group: &Group,
    input: &Input,
    crew: &Crew,
    trouble: &Trouble,
    fold: i64,
) -> Result<()> {
    let mut claims = Claims::default();
    println!("\nSummary");
    tasks(&mut claims, cluster, group, crew)?;
    killed(&mut claims, cluster, crew, trouble)?;
    late(&mut claims, cluster, crew, trouble)?;
    successor(&mut claims, cluster, trouble, fold)?;
    totals(&mut claims, cluster, input, fold)?;
    check(&mut claims, cluster)?;
    claims.end()
}

fn tasks(claims: &mut Claims, cluster: &Cluster, group: &Group, crew: &Crew) -> Result<()> {
    let total = group.total;
    let row = json_row(
        cluster,
        &format!(
            "SELECT json_build_array(count(*), count(*) FILTER (WHERE item.state = 'completed'),
                    count(*) FILTER (WHERE tape.finals = 1 AND tape.final_is_last AND tape.dense),
                    sum(tape.finals), sum(tape.leases), sum(tape.lost))
               FROM {},
            LATERAL (SELECT count(*) FILTER (WHERE kind = 'final') AS finals,
                            count(*) FILTER (WHERE kind = 'leased') AS leases,
                            count(*) FILTER (WHERE kind = 'lease_lost') AS lost,
                            max(seq) = max(seq) FILTER (WHERE kind = 'final') AS final_is_last,
                            max(seq) = count(*) AS dense
                       FROM task_events(item.task_id)) AS tape",
            items(group)
        ),
    )?;
    let number = |n: usize| row[n].as_u64().unwrap_or(0);
    claims.say(
        "tasks",
        number(0) == total as u64 && number(1) == total as u64,
        &format!(
            "{total} created, {} completed, leased {} times, {} leases lost",
            number(1),
            number(4),
            number(5)
        ),
    );
    let finalized = crew.finalized()?;
    let answers: usize = finalized.iter().map(|(_, count)| count).sum();
    claims.say(
        "finalized once",
        number(2) == total as u64 && number(3) == total as u64 && answers == total,
        &format!(
            "{} tapes with exactly one final event, their last; {answers} answers `finalized`",
            number(2)
        ),
    );
    let shares: Vec<String> = finalized
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    println!("{:24}{}", "", shares.join(", "));
    Ok(())
}

fn killed(claims: &mut Claims, cluster: &Cluster, crew: &Crew, trouble: &Trouble) -> Result<()> {
    done_again(claims, cluster, crew.name(trouble.victim), trouble.killed)
}

/// The task of a worker that was killed: its lease was lost, and another worker has done it.
pub fn done_again(claims: &mut Claims, cluster: &Cluster, name: &str, killed: Lease) -> Result<()> {
    let tape = tape(cluster, &format!("task_events({})", killed.task_id))?;
    let mine = tape
        .iter()
        .position(|e| e.kind == "leased" && e.token == Some(killed.token));
    let lost = tape
        .iter()
        .position(|e| e.kind == "lease_lost" && e.body["owner"] == name);
    let again = tape
        .iter()
        .rposition(|e| e.kind == "leased" && e.body["owner"] != name);
    let ended = tape
        .last()
        .is_some_and(|e| e.kind == "final" && e.body["state"] == "completed");
    claims.say(
        "killed worker",
        ended && mine.is_some() && mine < lost && lost < again,
        &format!(
            "{name} died by kill -9 over task {}; the tape of that task:",
            killed.task_id
        ),
    );
    show(&tape);
    Ok(())
}

fn late(claims: &mut Claims, cluster: &Cluster, crew: &Crew, trouble: &Trouble) -> Result<()> {
    let tape = tape(cluster, &format!("task_events({})", trouble.late.task_id))?;
    let last = tape.last().context("a finished task has no event")?;
    let outrun = matches!(trouble.told.as_str(), "lease_lost" | "terminal");
    claims.say(
        "late worker",
        outrun && last.kind == "final" && last.token != Some(trouble.late.token),
        &format!(
            "{} slept {:.1} s over task {}, woke, reported its result, and was told: {}",
            crew.name(trouble.sleeper),
            trouble.slept.as_secs_f32(),
            trouble.late.task_id,
            trouble.told
        ),
    );
    show(&tape);
    Ok(())
}

/// Asks for the successor once more: it must be the one that was folded, and no second one.
fn successor(claims: &mut Claims, cluster: &Cluster, trouble: &Trouble, fold: i64) -> Result<()> {
    let row = json_row(
        cluster,
        &format!(
            "SELECT json_build_array(d.outcome, d.successor_task_id, (SELECT g.state FROM task_get({fold}) AS g))
               FROM task_dispatch_successor({}, 'fold', '{FOLD_QUEUE}', '{{\"items\": \"hash_file\"}}') AS d",
            trouble.killed.task_id
        ),
    )?;
    claims.say(
        "one successor",
        row[0] == "already_dispatched" && row[1] == fold && row[2] == "completed",
        &format!(
            "task {fold} folded the group; asking for it again is answered {}",
            text(&row[0])
        ),
    );
    Ok(())
}

fn totals(claims: &mut Claims, cluster: &Cluster, input: &Input, fold: i64) -> Result<()> {
    let report = json_row(cluster, &format!("SELECT result FROM task_get({fold})"))?;
    compare(claims, "folded totals", &report, input)
}

/// What a report says, and what a direct count of the files says.
pub fn compare(
    claims: &mut Claims,
    claim: &'static str,
    report: &Value,
    input: &Input,
) -> Result<()> {
    let number = |field: &str| report[field].as_u64().unwrap_or(0);
    let reported = Totals {
        files: number("files"),
        bytes: number("bytes"),
        lines: number("lines"),
        words: number("words"),
        digest: text(&report["digest"]),
    };
    let direct = input.count()?;
    claims.say(
        claim,
        reported == direct,
        &format!(
            "{} files, {} bytes, {} lines, {} words, digest {:.16}…",
            reported.files, reported.bytes, reported.lines, reported.words, reported.digest
        ),
    );
    if reported == direct {
        println!("{:24}the same as a direct count of the files", "");
    } else {
        println!("{:24}a direct count of the files says {direct:?}", "");
    }
    Ok(())
}

pub fn check(claims: &mut Claims, cluster: &Cluster) -> Result<()> {
    let rows = cluster.psql(
        DATABASE,
        "SELECT json_build_array(invariant, object, object_id, detail) FROM baton_check(true)",
    )?;
    let count = rows.lines().count();
    claims.say(
        "baton_check(true)",
        count == 0,
        &format!("{count} broken invariants"),
    );
    rows.lines()
        .take(20)
        .for_each(|row| println!("        {row}"));
    Ok(())
}

/// A task's tape or a run's: what `task_events(…)` or `workflow_events(…)` returns.
pub fn tape(cluster: &Cluster, events: &str) -> Result<Vec<Event>> {
    let rows = cluster.psql(
        DATABASE,
        &format!(
            "SELECT json_build_array(seq, kind, body, extract(epoch FROM at - min(at) OVER ()), to_jsonb(event) -> 'lease_token')
               FROM {events} AS event ORDER BY seq"
        ),
    )?;
    rows.lines()
        .map(|row| {
            let row: Value = serde_json::from_str(row)?;
            Ok(Event {
                seq: row[0].as_i64().context("an event has no seq")?,
                kind: text(&row[1]),
                body: row[2].clone(),
                seconds: row[3].as_f64().unwrap_or(0.0),
                token: row[4].as_i64(),
            })
        })
        .collect()
}

pub fn show(tape: &[Event]) {
    let longest = tape.iter().map(|event| event.kind.len()).max();
    let wide = longest.unwrap_or_default().max(12);
    let has_tokens = tape.iter().any(|event| event.token.is_some());
    for event in tape {
        let Event {
            seq, kind, seconds, ..
        } = event;
        let token = event
            .token
            .map_or(String::new(), |token| format!("token {token}"));
        // A run's tape has no tokens at all.
        let token = if has_tokens {
            format!("{token:12} ")
        } else {
            token
        };
        let body = brief(&event.body);
        println!("        {seq:>3} {seconds:>7.3} s  {kind:wide$} {token}{body}");
    }
}

/// An event's body in one line: what is not null, the short things first.
fn brief(body: &Value) -> String {
    let mut fields: Vec<String> = body
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| format!("{name} {}", text(value)))
        .collect();
    fields.sort_by_key(String::len);
    let line = fields.join(", ");
    match line.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

pub fn json_row(cluster: &Cluster, sql: &str) -> Result<Value> {
    let row = cluster.psql(DATABASE, sql)?;
    serde_json::from_str(&row).with_context(|| format!("not a row: {row:?}\nof: {sql}"))
}

pub fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

impl Claims {
    pub fn say(&mut self, claim: &'static str, holds: bool, detail: &str) {
        println!(
            "  {:3} {claim:18}{detail}",
            if holds { "ok" } else { "NOT" }
        );
        if !holds {
            self.broken.push(claim);
        }
    }

    /// An error that names what does not hold.
    pub fn end(self) -> Result<()> {
        if !self.broken.is_empty() {
            bail!("not as it must be: {}", self.broken.join(", "));
        }
        Ok(())
    }
}
