//! The life of tasks by tokio-postgres: see ../README.md. PREPARED=on: every statement is prepared under a name.

use std::collections::BTreeSet;
use std::env::var;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type as T};
use tokio_postgres::{Client, GenericClient, NoTls, Row};

const TEXT: &str = "naïve ☃ \"quoted\" \\ 'single' %s $1 :name ?";
/// An interval has no type in Rust: it goes as seconds, and the server makes one of them.
const LEASE: f64 = 30.0;
const FINALIZE: &str = "SELECT outcome FROM task_finalize($1, $2, 'completed')";
const NO_TEXT: Option<&str> = None;

type Values<'a> = &'a [(&'a (dyn ToSql + Sync), T)];
type Error = tokio_postgres::Error;

#[derive(Clone, Copy)]
struct Lease {
    task_id: i64,
    token: i64,
}

/// What every part of the life needs: two connections and the names of its queues.
struct Life {
    conn: Client,
    other: Client,
    queue: String,
    after: String,
}

async fn connect() -> Result<Client> {
    let mut config = tokio_postgres::Config::new();
    config
        .host(var("PGHOST")?)
        .port(var("PGPORT")?.parse()?)
        .user(var("PGUSER")?)
        .dbname(var("PGDATABASE")?);
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// `query` prepares the statement under a name first, which is one message and an answer more. `query_typed` is told the
/// types instead and sends everything at once, without a name: a pooler in transaction mode needs that.
async fn rows(on: &impl GenericClient, sql: &str, values: Values<'_>) -> Result<Vec<Row>, Error> {
    if var("PREPARED").as_deref() == Ok("on") {
        let values: Vec<_> = values.iter().map(|(value, _)| *value).collect();
        on.query(sql, &values).await
    } else {
        on.query_typed(sql, values).await
    }
}

async fn row(on: &impl GenericClient, sql: &str, values: Values<'_>) -> Result<Row> {
    let mut found = rows(on, sql, values).await?;
    ensure!(found.len() == 1, "{} rows from {sql}", found.len());
    found.pop().context("a row")
}

/// The SQLSTATE that this ends with.
async fn code(on: &impl GenericClient, sql: &str, values: Values<'_>) -> Value {
    let ended = rows(on, sql, values).await.err();
    json!(ended.as_ref().and_then(Error::code).map(SqlState::code))
}

/// Columns from this one on, as JSON.
fn columns(row: &Row, from: usize) -> Value {
    let column = |n: usize| match *row.columns()[n].type_() {
        T::INT8 => json!(row.get::<_, Option<i64>>(n)),
        T::INT4 => json!(row.get::<_, Option<i32>>(n)),
        T::BOOL => json!(row.get::<_, Option<bool>>(n)),
        T::JSONB => json!(row.get::<_, Option<Value>>(n)),
        _ => json!(row.get::<_, Option<String>>(n)),
    };
    (from..row.len()).map(column).collect()
}

fn all_columns(rows: &[Row]) -> Value {
    rows.iter().map(|row| columns(row, 0)).collect()
}

fn payload() -> Value {
    json!({"text": TEXT, "list": [1, null, true, 0.5], "empty": {}})
}

async fn acquire(
    on: &impl GenericClient,
    queue: &str,
    ttl: f64,
    max_tasks: i32,
) -> Result<Vec<Lease>> {
    let sql = "SELECT task_id, lease_token FROM task_acquire_lease($1, 'one', make_interval(secs => $2), $3)";
    let values: Values = &[(&queue, T::TEXT), (&ttl, T::FLOAT8), (&max_tasks, T::INT4)];
    let leased = rows(on, sql, values).await?;
    let lease = |row: &Row| Lease {
        task_id: row.get(0),
        token: row.get(1),
    };
    Ok(leased.iter().map(lease).collect())
}

async fn acquire_one(on: &impl GenericClient, queue: &str, ttl: f64) -> Result<Lease> {
    let leased = acquire(on, queue, ttl, 1).await?;
    leased.first().copied().context("nothing was claimable")
}

async fn finalize(on: &impl GenericClient, lease: Lease) -> Result<String> {
    let values: Values = &[(&lease.task_id, T::INT8), (&lease.token, T::INT8)];
    Ok(row(on, FINALIZE, values).await?.get(0))
}

impl Life {
    async fn row(&self, sql: &str, values: Values<'_>) -> Result<Row> {
        row(&self.conn, sql, values).await
    }

    async fn of_task(&self, column: &str, task_id: i64) -> Result<Row> {
        let sql = format!("SELECT {column} FROM task_get($1)");
        self.row(&sql, &[(&task_id, T::INT8)]).await
    }

    async fn create(&self) -> Result<()> {
        let sql = "SELECT * FROM task_create($1)";
        self.row(sql, &[(&self.queue, T::TEXT)]).await.map(drop)
    }

    async fn heartbeat(&self, lease: Lease) -> Result<Value> {
        let sql = "SELECT outcome, lease_expires_at IS NULL, cancel_requested
                     FROM task_heartbeat($1, $2, make_interval(secs => $3))";
        let values: Values = &[
            (&lease.task_id, T::INT8),
            (&lease.token, T::INT8),
            (&60.0, T::FLOAT8),
        ];
        Ok(columns(&self.row(sql, values).await?, 0))
    }

    async fn many(&self) -> Result<Value> {
        let payloads: Vec<Value> = (1..=100).map(|n| json!({"n": n})).collect();
        let keys: Vec<String> = (1..=100).map(|n| format!("many-{n}")).collect();
        let created = rows(
            &self.conn,
            "SELECT ordinal, outcome, task_id FROM task_create_many($1, $2, keys => $3)",
            &[
                (&self.queue, T::TEXT),
                (&payloads, T::JSONB_ARRAY),
                (&keys, T::TEXT_ARRAY),
            ],
        )
        .await?;
        let ended = Arc::new(Mutex::new(Vec::new()));
        let crew = (0..4)
            .map(|n| tokio::spawn(work(self.queue.clone(), format!("crew-{n}"), ended.clone())));
        for worker in crew.collect::<Vec<_>>() {
            worker.await??;
        }
        let ended = ended.lock().expect("no worker has panicked");
        let once: BTreeSet<i64> = ended
            .iter()
            .filter(|(_, _, told)| told == "finalized")
            .map(|(task_id, ..)| *task_id)
            .collect();
        Ok(json!({
            "created": created.iter().filter(|row| row.get::<_, &str>(1) == "created").count(),
            "last_ordinal": created.last().map(|row| row.get::<_, i64>(0)),
            "calls": ended.len(),
            "finalized_once": once.len(),
            "same_tasks": once == created.iter().map(|row| row.get(2)).collect(),
            "sum": ended.iter().map(|(_, n, _)| n).sum::<i64>(),
        }))
    }

    async fn create_whole(&self, payload: &Value) -> Result<Row> {
        self.row(
            "SELECT outcome, task_id, state FROM task_create($1, $2, name => $3, key => $4, priority => $5,
               run_at => $6, max_attempts => $7, slot_keys => $8, metadata => $9)",
            &[
                (&self.queue, T::TEXT),
                (payload, T::JSONB),
                (&NO_TEXT, T::TEXT),
                (&TEXT, T::TEXT),
                (&9, T::INT4),
                (&None::<SystemTime>, T::TIMESTAMPTZ),
                (&3, T::INT4),
                (&vec!["driver"], T::TEXT_ARRAY),
                (&json!({"by": "driver"}), T::JSONB),
            ],
        )
        .await
    }

    async fn append(&self, lease: Lease, dedup_key: Option<&str>) -> Result<Value> {
        let appended = self
            .row(
                "SELECT outcome, seq, at IS NULL, cancel_requested FROM task_append_event($1, $2, $3, $4, $5)",
                &[
                    (&lease.task_id, T::INT8),
                    (&"progress", T::TEXT),
                    (&json!({"done": 0.5}), T::JSONB),
                    (&lease.token, T::INT8),
                    (&dedup_key, T::TEXT),
                ],
            )
            .await?;
        Ok(columns(&appended, 0))
    }

    async fn end(&self, lease: Lease) -> Result<Row> {
        self.row(
            "SELECT outcome, state, finalized_at, dispatched FROM task_finalize($1, $2, $3, $4, $5, $6)",
            &[
                (&lease.task_id, T::INT8),
                (&lease.token, T::INT8),
                (&"failed", T::TEXT),
                (&payload(), T::JSONB),
                (&json!({"why": TEXT}), T::JSONB),
                (&"enough", T::TEXT),
            ],
        )
        .await
    }

    async fn one(&self) -> Result<Value> {
        let (created, again) = (
            self.create_whole(&payload()).await?,
            self.create_whole(&payload()).await?,
        );
        let differs = self.create_whole(&json!({})).await?;
        let task = self
            .row(
                "SELECT * FROM task_acquire_lease($1, $2, make_interval(secs => $3))",
                &[
                    (&self.queue, T::TEXT),
                    (&"one", T::TEXT),
                    (&LEASE, T::FLOAT8),
                ],
            )
            .await?;
        let lease = Lease {
            task_id: task.get(0),
            token: task.get(1),
        };
        let ahead = task
            .get::<_, SystemTime>(2)
            .duration_since(SystemTime::now())?;
        let held = "extract(epoch FROM lease_expires_at - leased_at)::float8, lease_token::text, slot_keys";
        let held = self.of_task(held, lease.task_id).await?;
        let beaten = self.heartbeat(lease).await?;
        let longer = "extract(epoch FROM lease_expires_at - heartbeat_at)::float8";
        let longer = self.of_task(longer, lease.task_id).await?;
        let appended = [
            self.append(lease, Some("half")).await?,
            self.append(lease, Some("half")).await?,
            self.append(lease, None).await?,
        ];
        let together = self
            .row(
                "SELECT outcome, first_seq, last_seq FROM task_append_events($1, $2, $3, $4)",
                &[
                    (&lease.task_id, T::INT8),
                    (&vec!["page", "page"], T::TEXT_ARRAY),
                    (&vec![Some(json!({"page": 1})), None], T::JSONB_ARRAY),
                    (&lease.token, T::INT8),
                ],
            )
            .await?;
        let (ended, replayed) = (self.end(lease).await?, self.end(lease).await?);
        let kept = self
            .of_task("result, error, reason, finalized_at", lease.task_id)
            .await?;
        let tape = rows(
            &self.conn,
            "SELECT seq, kind, body, lease_token = $1 FROM task_events($2)",
            &[(&lease.token, T::INT8), (&lease.task_id, T::INT8)],
        )
        .await?;
        let at = |row: &Row, column| row.get::<_, SystemTime>(column);
        let text = |row: &Row, column| row.get::<_, String>(column);
        let milliseconds = |row: &Row| (row.get::<_, f64>(0) * 1000.0).round() as i64;
        Ok(json!({
            "created": [text(&created, 0), text(&created, 2)],
            "again": [text(&again, 0), again.get::<_, i64>(1) == created.get::<_, i64>(1)],
            "differs": text(&differs, 0),
            "acquired": columns(&task, 3),
            "same_task": created.get::<_, i64>(1) == lease.task_id,
            "token": text(&held, 1) == lease.token.to_string() && lease.token > 1 << 52,
            "ahead": ahead > Duration::from_secs(25) && ahead <= Duration::from_secs(30),
            "lengths": [milliseconds(&held), milliseconds(&longer)],
            "slot_keys": held.get::<_, Vec<String>>(2),
            "heartbeat": beaten,
            "appended": appended,
            "together": columns(&together, 0),
            "tape": all_columns(&tape),
            "finalized": [text(&ended, 0), text(&ended, 1), json!(ended.get::<_, Vec<i64>>(3))],
            "replayed": [text(&replayed, 0), at(&replayed, 2) == at(&ended, 2) && at(&ended, 2) == at(&kept, 3)],
            "kept": [kept.get::<_, Value>(0), kept.get::<_, Value>(1), text(&kept, 2)],
        }))
    }

    async fn scheduled(&self) -> Result<Value> {
        // 2100-01-01 12:00:00.125 UTC
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(4_102_488_000_125);
        let sql = "SELECT * FROM task_create($1, run_at => $2)";
        let task = self
            .row(sql, &[(&self.queue, T::TEXT), (&at, T::TIMESTAMPTZ)])
            .await?;
        let kept = self.of_task("run_at", task.get(1)).await?;
        let run_at = kept
            .get::<_, SystemTime>(0)
            .duration_since(SystemTime::UNIX_EPOCH)?;
        // Rust has no calendar: the same second is written as in the other programs.
        let second = match run_at.as_secs() {
            4_102_488_000 => String::from("2100-01-01T12:00:00Z"),
            other => other.to_string(),
        };
        Ok(json!([
            task.get::<_, &str>(2),
            second,
            run_at.subsec_millis()
        ]))
    }

    async fn batch(&self) -> Result<Value> {
        let payloads = vec![json!(0), json!(1), json!(2)];
        let sql = "SELECT * FROM task_create_many($1, $2)";
        let values: Values = &[(&self.queue, T::TEXT), (&payloads, T::JSONB_ARRAY)];
        rows(&self.conn, sql, values).await?;
        let leases = acquire(&self.conn, &self.queue, LEASE, 3).await?;
        let ids: Vec<i64> = leases.iter().map(|lease| lease.task_id).collect();
        let tokens: Vec<i64> = leases.iter().map(|lease| lease.token).collect();
        let beaten = rows(
            &self.conn,
            "SELECT ordinal, outcome, task_id = ANY($1) FROM task_heartbeat_many($2, $3, make_interval(secs => $4))",
            &[
                (&ids, T::INT8_ARRAY),
                (&ids, T::INT8_ARRAY),
                (&vec![tokens[0], tokens[1], 1], T::INT8_ARRAY),
                (&LEASE, T::FLOAT8),
            ],
        )
        .await?;
        let ended = rows(
            &self.conn,
            "SELECT ordinal, outcome, state FROM task_finalize_many($1, $2, $3, $4)",
            &[
                (&ids, T::INT8_ARRAY),
                (&tokens, T::INT8_ARRAY),
                (&vec!["completed", "failed", "cancelled"], T::TEXT_ARRAY),
                (&vec![Some(json!({"n": 1})), None, None], T::JSONB_ARRAY),
            ],
        )
        .await?;
        let mut results = Vec::new();
        for task_id in ids {
            results.push(columns(&self.of_task("result", task_id).await?, 0)[0].take());
        }
        Ok(
            json!({"heartbeat": all_columns(&beaten), "finalized": all_columns(&ended), "results": results}),
        )
    }

    async fn successors(&self) -> Result<Value> {
        const CREATE_ITEMS: &str =
            "SELECT * FROM task_create_items($1, $2, $3, max_parallel => $4, key => $5,
                                      successor => $6, successor_queue => $7)";
        let group = async |name: &str, successor: Option<&str>, items: i32| {
            let payloads: Vec<Value> = (0..items).map(|item| json!({"item": item})).collect();
            let after = successor.map(|_| &self.after);
            let values: Values = &[
                (&self.queue, T::TEXT),
                (&name, T::TEXT),
                (&payloads, T::JSONB_ARRAY),
                (&2, T::INT4),
                (&name, T::TEXT),
                (&successor, T::TEXT),
                (&after, T::TEXT),
            ];
            code(&self.conn, CREATE_ITEMS, values).await
        };
        let end = async |lease: Lease| -> Result<Vec<i64>> {
            let sql = "SELECT dispatched FROM task_finalize($1, $2, 'completed')";
            let values: Values = &[(&lease.task_id, T::INT8), (&lease.token, T::INT8)];
            Ok(self.row(sql, values).await?.get(0))
        };
        let dispatch = async |lease: Lease| {
            let sql = "SELECT * FROM task_dispatch_successor($1, 'mail', $2, $3, needs => $4)";
            let values: Values = &[
                (&lease.task_id, T::INT8),
                (&self.after, T::TEXT),
                (&json!({}), T::JSONB),
                (&vec!["sort"], T::TEXT_ARRAY),
            ];
            self.row(sql, values).await
        };

        group("pack", Some("ship"), 2).await;
        let packed = acquire(&self.conn, &self.queue, LEASE, 2).await?;
        let (first, last) = (end(packed[0]).await?, end(packed[1]).await?);
        let ship = acquire_one(&self.conn, &self.after, LEASE).await?;
        finalize(&self.conn, ship).await?;

        group("sort", None, 2).await;
        let sorted = acquire(&self.conn, &self.queue, LEASE, 2).await?;
        end(sorted[0]).await?;
        let waiting = dispatch(sorted[0]).await?;
        end(sorted[1]).await?;
        let (told, again) = (dispatch(sorted[1]).await?, dispatch(sorted[0]).await?);
        let mail = acquire_one(&self.conn, &self.after, LEASE).await?;
        finalize(&self.conn, mail).await?;
        let is_mail = |row: &Row| json!(row.get::<_, i64>(1) == mail.task_id);
        let counts = columns(&told, 2);
        Ok(json!({
            "chord": [first, last.len(), last == [ship.task_id]],
            "more": group("pack", Some("ship"), 1).await,
            "waiting": columns(&waiting, 0),
            "dispatched": [told.get::<_, &str>(0), counts[0], counts[1], counts[2], counts[3], is_mail(&told)],
            "again": [again.get::<_, &str>(0), is_mail(&again)],
        }))
    }

    async fn errors(&self) -> Result<Value> {
        let conn = &self.conn;
        let one: (&(dyn ToSql + Sync), T) = (&1_i64, T::INT8);
        let create = "SELECT * FROM task_create($1)";
        let Err(missing) = rows(conn, create, &[(&NO_TEXT, T::TEXT)]).await else {
            bail!("a task without a queue was created");
        };
        let state: Values = &[one.clone(), one.clone(), (&"done", T::TEXT)];
        let queue: Values = &[(&"nowhere", T::TEXT), (&"one", T::TEXT)];
        let large = json!("x".repeat(300_000));
        let large: Values = &[(&self.queue, T::TEXT), (&large, T::JSONB)];
        let lease: Values = &[one.clone(), one.clone()];
        Ok(json!({
            "null": missing.code().map(SqlState::code),
            "message": missing.as_db_error().map(|error| error.message()),
            "state": code(conn, "SELECT * FROM task_finalize($1, $2, $3)", state).await,
            "queue": code(conn, "SELECT * FROM task_acquire_lease($1, $2)", queue).await,
            "role": code(conn, "SELECT * FROM task_cancel($1)", &[one]).await,
            "large": code(conn, "SELECT * FROM task_create($1, $2)", large).await,
            "lease": code(conn, "SELECT task_require_lease($1, $2)", lease).await,
        }))
    }

    async fn lost(&self) -> Result<Value> {
        self.create().await?;
        let late = acquire_one(&self.conn, &self.queue, 0.1).await?;
        sleep(Duration::from_millis(200)).await;
        let lease = acquire_one(&self.conn, &self.queue, LEASE).await?;
        Ok(json!({
            "same_task": late.task_id == lease.task_id,
            "greater": lease.token > late.token,
            "heartbeat": self.heartbeat(late).await?,
            "finalize": finalize(&self.conn, late).await?,
            "other": finalize(&self.conn, lease).await?,
        }))
    }

    async fn cancelled(&mut self) -> Result<Value> {
        self.create().await?;
        let lease = acquire_one(&self.conn, &self.queue, LEASE).await?;
        let values: Values = &[(&lease.task_id, T::INT8), (&lease.token, T::INT8)];
        let holding = self.other.transaction().await?;
        let held = finalize(&holding, lease).await?;
        let limited = self.conn.transaction().await?;
        limited
            .batch_execute("SET LOCAL statement_timeout = '200 ms'")
            .await?;
        let timed_out = code(&limited, FINALIZE, values).await;
        limited.rollback().await?;
        // The driver's own CancelToken hangs up before it is answered, and a PgBouncer older than 1.19.1 dies of that.
        // Inside a transaction the backend stays the same, through a pooler too.
        let waiting = self.conn.transaction().await?;
        let pid: i32 = row(&waiting, "SELECT pg_backend_pid()", &[]).await?.get(0);
        let mut ended = Box::pin(code(&waiting, FINALIZE, values));
        let stopped = loop {
            // Again and again: a request that comes before the statement cancels nothing.
            match timeout(Duration::from_millis(200), &mut ended).await {
                Ok(ended) => break ended == "57014",
                Err(_) => row(&holding, "SELECT pg_cancel_backend($1)", &[(&pid, T::INT4)]).await?,
            };
        };
        drop(ended);
        waiting.rollback().await?;
        holding.rollback().await?;
        Ok(json!({
            "held": held,
            "timeout": timed_out,
            "stopped": stopped,
            "heartbeat": self.heartbeat(lease).await?,
            "finalize": finalize(&self.conn, lease).await?,
        }))
    }

    async fn rolled_back(&mut self) -> Result<Value> {
        self.create().await?;
        let transaction = self.conn.transaction().await?;
        let undone = acquire_one(&transaction, &self.queue, LEASE).await?;
        let inside = finalize(&transaction, undone).await?;
        transaction.rollback().await?;
        let after = self.heartbeat(undone).await?;
        let mut transaction = self.conn.transaction().await?;
        let lease = acquire_one(&transaction, &self.queue, LEASE).await?;
        let savepoint = transaction.savepoint("before").await?;
        finalize(&savepoint, lease).await?;
        let done = "SELECT * FROM task_finalize($1, $2, 'done')";
        let values: Values = &[(&lease.task_id, T::INT8), (&lease.token, T::INT8)];
        let state = code(&savepoint, done, values).await;
        savepoint.rollback().await?;
        transaction.commit().await?;
        let kept = self.of_task("attempt", lease.task_id).await?;
        Ok(json!({
            "inside": inside,
            "after": after,
            "greater": lease.token > undone.token,
            "savepoint": state,
            "attempt": kept.get::<_, i32>(0),
            "finalize": finalize(&self.conn, lease).await?,
        }))
    }

    async fn all(mut self) -> Result<Value> {
        let life = json!({
            "many": self.many().await?, // first, so that a pooler has opened all its connections
            "one": self.one().await?,
            "scheduled": self.scheduled().await?,
            "batch": self.batch().await?,
            "successors": self.successors().await?,
            "errors": self.errors().await?,
            "lost": self.lost().await?,
            "cancelled": self.cancelled().await?,
            "rolled_back": self.rolled_back().await?,
        });
        let mut backends = BTreeSet::new();
        for _ in 0..12 {
            backends.insert(
                self.row("SELECT pg_backend_pid()", &[])
                    .await?
                    .get::<_, i32>(0),
            );
        }
        let named = "SELECT count(*) FROM pg_prepared_statements WHERE NOT from_sql";
        let named: i64 = self.row(named, &[]).await?.get(0);
        Ok(
            json!({"driver": "tokio-postgres", "backends": backends.len(), "named": named, "life": life}),
        )
    }
}

async fn work(
    queue: String,
    owner: String,
    ended: Arc<Mutex<Vec<(i64, i64, String)>>>,
) -> Result<()> {
    let own = connect().await?;
    let begun = Instant::now();
    let count = || ended.lock().expect("no worker has panicked").len();
    while count() < 100 && begun.elapsed() < Duration::from_secs(30) {
        let leased = rows(
            &own,
            "SELECT task_id, lease_token, payload FROM task_acquire_lease($1, $2, make_interval(secs => $3), 5)",
            &[(&queue, T::TEXT), (&owner, T::TEXT), (&LEASE, T::FLOAT8)],
        )
        .await?;
        for task in &leased {
            let lease = Lease {
                task_id: task.get(0),
                token: task.get(1),
            };
            let told = finalize(&own, lease).await?;
            let n = task.get::<_, Value>(2)["n"].as_i64().unwrap_or_default();
            ended
                .lock()
                .expect("no worker has panicked")
                .push((lease.task_id, n, told));
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let line = runtime.block_on(async {
        let queue = var("QUEUE")?;
        let life = Life {
            conn: connect().await?,
            other: connect().await?,
            after: format!("{queue}.after"),
            queue,
        };
        life.all().await
    })?;
    println!("{line}");
    Ok(())
}
