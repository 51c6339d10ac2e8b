//! What the clients write down: every call before it is made, and what was answered.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A call of one of the functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verb {
    Create {
        queue: String,
        key: String,
        delay_ms: i64,
        max_attempts: Option<i32>,
        slot_keys: Vec<String>,
    },
    CreateMany {
        queue: String,
        keys: Vec<String>,
        slot_keys: Vec<String>,
    },
    CreateItems {
        queue: String,
        name: String,
        items: usize,
        max_parallel: Option<i32>,
        successor: Option<String>,
    },
    Acquire {
        queue: String,
        owner: String,
        ttl_ms: i64,
        max_tasks: i32,
    },
    AcquireById {
        task: i64,
        owner: String,
        ttl_ms: i64,
    },
    Start {
        task: i64,
        token: i64,
    },
    Heartbeat {
        task: i64,
        token: i64,
        ttl_ms: i64,
    },
    HeartbeatMany {
        leases: Vec<(i64, i64)>,
        ttl_ms: i64,
    },
    Append {
        task: i64,
        token: Option<i64>,
        dedup_key: Option<String>,
    },
    Finalize {
        task: i64,
        token: i64,
        state: String,
        result: Option<String>,
    },
    FinalizeMany {
        leases: Vec<(i64, i64)>,
        state: String,
    },
    FailAttempt {
        task: i64,
        token: i64,
        retry_after_ms: Option<i64>,
    },
    Release {
        task: i64,
        token: i64,
        delay_ms: i64,
        unless_started: bool,
    },
    RequireLease {
        task: i64,
        token: i64,
    },
    /// `payload` is JSON.
    Register {
        task: i64,
        token: i64,
        name: String,
        queue: String,
        payload: String,
    },
    Cancel {
        task: i64,
        force: bool,
    },
    Reap {
        queue: Option<String>,
        max_tasks: i32,
    },
    ReapOwner {
        owner: String,
        up_to_token: i64,
    },
    Annotate {
        task: i64,
        token: Option<i64>,
        key: String,
    },
    Redrive {
        task: i64,
    },
    Dispatch {
        task: i64,
        successor: String,
        queue: String,
    },
    SlotSet {
        key: String,
        capacity: i32,
    },
    Get {
        task: i64,
    },
    Tail {
        task: i64,
        after: i64,
    },
    /// With a definition of its own; both are JSON.
    WorkflowStart {
        key: String,
        input: String,
        definition: String,
    },
    WorkflowPause {
        run: i64,
        checkpoint: String,
    },
    WorkflowResume {
        run: i64,
        checkpoint: String,
    },
    WorkflowCancel {
        run: i64,
        running: String,
    },
    WorkflowAnnotate {
        run: i64,
        key: String,
    },
    WorkflowAppend {
        run: i64,
        dedup_key: Option<String>,
    },
    WorkflowGet {
        run: i64,
    },
}

/// µs since 1970 of a column.
fn micros(column: &str) -> String {
    format!("(extract(epoch FROM {column}) * 1000000)::bigint AS {column}")
}

fn interval(ms: i64) -> String {
    format!("interval '{ms} ms'")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn null_or<T>(value: &Option<T>, print: impl Fn(&T) -> String) -> String {
    value.as_ref().map_or_else(|| "NULL".to_owned(), print)
}

fn numbers(values: impl Iterator<Item = i64>) -> String {
    let all: Vec<String> = values.map(|n| n.to_string()).collect();
    format!("ARRAY[{}]::bigint[]", all.join(", "))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let all: Vec<String> = values.map(literal).collect();
    format!("ARRAY[{}]::text[]", all.join(", "))
}

/// `slot_keys`, if there are any.
fn slot_keys(keys: &[String]) -> String {
    if keys.is_empty() {
        String::new()
    } else {
        let keys = texts(keys.iter().map(String::as_str));
        format!(", slot_keys => {keys}")
    }
}

impl Verb {
    /// The call as SQL. Its columns are read by `project`.
    pub fn sql(&self) -> String {
        let expires = micros("lease_expires_at");
        let run_at = micros("run_at");
        match self {
            Verb::Create {
                queue,
                key,
                delay_ms,
                max_attempts,
                slot_keys: keys,
            } => {
                let run_at = if *delay_ms > 0 {
                    format!("clock_timestamp() + {}", interval(*delay_ms))
                } else {
                    "NULL".to_owned()
                };
                let max_attempts = null_or(max_attempts, i32::to_string);
                format!(
                    "SELECT outcome, task_id, state FROM task_create({}, key => {}, run_at => {run_at}, max_attempts => {max_attempts}, priority => {}{})",
                    literal(queue),
                    literal(key),
                    // Some priority, the same for each call that names this key.
                    key.bytes().map(i32::from).sum::<i32>() % 3,
                    slot_keys(keys)
                )
            }
            Verb::CreateMany {
                queue,
                keys,
                slot_keys: needed,
            } => format!(
                "SELECT ordinal, outcome, task_id FROM task_create_many({}, array_fill('{{}}'::jsonb, ARRAY[{}]), keys => {}{})",
                literal(queue),
                keys.len(),
                texts(keys.iter().map(String::as_str)),
                slot_keys(needed)
            ),
            Verb::CreateItems {
                queue,
                name,
                items,
                max_parallel,
                successor,
            } => {
                let successor = match successor {
                    Some(name) => format!(
                        ", successor => {}, successor_queue => {}",
                        literal(name),
                        literal(queue)
                    ),
                    None => String::new(),
                };
                format!(
                    "SELECT outcome, run_id, item_index, task_id, state FROM task_create_items({}, {}, array_fill('{{}}'::jsonb, ARRAY[{items}]), max_parallel => {}, key => {}{successor})",
                    literal(queue),
                    literal(name),
                    null_or(max_parallel, i32::to_string),
                    literal(name),
                )
            }
            Verb::Acquire {
                queue,
                owner,
                ttl_ms,
                max_tasks,
            } => format!(
                "SELECT task_id, lease_token, {expires}, attempt, lost_leases, metadata ? 'compensates' FROM task_acquire_lease({}, {}, {}, {max_tasks})",
                literal(queue),
                literal(owner),
                interval(*ttl_ms)
            ),
            Verb::AcquireById {
                task,
                owner,
                ttl_ms,
            } => format!(
                "SELECT outcome, state, lease_token, {expires}, attempt, held_by FROM task_acquire_lease_by_id({task}, {}, {})",
                literal(owner),
                interval(*ttl_ms)
            ),
            Verb::Start { task, token } => {
                format!("SELECT outcome, {expires} FROM task_start({task}, {token})")
            }
            Verb::Heartbeat {
                task,
                token,
                ttl_ms,
            } => format!(
                "SELECT outcome, {expires}, cancel_requested FROM task_heartbeat({task}, {token}, {})",
                interval(*ttl_ms)
            ),
            Verb::HeartbeatMany { leases, ttl_ms } => format!(
                "SELECT task_id, outcome, {expires}, cancel_requested FROM task_heartbeat_many({}, {}, {}) ORDER BY ordinal",
                numbers(leases.iter().map(|l| l.0)),
                numbers(leases.iter().map(|l| l.1)),
                interval(*ttl_ms)
            ),
            Verb::Append {
                task,
                token,
                dedup_key,
            } => format!(
                "SELECT outcome, seq, {}, cancel_requested FROM task_append_event({task}, 'progress', NULL, {}, {})",
                micros("at"),
                null_or(token, i64::to_string),
                null_or(dedup_key, |key| literal(key))
            ),
            Verb::Finalize {
                task,
                token,
                state,
                result,
            } => format!(
                "SELECT outcome, state, {}, dispatched FROM task_finalize({task}, {token}, {}, {})",
                micros("finalized_at"),
                literal(state),
                null_or(result, |text| if text.starts_with('[') {
                    format!("{}::jsonb", literal(text))
                } else {
                    format!("to_jsonb({}::text)", literal(text))
                })
            ),
            Verb::FinalizeMany { leases, state } => format!(
                "SELECT task_id, outcome, state, {} FROM task_finalize_many({}, {}, {}) ORDER BY ordinal",
                micros("finalized_at"),
                numbers(leases.iter().map(|l| l.0)),
                numbers(leases.iter().map(|l| l.1)),
                texts(leases.iter().map(|_| state.as_str()))
            ),
            Verb::FailAttempt {
                task,
                token,
                retry_after_ms,
            } => format!(
                "SELECT outcome, state, {run_at} FROM task_fail_attempt({task}, {token}, NULL, {})",
                null_or(retry_after_ms, |ms| interval(*ms))
            ),
            Verb::Release {
                task,
                token,
                delay_ms,
                unless_started,
            } => format!(
                "SELECT outcome, {run_at} FROM task_release({task}, {token}, {}, {unless_started})",
                interval(*delay_ms)
            ),
            Verb::RequireLease { task, token } => {
                format!("SELECT task_require_lease({task}, {token})")
            }
            Verb::Register {
                task,
                token,
                name,
                queue,
                payload,
            } => format!(
                "SELECT outcome, compensation_no FROM task_register_compensation({task}, {token}, {}, {}, {})",
                literal(name),
                literal(queue),
                literal(payload)
            ),
            Verb::Cancel { task, force } => {
                format!("SELECT outcome, state FROM task_cancel({task}, force => {force})")
            }
            Verb::Reap { queue, max_tasks } => format!(
                "SELECT task_id, outcome FROM task_reap({max_tasks}, {})",
                null_or(queue, |queue| literal(queue))
            ),
            Verb::ReapOwner { owner, up_to_token } => {
                format!(
                    "SELECT task_id, outcome FROM task_reap_owner({}, {up_to_token})",
                    literal(owner)
                )
            }
            Verb::Annotate { task, token, key } => format!(
                "SELECT outcome FROM task_annotate({task}, jsonb_build_object({}, 1), {})",
                literal(key),
                null_or(token, i64::to_string)
            ),
            Verb::Redrive { task } => format!("SELECT outcome, task_id FROM task_redrive({task})"),
            Verb::Dispatch {
                task,
                successor,
                queue,
            } => format!(
                "SELECT outcome, successor_task_id, siblings_remaining FROM task_dispatch_successor({task}, {}, {})",
                literal(successor),
                literal(queue)
            ),
            Verb::SlotSet { key, capacity } => {
                format!("SELECT slot_set({}, {capacity})", literal(key))
            }
            Verb::Get { task } => format!(
                "SELECT state, attempt, lost_leases, lease_token, {expires}, owner, last_seq, cancel_requested_at IS NOT NULL, result #>> '{{}}', reason, {}, CASE WHEN redrive_of IS NULL THEN metadata END, started_at IS NOT NULL, {run_at}, {} FROM task_get({task})",
                micros("finalized_at"),
                micros("leased_at")
            ),
            Verb::Tail { task, after } => {
                format!("SELECT seq, kind, lease_token FROM task_events({task}, {after}, 100000)")
            }
            Verb::WorkflowStart {
                key,
                input,
                definition,
            } => format!(
                "SELECT outcome, run_id FROM workflow_start(input => {}, key => {}, definition => {})",
                literal(input),
                literal(key),
                literal(definition)
            ),
            Verb::WorkflowPause { run, checkpoint } => {
                format!("SELECT workflow_pause({run}, {})", literal(checkpoint))
            }
            Verb::WorkflowResume { run, checkpoint } => {
                format!("SELECT workflow_resume({run}, {})", literal(checkpoint))
            }
            Verb::WorkflowCancel { run, running } => format!(
                "SELECT outcome, state FROM workflow_cancel({run}, running => {})",
                literal(running)
            ),
            Verb::WorkflowAnnotate { run, key } => format!(
                "SELECT workflow_annotate({run}, jsonb_build_object({}, 1))",
                literal(key)
            ),
            Verb::WorkflowAppend { run, dedup_key } => format!(
                "SELECT outcome, seq, {}, cancel_requested FROM workflow_append_event({run}, 'note', NULL, {})",
                micros("at"),
                null_or(dedup_key, |key| literal(key))
            ),
            Verb::WorkflowGet { run } => format!(
                "SELECT state, checkpoint, checkpoint_detail -> 'failed' FROM workflow_get({run})"
            ),
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    Rows(Vec<Vec<Option<String>>>),
    /// An error of the statement: its transaction is rolled back.
    Error {
        code: String,
        message: String,
    },
    /// The connection is gone.
    Lost(String),
}

/// When something was written down.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stamp {
    /// ns, the same clock for all processes of this machine; it never steps.
    pub mono: i64,
    /// µs since 1970, as the server's own clock.
    pub wall: i64,
}

impl Stamp {
    pub fn now() -> Stamp {
        let read = |clock| clock_gettime(clock).expect("the machine has this clock");
        let (mono, wall) = (
            read(ClockId::CLOCK_MONOTONIC),
            read(ClockId::CLOCK_REALTIME),
        );
        Stamp {
            mono: mono.tv_sec() * 1_000_000_000 + mono.tv_nsec(),
            wall: wall.tv_sec() * 1_000_000 + wall.tv_nsec() / 1_000,
        }
    }
}

/// A line of a history. `tx` counts a client's transactions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// A client begins: whether its commits wait for their flush.
    Client {
        name: String,
        flushed: bool,
    },
    /// It is connected, to this process of the server.
    Connected {
        pid: u32,
    },
    Begin {
        tx: u64,
        isolation: String,
    },
    /// `alone`: the call is its own transaction.
    Call {
        tx: u64,
        alone: bool,
        verb: Verb,
        stamp: Stamp,
    },
    Answer {
        tx: u64,
        answer: Answer,
        stamp: Stamp,
    },
    Savepoint {
        tx: u64,
    },
    RollbackToSavepoint {
        tx: u64,
    },
    Commit {
        tx: u64,
        stamp: Stamp,
    },
    /// The answer to COMMIT or ROLLBACK; `committed`: `None` if it is not known.
    Ended {
        tx: u64,
        committed: Option<bool>,
        stamp: Stamp,
    },
    /// A client asked its own queue for 3 s, was given nothing, and these tasks were ready all the time.
    Missed {
        queue: String,
        tasks: Vec<i64>,
    },
    /// A server that went down, and came back.
    Crash {
        down: Stamp,
        up: Stamp,
    },
}

/// The history of one client, written line by line: what was written is kept when the process is killed.
pub struct Journal {
    file: File,
}

impl Journal {
    pub fn create(path: &Path) -> Result<Journal> {
        let file =
            File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Journal { file })
    }

    pub fn write(&mut self, entry: &Entry) {
        let mut line = serde_json::to_string(entry).expect("it is plain data");
        line.push('\n');
        // Without its history the run means nothing.
        self.file
            .write_all(line.as_bytes())
            .expect("the history can be written");
    }
}

/// A process that was killed may have left half a line at the end.
pub fn read(path: &Path) -> Result<Vec<Entry>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines: Vec<String> = BufReader::new(file).lines().collect::<Result<_, _>>()?;
    let mut entries = Vec::with_capacity(lines.len());
    for (i, line) in lines.iter().enumerate() {
        match serde_json::from_str(line) {
            Ok(entry) => entries.push(entry),
            Err(_) if i + 1 == lines.len() => {}
            Err(error) => return Err(error).with_context(|| format!("{}: {line}", path.display())),
        }
    }
    Ok(entries)
}
