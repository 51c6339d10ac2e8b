//! `cargo bench-sql`: the life of a task, one committed call each, beside the commit floor of the same run;
//! the same under a snapshot that somebody else holds; items of a wide step beside plain tasks; and the buffers an acquire touches.

use crate::cluster::Cluster;
use crate::setup::{self, Pg};
use anyhow::{Context, Result, bail, ensure};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const CLIENTS: &str = "8";
const ROUNDS: usize = 3;
const PARTS: [&str; 5] = ["lifecycle", "wide", "width", "slots", "buffers"];

struct Bench {
    pg: Pg,
    cluster: Cluster,
}

pub fn run(args: &[String]) -> Result<()> {
    let quick = args.iter().any(|arg| arg == "--quick");
    let seconds = if quick { 5 } else { 15 };
    let held = if quick { 15 } else { 60 };
    let pg = setup::ensure()?;
    setup::install(&pg)?;
    let conf = [
        ("shared_buffers", "1GB"),
        ("max_wal_size", "4GB"),
        ("max_connections", "50"),
    ];
    let cluster = Cluster::start(&pg, "bench", &conf)?;
    let bench = Bench { pg, cluster };

    println!(
        "{} clients, fsync on, medians of {ROUNDS} interleaved rounds of {seconds} s\n",
        CLIENTS
    );
    // Parts by their names, or all of them.
    let named = args.iter().any(|arg| PARTS.contains(&arg.as_str()));
    for part in PARTS {
        if named && !args.iter().any(|arg| arg == part) {
            continue;
        }
        match part {
            "lifecycle" => {
                bench.lifecycle(seconds)?;
                bench.held_snapshot(held)?;
            }
            "wide" => bench.wide_steps(if quick { 4_000 } else { 16_000 })?,
            "width" => bench.width(if quick { 2_000 } else { 10_000 })?,
            "slots" => {
                bench.slots(seconds)?;
                bench.waiters()?;
            }
            _ => bench.buffers()?,
        }
    }
    Ok(())
}

impl Bench {
    fn script(name: &str) -> PathBuf {
        setup::root().join("benches").join(name)
    }

    /// A fresh database, set up.
    fn database(&self, name: &str) -> Result<()> {
        self.cluster
            .psql("postgres", &format!("CREATE DATABASE {name};"))?;
        self.cluster
            .psql(name, &std::fs::read_to_string(Self::script("setup.sql"))?)?;
        Ok(())
    }

    /// Transactions (whole scripts) per second.
    fn pgbench(&self, db: &str, script: &str, clients: &str, limit: &[&str]) -> Result<f64> {
        let mut command = Command::new(self.pg.bin("pgbench"));
        command
            .envs(self.cluster.env())
            .args(["-n", "-M", "prepared", "-j", "2", "-c", clients]);
        command
            .args(limit)
            .arg("-f")
            .arg(Self::script(script))
            .arg(db);
        if script == "floor2.pgb" {
            command.env("PGOPTIONS", "-c session_replication_role=replica");
        }
        let out = command.output().context("cannot run pgbench")?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if !out.status.success() {
            bail!("pgbench {script}: {}", String::from_utf8_lossy(&out.stderr));
        }
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = "));
        let tps = tps
            .and_then(|rest| rest.split(' ').next())
            .context("pgbench printed no tps")?;
        Ok(tps.parse()?)
    }

    fn lifecycle(&self, seconds: u32) -> Result<()> {
        let workloads = [
            (
                "commit floor (three one-row updates)",
                "floor_db",
                "commit_floor.pgb",
            ),
            (
                "floor 2 (the same writes, ids given)",
                "floor2_db",
                "floor2.pgb",
            ),
            ("create, acquire, finalize", "life_db", "lifecycle.pgb"),
        ];
        for (_, db, _) in workloads {
            self.database(db)?;
        }
        let limit = ["-T", &seconds.to_string()];
        let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); workloads.len()];
        for round in 0..=ROUNDS {
            for (i, (_, db, script)) in workloads.iter().enumerate() {
                let limit = if round == 0 { ["-T", "3"] } else { limit }; // the first one warms up
                let tps = self.pgbench(db, script, CLIENTS, &limit)?;
                if round > 0 {
                    rounds[i].push(tps);
                }
            }
        }
        println!(
            "{:<40} {:>9} {:>9} {:>9} {:>7} {:>8}",
            "lifecycles/s", "median", "min", "max", "/floor", "/floor 2"
        );
        let medians: Vec<f64> = rounds.iter().map(|tps| median(tps)).collect();
        for (i, (name, ..)) in workloads.iter().enumerate() {
            let (min, max) = bounds(&rounds[i]);
            println!(
                "{name:<40} {:>9.0} {min:>9.0} {max:>9.0} {:>7.2} {:>8.2}",
                medians[i],
                medians[i] / medians[0],
                medians[i] / medians[1]
            );
        }
        println!();
        Ok(())
    }

    /// Clean, then `seconds` under a held snapshot, then clean again: the machine's speed drifts.
    fn held_snapshot(&self, seconds: u32) -> Result<()> {
        let limit = ["-T", &seconds.to_string()];
        let before = self.pgbench("life_db", "lifecycle.pgb", CLIENTS, &limit)?;
        let holder = self.hold_snapshot("life_db")?;
        let during = self.pgbench("life_db", "lifecycle.pgb", CLIENTS, &limit)?;
        let late = self.pgbench("life_db", "lifecycle.pgb", CLIENTS, &["-T", "10"])?;
        release(holder)?;
        let after = self.pgbench("life_db", "lifecycle.pgb", CLIENTS, &limit)?;
        let clean = (before + after) / 2.0;
        println!(
            "under a snapshot held by another session for {} s",
            seconds + 10
        );
        println!("  clean before, after        {before:.0}, {after:.0} lifecycles/s");
        println!("  held: {seconds} s, then 10 s more  {during:.0}, {late:.0} lifecycles/s");
        println!(
            "  held / clean               {:.2}, {:.2}\n",
            during / clean,
            late / clean
        );
        Ok(())
    }

    /// Items of one step, which end beside each other, against as many tasks that have nothing to do with each other.
    fn wide_steps(&self, items: usize) -> Result<()> {
        let workloads = [
            ("plain tasks", "plain_db", "plain_tasks.sql", 0),
            ("items of one step", "wide_db", "wide_step.sql", 0),
            (
                "items, max_parallel 100",
                "wide100_db",
                "wide_step.sql",
                100,
            ),
            ("items, max_parallel 16", "wide16_db", "wide_step.sql", 16),
            (
                "tasks in line for 8 slots",
                "slot_db",
                "slots_waiting.sql",
                0,
            ),
        ];
        println!(
            "acquire and finalize of {items} tasks that are there, {CLIENTS} clients, medians of {ROUNDS} interleaved rounds"
        );
        let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); workloads.len()];
        for round in 0..ROUNDS {
            for (i, (_, db, script, max_parallel)) in workloads.iter().enumerate() {
                let db = format!("{db}{round}");
                self.database(&db)?;
                self.cluster.psql(&db, "SELECT queue_pause('bench');")?; // the setup's own tasks end there
                self.cluster.psql(&db, "SELECT task_cancel(task_id) FROM baton.task_live; SELECT queue_resume('bench');")?;
                rounds[i].push(self.work_off(&db, script, items, *max_parallel)?);
            }
        }
        let plain = median(&rounds[0]);
        for (i, (name, ..)) in workloads.iter().enumerate() {
            let (min, max) = bounds(&rounds[i]);
            let own = median(&rounds[i]);
            println!(
                "  {name:<26} {own:>7.0}/s  {min:>7.0} {max:>7.0}  / plain {:>5.2}",
                own / plain
            );
        }
        println!();
        Ok(())
    }

    /// The cost of an item of a step ten times as wide, alone and under a held snapshot.
    fn width(&self, items: usize) -> Result<()> {
        println!(
            "a whole step of {items} items, and one of ten times as many: seconds, from its start to its end"
        );
        for held in [false, true] {
            let mut seconds = Vec::new();
            for (n, db) in [(items, "narrow"), (items * 10, "wide")] {
                let db = format!("{db}_{held}");
                self.database(&db)?;
                self.cluster
                    .psql(&db, "SELECT task_cancel(task_id) FROM baton.task_live;")?;
                let holder = held.then(|| self.hold_snapshot(&db)).transpose()?;
                let begun = std::time::Instant::now();
                self.work_off(&db, "wide_step.sql", n, 0)?;
                seconds.push(begun.elapsed().as_secs_f64());
                holder.map(release).transpose()?;
            }
            let held = if held {
                "under a held snapshot"
            } else {
                "alone"
            };
            println!(
                "  {held:<22} {:>6.1} {:>7.1}  ratio {:.1}",
                seconds[0],
                seconds[1],
                seconds[1] / seconds[0]
            );
        }
        println!();
        Ok(())
    }

    /// Makes tasks and works them off, one by one; how many a second, the making left out.
    fn work_off(&self, db: &str, script: &str, items: usize, max_parallel: usize) -> Result<f64> {
        let variables = format!(
            "\\set items {items}\n\\set max_parallel {max_parallel}\nSET pg_baton.max_payload_bytes = '64MB';\n"
        );
        let script = std::fs::read_to_string(Self::script(script))?;
        self.cluster.psql(db, &(variables + &script))?;
        let clients: usize = CLIENTS.parse()?;
        let begun = std::time::Instant::now();
        let mut ended = 0;
        // An acquire may come up empty beside others, and in a line for few slots often does: the rest once more.
        for _ in 0..20 {
            let each = (items - ended).div_ceil(clients).to_string();
            self.pgbench(db, "work_off.pgb", CLIENTS, &["-t", &each])?;
            let done = "SELECT count(*) FROM baton.task_done WHERE state = 10";
            ended = self.cluster.psql(db, done)?.trim().parse()?;
            if ended == items {
                break;
            }
        }
        ensure!(ended == items, "{ended} of {items} tasks ended");
        Ok(items as f64 / begun.elapsed().as_secs_f64())
    }

    /// A task's life with slots, which are free, beside one without.
    fn slots(&self, seconds: u32) -> Result<()> {
        let workloads = [
            ("plain tasks", "slots_none.pgb"),
            ("one key, capacity 8", "slots_one.pgb"),
            ("1,000 keys", "slots_many.pgb"),
            ("three keys a task", "slots_three.pgb"),
        ];
        println!(
            "create, acquire, finalize with slots, {CLIENTS} clients, medians of {ROUNDS} interleaved rounds of {seconds} s"
        );
        for (i, _) in workloads.iter().enumerate() {
            let db = format!("slots{i}");
            self.database(&db)?;
            let keys = std::fs::read_to_string(Self::script("slots.sql"))?;
            self.cluster.psql(&db, &keys)?;
        }
        let limit = seconds.to_string();
        let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); workloads.len()];
        for round in 0..=ROUNDS {
            for (i, (_, script)) in workloads.iter().enumerate() {
                let limit = if round == 0 { "3" } else { &limit }; // the first one warms up
                let tps = self.pgbench(&format!("slots{i}"), script, CLIENTS, &["-T", limit])?;
                if round > 0 {
                    rounds[i].push(tps);
                }
            }
        }
        let plain = median(&rounds[0]);
        for (i, (name, ..)) in workloads.iter().enumerate() {
            let (min, max) = bounds(&rounds[i]);
            let own = median(&rounds[i]);
            println!(
                "  {name:<26} {own:>7.0}/s  {min:>7.0} {max:>7.0}  / plain {:>5.2}",
                own / plain
            );
        }
        println!();
        Ok(())
    }

    /// What 1,000,000 tasks in line for a key that is full cost those of another key: in buffers, which are exact.
    fn waiters(&self) -> Result<()> {
        println!("buffers touched by create, acquire and finalize of a task with a slot key");
        let db = "waiters_db";
        self.database(db)?;
        self.cluster.psql(
            db,
            "SELECT task_cancel(task_id) FROM baton.task_live; SELECT slot_set('other', 8); VACUUM ANALYZE;",
        )?;
        let alone = self.life_buffers(db)?;
        println!("  nothing beside it                          {alone}");
        let script = std::fs::read_to_string(Self::script("slots_waiting.sql"))?;
        self.cluster
            .psql(db, &format!("\\set items 1000000\n{script}"))?;
        let full = self.life_buffers(db)?;
        println!("  1,000,000 tasks in line for another key    {full}");
        println!(
            "  ratio                                      {:.2}\n",
            full / alone
        );
        Ok(())
    }

    fn life_buffers(&self, db: &str) -> Result<f64> {
        let explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, FORMAT JSON)";
        let one = format!(
            "{explain} SELECT * FROM task_create('bench', priority => 9, slot_keys => '{{other}}');\n\
             {explain} SELECT * FROM task_acquire_lease('bench', 'worker');\n\
             SELECT task_id, lease_token FROM baton.task_live WHERE state = 3 AND queue_id = 1 ORDER BY check_at DESC LIMIT 1 \\gset\n\
             {explain} SELECT * FROM task_finalize(:task_id, :lease_token, 'completed');\n"
        );
        let out = self.cluster.psql(db, &one.repeat(20))?;
        let mut counts = Vec::new();
        for plan in serde_json::Deserializer::from_str(&out).into_iter::<serde_json::Value>() {
            counts.push(buffers_of(&plan?[0]["Plan"]));
        }
        let lives: Vec<f64> = counts.chunks(3).map(|life| life.iter().sum()).collect();
        Ok(median(&lives[5..]))
    }

    /// Buffers touched by one acquire: exact, where times are noisy.
    fn buffers(&self) -> Result<()> {
        println!(
            "buffers touched by one acquire (median of 20 in one session, the first 5 left out)"
        );
        self.database("empty_db")?;
        let empty = self.acquire_buffers("empty_db")?;
        println!("  nothing but 1,000 ready tasks              {empty}");
        self.cluster.psql(
            "empty_db",
            &std::fs::read_to_string(Self::script("ballast.sql"))?,
        )?;
        let full = self.acquire_buffers("empty_db")?;
        println!("  + 1,000,000 finished, scheduled, blocked; 10,000 leased  {full}");
        let holder = self.hold_snapshot("empty_db")?;
        self.pgbench("empty_db", "lifecycle.pgb", CLIENTS, &["-t", "2500"])?;
        let held = self.acquire_buffers("empty_db")?;
        release(holder)?;
        println!("  + a held snapshot and 20,000 lifecycles    {held}");
        let worst = full.max(held) / empty;
        println!("  worst / empty                              {worst:.2}");
        Ok(())
    }

    fn acquire_buffers(&self, db: &str) -> Result<f64> {
        let one = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, COSTS OFF, FORMAT JSON) SELECT * FROM task_acquire_lease('bench', 'worker');\n";
        let out = self.cluster.psql(db, &one.repeat(20))?;
        let mut counts = Vec::new();
        for plan in serde_json::Deserializer::from_str(&out).into_iter::<serde_json::Value>() {
            let plan = plan?;
            counts.push(buffers_of(&plan[0]["Plan"]));
        }
        Ok(median(&counts[5..]))
    }

    /// A session that holds a snapshot, in a transaction that writes nothing.
    fn hold_snapshot(&self, db: &str) -> Result<Child> {
        let mut child = Command::new(self.pg.bin("psql"))
            .envs(self.cluster.env())
            .args(["-XAtq", "-d", db])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("cannot run psql")?;
        let stdin = child.stdin.as_mut().expect("stdin is piped");
        stdin.write_all(
            b"BEGIN ISOLATION LEVEL REPEATABLE READ;\nSELECT count(*) FROM baton.queue;\n",
        )?;
        stdin.flush()?;
        std::thread::sleep(Duration::from_secs(1));
        Ok(child)
    }
}

fn buffers_of(plan: &serde_json::Value) -> f64 {
    let blocks = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    blocks("Shared Hit Blocks") + blocks("Shared Read Blocks")
}

fn release(mut holder: Child) -> Result<()> {
    drop(holder.stdin.take());
    holder.wait()?;
    Ok(())
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn bounds(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::MAX, f64::MIN), |(min, max), v| {
        (min.min(*v), max.max(*v))
    })
}
