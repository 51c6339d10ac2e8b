//! Exact counts, where times are noisy: buffers touched, bytes of WAL, statements, and which updates were heap-only.

use super::Bench;
use super::rounds::{Load, Spread};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What a create, an acquire and a finalize touch each.
pub struct Verbs {
    pub buffers: [f64; 3],
    pub wal: [f64; 3],
    /// Statements that each runs inside; none if the server has no auto_explain.
    pub statements: Option<[usize; 3]>,
}

/// What a load touches per transaction, its commits included.
#[derive(Clone, Copy)]
pub struct Life {
    pub buffers: f64,
    pub wal: f64,
}

/// While counting, the server does nothing of its own: no autovacuum, and no images of pages, which come with the first
/// change after a checkpoint, whenever that was.
struct Quiet<'a>(&'a Bench);

impl Quiet<'_> {
    fn begin(bench: &Bench) -> Result<Quiet<'_>> {
        let quiet = Quiet(bench);
        quiet.set("off")?;
        for _ in 0..1200 {
            let busy =
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'";
            if bench.number("postgres", busy)? == 0.0 {
                return Ok(quiet);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        bail!("autovacuum does not end")
    }

    fn set(&self, to: &str) -> Result<()> {
        for setting in ["autovacuum", "full_page_writes"] {
            let set = format!("ALTER SYSTEM SET {setting} = {to}");
            self.0.psql("postgres", &set)?;
        }
        self.0.psql("postgres", "SELECT pg_reload_conf()")?;
        std::thread::sleep(Duration::from_millis(500)); // every process reads it when it next looks up
        Ok(())
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.set("on") {
            eprintln!("cannot switch autovacuum on again: {error:#}");
        }
    }
}

const EXPLAIN: &str = "EXPLAIN (ANALYZE, BUFFERS, WAL, TIMING OFF, COSTS OFF, FORMAT JSON)";

impl Bench {
    /// The verbs of a task's life, one by one: medians of 15 in one session, after 5 that warm up. `create` is the call that
    /// creates a task.
    pub fn count_verbs(&self, db: &str, create: &str) -> Result<Verbs> {
        let _quiet = Quiet::begin(self)?;
        let one = format!(
            "{EXPLAIN} SELECT * FROM {create};\n{EXPLAIN} SELECT * FROM task_acquire_lease('bench', 'counted');\n\
             SELECT task_id, lease_token FROM baton.task_live WHERE state = 3 AND owner = 'counted' \\gset\n\
             {EXPLAIN} SELECT * FROM task_finalize(:task_id, :lease_token, 'completed', '{{\"ok\": true}}');\n"
        );
        let out = self.psql(db, &one.repeat(20))?;
        let plans = serde_json::Deserializer::from_str(&out)
            .into_iter::<Value>()
            .map(|plan| Ok(plan?[0]["Plan"].clone()))
            .collect::<Result<Vec<Value>>>()?;
        ensure!(plans.len() == 60, "{} plans of 60", plans.len());
        let median_of = |verb: usize, count: &dyn Fn(&Value) -> f64| {
            let all: Vec<f64> = plans.iter().skip(15 + verb).step_by(3).map(count).collect();
            Spread::of(&all).median
        };
        let wal = |plan: &Value| plan["WAL Bytes"].as_f64().unwrap_or(0.0);
        Ok(Verbs {
            buffers: [0, 1, 2].map(|verb| median_of(verb, &buffers_of)),
            wal: [0, 1, 2].map(|verb| median_of(verb, &wal)),
            statements: self.count_statements(db, create)?,
        })
    }

    /// What the verbs run inside, told by auto_explain one notice a statement.
    fn count_statements(&self, db: &str, create: &str) -> Result<Option<[usize; 3]>> {
        let told = Arc::new(AtomicUsize::new(0));
        let mut config = self.client_config(db)?;
        let count = Arc::clone(&told);
        config.notice_callback(move |notice| {
            if notice.message().starts_with("duration:") {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        let mut client = config.connect(postgres::NoTls)?;
        if client.batch_execute("LOAD 'auto_explain'").is_err() {
            return Ok(None);
        }
        let create = format!("SELECT * FROM {create}");
        let acquire =
            "SELECT task_id, lease_token FROM task_acquire_lease('bench', 'counted')".to_owned();
        let mut counts = [0; 3];
        for round in 0..6 {
            if round == 5 {
                client.batch_execute(
                    "SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on; SET auto_explain.log_level = notice",
                )?;
            }
            let mut count = |verb: usize, sql: &str| -> Result<Vec<postgres::SimpleQueryMessage>> {
                told.store(0, Ordering::SeqCst);
                let rows = client.simple_query(sql)?;
                counts[verb] = told.load(Ordering::SeqCst).saturating_sub(1); // the call itself is told too
                Ok(rows)
            };
            count(0, &create)?;
            let rows = count(1, &acquire)?;
            let row = rows.iter().find_map(|message| match message {
                postgres::SimpleQueryMessage::Row(row) => Some(row),
                _ => None,
            });
            let row = row.context("nothing to acquire")?;
            let (task_id, token) = (row.get(0).unwrap_or(""), row.get(1).unwrap_or(""));
            let finalize = format!(
                "SELECT * FROM task_finalize({task_id}, {token}, 'completed', '{{\"ok\": true}}')"
            );
            count(2, &finalize)?;
        }
        Ok(Some(counts))
    }

    /// A load by one client: the difference between many transactions and few, so that what a session costs drops out. To
    /// be called without noise.
    pub fn count_life(&self, load: &Load, transactions: usize) -> Result<Life> {
        let load = load.clone().clients(1);
        let few = transactions / 5;
        self.count_run(&load, few)?; // warms up
        let short = self.count_run(&load, few)?;
        let long = self.count_run(&load, few + transactions)?;
        let per_one = |long: f64, short: f64| (long - short) / (transactions as f64 * load.each);
        Ok(Life {
            buffers: per_one(long.buffers, short.buffers),
            wal: per_one(long.wal, short.wal),
        })
    }

    fn count_run(&self, load: &Load, transactions: usize) -> Result<Life> {
        let before = self.counters(&load.db)?;
        self.pgbench(load, &["-t", &transactions.to_string()])?;
        let after = self.counters(&load.db)?;
        Ok(Life {
            buffers: after.buffers - before.buffers,
            wal: after.wal - before.wal,
        })
    }

    /// What was touched in a database so far, and the WAL of the whole server.
    fn counters(&self, db: &str) -> Result<Life> {
        self.wait_for_stats(db)?;
        let read =
            format!("SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = '{db}'");
        Ok(Life {
            buffers: self.number("postgres", &read)?,
            wal: self.wal_position()?,
        })
    }

    pub fn wal_position(&self) -> Result<f64> {
        self.number(
            "postgres",
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')",
        )
    }

    /// A session writes its statistics when it ends; pgbench does not wait for that.
    fn wait_for_stats(&self, db: &str) -> Result<()> {
        let there = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{db}' AND backend_type = 'client backend' AND state = 'idle'"
        );
        for _ in 0..200 {
            if self.number("postgres", &there)? == 0.0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("sessions in {db} do not end")
    }

    /// Updates of a table so far, and how many of them were heap-only.
    pub fn updates(&self, db: &str, table: &str) -> Result<(f64, f64)> {
        self.wait_for_stats(db)?;
        let read = |column: &str| {
            let read = format!(
                "SELECT {column} FROM pg_stat_all_tables WHERE relid = '{table}'::regclass"
            );
            self.number(db, &read)
        };
        Ok((read("n_tup_upd")?, read("n_tup_hot_upd")?))
    }

    /// Counts while the server does nothing of its own.
    pub fn without_noise<T>(&self, count: impl FnOnce() -> Result<T>) -> Result<T> {
        let _quiet = Quiet::begin(self)?;
        count()
    }

    /// A client's way to a database.
    pub fn client_config(&self, db: &str) -> Result<postgres::Config> {
        self.cluster.client_config(db)
    }
}

pub fn buffers_of(plan: &Value) -> f64 {
    let blocks = |name: &str| plan[name].as_f64().unwrap_or(0.0);
    blocks("Shared Hit Blocks") + blocks("Shared Read Blocks")
}
