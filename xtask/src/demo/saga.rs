//! `cargo demo -- saga`: trips are booked at services that no transaction reaches, by tasks that register what undoes each booking, and by
//! runs of `examples/trip.workflow.json`, whose steps say it. Cards are declined, one hotel takes nothing back, and a worker is
//! killed when it has undone something and before it could say so.

use super::runtimes::Runtimes;
use super::summary::{Claims, check, done_again, json_row, show, tape, text};
use super::workers::{Crew, Reach};
use super::{DATABASE, HELD_TO_DEATH, SHORT_TTL, TTL, literal};
use crate::cluster::Cluster;
use crate::setup::root;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const DEFINITION: &str = "trip.workflow.json";
const EXAMPLE: &str = "saga_worker";
const UNDO_QUEUE: &str = "undo";
/// Of every three trips one has a card that is declined.
const TRIPS: usize = 12;
const RUNS: usize = 6;
const EVERY: usize = 3;
/// How often a compensation is tried.
const ATTEMPTS: usize = 2;
/// How the tape of a run ends that was undone.
const RUN_TAPE: [&str; 5] = [
    "step_finalized",
    "compensating",
    "baton.compensation_finalized",
    "baton.compensation_finalized",
    "final",
];
/// The whole takes a few seconds; nothing in it should take so long by itself.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn demo(cluster: &Cluster, reach: &Reach, scratch: &Path, runtimes: &Runtimes) -> Result<()> {
    let python = runtimes
        .python()
        .context("the workers of this demo are in Python, which cannot run here")?;
    let folder = scratch.join("services");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let mut crew = Crew::new(EXAMPLE, reach, scratch)?;
    let mut claims = Claims::default();

    let trips = create_trips(cluster, &folder)?;
    for n in 1..=2 {
        crew.hire_for("trips", python, &format!("trips-{n}"), TTL)?;
    }
    // Nobody else is there to undo anything yet: the one that is killed surely holds a compensation of a trip.
    let victim = crew.hire_holding_for(UNDO_QUEUE, python, "killed", SHORT_TTL, HELD_TO_DEATH)?;
    let killed = crew.held_by(victim)?;
    crew.kill(victim)?;
    let runs = start_runs(cluster, &folder)?;
    for n in 1..=2 {
        crew.hire_for("booking", python, &format!("booking-{n}"), TTL)?;
        crew.hire_for(UNDO_QUEUE, python, &format!("undo-{n}"), TTL)?;
    }
    println!(
        "{TRIPS} trips as a task each, {RUNS} as runs of examples/{DEFINITION}; {} workers: {}",
        crew.names().len(),
        crew.names().join(", ")
    );
    println!("the services are files in {}", folder.display());
    println!(
        "killed {} with -9 when it had done task {}, and before it could say so",
        crew.name(victim),
        killed.task_id
    );
    wait(cluster, &mut crew)?;
    crew.dismiss()?;

    println!("\nLedgers");
    let undone = ask(
        cluster,
        &format!(
            "SELECT metadata -> 'compensates' FROM task_get({})",
            killed.task_id
        ),
    )?;
    let undone = undone
        .as_i64()
        .context("the killed worker's task compensates nothing")?;
    let kept = trips[kept()];
    let run = runs[EVERY - 1];
    task_ledger(cluster, undone)?;
    task_ledger(cluster, kept)?;
    run_ledger(cluster, run)?;

    println!("\nSummary");
    ends(&mut claims, cluster, &folder, &trips, &runs)?;
    order(&mut claims, cluster)?;
    done_again(&mut claims, cluster, crew.name(victim), killed)?;
    gave_up(&mut claims, cluster, kept)?;
    run_tape(&mut claims, cluster, run)?;
    check(&mut claims, cluster)?;
    claims.end()
}

fn is_declined(n: usize) -> bool {
    n % EVERY == EVERY - 1
}

/// The trip whose hotel takes nothing back: the last one whose card is declined.
fn kept() -> usize {
    (0..TRIPS)
        .rfind(|n| is_declined(*n))
        .expect("some cards are declined")
}

fn card(n: usize) -> &'static str {
    if is_declined(n) { "declined" } else { "good" }
}

fn create_trips(cluster: &Cluster, folder: &Path) -> Result<Vec<i64>> {
    let payloads: Vec<Value> = (0..TRIPS)
        .map(|n| {
            let hotel = if n == kept() { "kept" } else { "booked" };
            json!({"folder": folder, "trip": format!("trip-{n}"), "card": card(n), "hotel": hotel})
        })
        .collect();
    let created = cluster.psql(
        DATABASE,
        &format!(
            "SELECT queue_create('trips');
             SELECT queue_create('booking');
             SELECT queue_create('{UNDO_QUEUE}', max_attempts => {ATTEMPTS}, backoff_base => '100 ms');
             SELECT json_agg(task_id ORDER BY ordinal)
               FROM task_create_many('trips', ARRAY(SELECT jsonb_array_elements({})), name => 'trip')",
            literal(&serde_json::to_string(&payloads)?)
        ),
    )?;
    ids(&created)
}

fn start_runs(cluster: &Cluster, folder: &Path) -> Result<Vec<i64>> {
    let definition = fs::read_to_string(root().join("examples").join(DEFINITION))?;
    let inputs: Vec<Value> = (0..RUNS)
        .map(|n| {
            json!({"folder": folder, "card": card(n), "flight": format!("run-{n}-flight"), "hotel": format!("run-{n}-hotel"),
                   "payment": format!("run-{n}-payment")})
        })
        .collect();
    let started = cluster.psql(
        DATABASE,
        &format!(
            "SELECT workflow_define('trip', {});
             SELECT json_agg(run_id ORDER BY ordinal)
               FROM jsonb_array_elements({}) WITH ORDINALITY AS i (input, ordinal), workflow_start('trip', input, key => 'run-' || ordinal)",
            literal(&definition),
            literal(&serde_json::to_string(&inputs)?)
        ),
    )?;
    ids(&started)
}

/// The ids in the last line of an answer.
fn ids(answer: &str) -> Result<Vec<i64>> {
    let line = answer.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("these are no ids: {line}"))
}

fn ask(cluster: &Cluster, sql: &str) -> Result<Value> {
    json_row(cluster, sql)
}

/// Until all tasks and runs have ended.
fn wait(cluster: &Cluster, crew: &mut Crew) -> Result<()> {
    let begun = Instant::now();
    loop {
        let left = ask(
            cluster,
            "SELECT json_build_object(
                'tasks', (SELECT sum(scheduled + blocked + ready + running + compensating) FROM baton.queue_stats),
                'runs', (SELECT count(*) FROM baton.workflow_progress WHERE finalized_at IS NULL))",
        )?;
        if left["tasks"] == 0 && left["runs"] == 0 {
            return Ok(());
        }
        crew.check_health()?;
        if begun.elapsed() > PATIENCE {
            bail!(
                "after {:.0} s {left} are left: see {} and {}",
                begun.elapsed().as_secs_f32(),
                crew.output_dir().display(),
                cluster.log().display()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn task_ledger(cluster: &Cluster, task_id: i64) -> Result<()> {
    let task = ask(
        cluster,
        &format!(
            "SELECT json_build_array(payload ->> 'trip', state, reason, error ->> 'message') FROM task_get({task_id})"
        ),
    )?;
    println!(
        "  {}, task {task_id}: {}, {}: {}",
        text(&task[0]),
        text(&task[1]),
        text(&task[2]),
        text(&task[3])
    );
    let rows = ask(
        cluster,
        &format!(
            "SELECT json_agg(json_build_array(compensation_no, name, task_id, state, error ->> 'message')) FROM task_compensations({task_id})"
        ),
    )?;
    ledger(&rows);
    Ok(())
}

fn run_ledger(cluster: &Cluster, run_id: i64) -> Result<()> {
    let run = ask(
        cluster,
        &format!("SELECT json_build_array(key, state, counts::text) FROM workflow_get({run_id})"),
    )?;
    println!(
        "  {}, run {run_id}: {}; its tasks: {}",
        text(&run[0]),
        text(&run[1]),
        text(&run[2])
    );
    let rows = ask(
        cluster,
        &format!(
            "SELECT json_agg(json_build_array(row_number, name, task_id, state, error ->> 'message'))
               FROM (SELECT *, row_number() OVER () FROM workflow_compensations({run_id})) AS ledger"
        ),
    )?;
    ledger(&rows);
    Ok(())
}

fn ledger(rows: &Value) {
    for row in rows.as_array().into_iter().flatten() {
        let task = match &row[2] {
            Value::Null => "not run".to_owned(),
            task => format!("task {task}"),
        };
        let error = row[4].as_str().unwrap_or_default();
        println!(
            "        {:>3} {:14} {task:10} {:12}{error}",
            text(&row[0]),
            text(&row[1]),
            text(&row[3])
        );
    }
}

/// Each trip has ended as its card says, and its bookings at the services agree.
fn ends(
    claims: &mut Claims,
    cluster: &Cluster,
    folder: &Path,
    trips: &[i64],
    runs: &[i64],
) -> Result<()> {
    let states = ask(
        cluster,
        &format!(
            "SELECT json_build_array((SELECT json_agg(t.state ORDER BY t.task_id) FROM unnest(ARRAY{trips:?}) AS id, task_get(id) AS t),
                                     (SELECT json_agg(r.state ORDER BY r.run_id) FROM unnest(ARRAY{runs:?}) AS id, workflow_get(id) AS r))"
        ),
    )?;
    let mut right = 0;
    let (mut booked, mut cancelled) = (0, 0);
    for (kind, count, states) in [("trip", TRIPS, &states[0]), ("run", RUNS, &states[1])] {
        for n in 0..count {
            let is_kept = kind == "trip" && n == kept();
            let (state, bookings) = match (is_declined(n), is_kept) {
                (false, _) => ("completed", [Some("booked"), Some("booked"), Some("paid")]),
                (true, false) => ("compensated", [Some("cancelled"), Some("cancelled"), None]),
                // What was registered before the one that gave up is left as it is.
                (true, true) => ("quarantined", [Some("booked"), Some("kept"), None]),
            };
            let found = ["flight", "hotel", "payment"]
                .map(|what| fs::read_to_string(folder.join(format!("{kind}-{n}-{what}"))).ok());
            booked += found
                .iter()
                .flatten()
                .filter(|state| *state != "cancelled")
                .count();
            cancelled += found
                .iter()
                .flatten()
                .filter(|state| *state == "cancelled")
                .count();
            let agree = found.iter().map(Option::as_deref).eq(bookings);
            if states[n] == state && agree {
                right += 1;
            } else {
                println!(
                    "        {kind}-{n} is {}, and its bookings {found:?}",
                    states[n]
                );
            }
        }
    }
    let all = TRIPS + RUNS;
    claims.say(
        "trips",
        right == all,
        &format!(
            "{right} of {all} as their cards say, and the services agree: {booked} bookings and payments stand, {cancelled} are cancelled"
        ),
    );
    Ok(())
}

/// Over all ledgers: one compensation at a time, what was registered last first.
fn order(claims: &mut Claims, cluster: &Cluster) -> Result<()> {
    let row = ask(
        cluster,
        "SELECT json_build_array(count(*), count(*) FILTER (WHERE in_order), count(DISTINCT saga), sum(attempts), sum(lost)) FROM (
           SELECT saga, t.attempt AS attempts, t.lost_leases AS lost,
                  coalesce(t.created_at >= lag(t.finalized_at) OVER line AND c.registered < lag(c.registered) OVER line, true) AS in_order
             FROM (SELECT run_id AS saga, l.task_id, row_number() OVER () AS registered
                     FROM baton.workflow_progress, workflow_compensations(run_id) AS l WHERE l.task_id IS NOT NULL
                   UNION ALL
                   SELECT o.task_id, l.task_id, l.compensation_no
                     FROM task_list('trips', max_tasks => 1000) AS o, task_compensations(o.task_id) AS l WHERE l.task_id IS NOT NULL) AS c,
           LATERAL task_get(c.task_id) AS t
           WINDOW line AS (PARTITION BY saga ORDER BY t.created_at)) AS compensations",
    )?;
    claims.say(
        "last one first",
        row[0] == row[1] && row[0].as_u64() > Some(0),
        &format!(
            "{} compensations of {} trips, one at a time and in reverse order; {} attempts, {} lost",
            row[0], row[2], row[3], row[4]
        ),
    );
    Ok(())
}

/// The trip whose hotel takes nothing back.
fn gave_up(claims: &mut Claims, cluster: &Cluster, task_id: i64) -> Result<()> {
    let row = ask(
        cluster,
        &format!(
            "SELECT json_build_array((SELECT json_build_array(state, reason) FROM task_get({task_id})),
                                     (SELECT json_agg(json_build_array(name, state, task_id IS NOT NULL)) FROM task_compensations({task_id})))"
        ),
    )?;
    claims.say(
        "gave up",
        row == json!([
            ["quarantined", "compensation_failed"],
            [
                ["cancel_flight", "registered", false],
                ["cancel_hotel", "failed", true]
            ]
        ]),
        &format!(
            "task {task_id} is {} ({}); its flight stays booked until somebody looks at it",
            text(&row[0][0]),
            text(&row[0][1])
        ),
    );
    Ok(())
}

fn run_tape(claims: &mut Claims, cluster: &Cluster, run_id: i64) -> Result<()> {
    let events = tape(cluster, &format!("workflow_events({run_id})"))?;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind.as_str()).collect();
    claims.say(
        "tape of the run",
        kinds.ends_with(&RUN_TAPE),
        "what was done, and that it was undone:",
    );
    show(&events);
    Ok(())
}
