//! What is promised of work that is undone, once all is quiet (G1): each compensation that was registered is run by one task, or by
//! none, in the reverse of the order in which they were registered, as the tapes tell it.

#[cfg(test)]
mod examination;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::acts;
use crate::checker::Fate;
use crate::history::{Answer, Verb};
use crate::model::state::State;
use crate::project::{Last, TapeEvent};
use crate::transaction::{Tx, TxStep};
use crate::worker::number;
use crate::workflow::LastRun;

/// A compensation of a task, as its ledger shows it.
#[derive(Clone, Debug)]
pub struct Registered {
    pub number: i64,
    pub name: String,
    pub queue: String,
    /// JSON; of one that a definition asks for, nothing.
    pub payload: Option<String>,
    /// The lease whose holder registered it; `None`: its step's definition says it.
    pub token: Option<i64>,
    /// The task that ran it.
    pub by: Option<i64>,
    /// `registered`, or how that task ended.
    pub state: String,
    /// That task has its name, its queue and its payload, and belongs to no run.
    pub as_registered: bool,
}

/// What a tape tells of one that has ended.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    of: i64,
    number: i64,
    by: Option<i64>,
    state: String,
}

const COMPLETED: &str = "completed";
const REGISTERED: &str = "registered";

/// The columns of rows: a task, then its ledger, in the order of registration over all tasks.
pub const READ: &str = "SELECT c.task_id, t.compensation_no, t.name, q.name, c.payload, c.lease_token, t.task_id, t.state, \
     CASE WHEN t.task_id IS NULL THEN true ELSE \
         (SELECT g.name = c.name AND g.queue = q.name AND (c.payload IS NULL OR g.payload = c.payload) AND g.run_id IS NULL AND g.key IS NULL \
          FROM task_get(t.task_id) g) END \
     FROM baton.compensation c JOIN baton.queue q USING (queue_id) CROSS JOIN LATERAL task_compensations(c.task_id) t \
     WHERE t.compensation_no = c.compensation_no ORDER BY c.compensation_id";

/// From a row of `READ`.
pub fn registered(row: &acts::Row) -> Option<(i64, Registered)> {
    let text = |i: usize| row[i].clone().unwrap_or_default();
    let registered = Registered {
        number: number(row, 1)?,
        name: text(2),
        queue: text(3),
        payload: row[4].clone(),
        token: number(row, 5),
        by: number(row, 6),
        state: text(7),
        as_registered: text(8) == "t",
    };
    Some((number(row, 0)?, registered))
}

pub fn violations(last: &[Last], runs: &[LastRun], all: &[Tx]) -> Vec<String> {
    let mut judge = Judge {
        tasks: last.iter().map(|task| (task.task, task)).collect(),
        said: Vec::new(),
    };
    let undone: HashMap<i64, &LastRun> = runs
        .iter()
        .filter(|run| run.tape.iter().any(|event| event.kind == "compensating"))
        .map(|run| (run.run, run))
        .collect();
    for task in last {
        judge.ledger(task);
        judge.of_task(task, &undone);
    }
    judge.tasks_of_compensations(last);
    for run in runs {
        judge.of_run(run);
    }
    judge.answered(all);
    judge.said
}

struct Judge<'a> {
    tasks: HashMap<i64, &'a Last>,
    said: Vec<String>,
}

fn state(task: &Last) -> Option<State> {
    acts::state(&task.columns, 0)
}

fn told(task: i64, event: &TapeEvent) -> Told {
    Told {
        of: task,
        number: event.body["compensation_no"].as_i64().unwrap_or_default(),
        by: event.body["task_id"].as_i64(),
        state: event.body["state"].as_str().unwrap_or_default().to_owned(),
    }
}

fn when(task: &Last, kind: &str) -> Option<i64> {
    let event = task.tape.iter().find(|event| event.kind == kind);
    event.map(|event| event.at)
}

impl<'a> Judge<'a> {
    fn say(&mut self, what: String) {
        self.said.push(format!("G1: {what}"));
    }

    /// The ledger of a task and its tape tell the same.
    fn ledger(&mut self, task: &Last) {
        let numbers = task.compensations.iter().map(|c| c.number);
        if !numbers.eq(1..=task.compensations.len() as i64) {
            self.say(format!(
                "the ledger of task {} is not in order: {:?}",
                task.task, task.compensations
            ));
        }
        let by_workers = task.compensations.iter().filter_map(|c| {
            Some((
                c.number,
                c.name.clone(),
                c.queue.clone(),
                c.token.map(Some)?,
            ))
        });
        let on_tape = task
            .tape
            .iter()
            .filter(|event| event.kind == "baton.compensation_registered")
            .map(|event| {
                let text = |key: &str| event.body[key].as_str().unwrap_or_default().to_owned();
                let number = event.body["compensation_no"].as_i64().unwrap_or_default();
                (number, text("name"), text("queue"), event.token)
            });
        if !by_workers.eq(on_tape) {
            self.say(format!(
                "the ledger of task {} and its tape differ: {:?}, {:?}",
                task.task, task.compensations, task.tape
            ));
        }
    }

    /// What a task has registered is undone if it has ended badly, and only then, before it ends.
    fn of_task(&mut self, task: &'a Last, undone: &HashMap<i64, &LastRun>) {
        let id = task.task;
        let ended = state(task);
        let tape: Vec<Told> = task
            .tape
            .iter()
            .filter(|event| event.kind == "baton.compensation_finalized")
            .map(|event| told(id, event))
            .collect();
        let wanted: Vec<Told> = task
            .compensations
            .iter()
            .map(|c| Told {
                of: id,
                number: c.number,
                by: c.by,
                state: c.state.clone(),
            })
            .collect();
        if let Some(begun) = when(task, "compensating") {
            self.in_reverse(&format!("task {id}"), begun, ended, &wanted, &tape);
            return;
        }
        let by_others = task
            .tape
            .last()
            .is_some_and(|event| event.kind == "final" && event.token.is_none());
        let left_alone = match ended {
            Some(State::Completed) => true,
            // What its worker quarantines is for people to look at.
            Some(State::Quarantined) => !by_others,
            _ => wanted.is_empty(),
        };
        if !left_alone && !wanted.is_empty() {
            self.say(format!(
                "task {id} is {ended:?}, and nothing undoes its work: {wanted:?}"
            ));
        }
        let with_run = ended == Some(State::Completed)
            && task.run.is_some_and(|run| undone.contains_key(&run));
        if !with_run && wanted.iter().any(|c| c.by.is_some()) {
            self.say(format!(
                "task {id} is {ended:?}, and its work was undone: {wanted:?}"
            ));
        }
    }

    /// `ledger`: in the order of registration. `tape`: what has ended, in the order in which it did.
    fn in_reverse(
        &mut self,
        whose: &str,
        begun: i64,
        ended: Option<State>,
        ledger: &[Told],
        tape: &[Told],
    ) {
        let order = ledger.iter().rev().take(tape.len());
        if tape.is_empty() || tape.len() > ledger.len() || !order.eq(tape) {
            self.say(format!(
                "{whose}: {tape:?} is not the reverse of {ledger:?}"
            ));
            return;
        }
        let not_run = ledger.iter().rev().skip(tape.len());
        if not_run
            .clone()
            .any(|c| c.by.is_some() || c.state != REGISTERED)
        {
            self.say(format!(
                "{whose}: not on its tape, and not left alone: {ledger:?}"
            ));
        }
        let (last, before) = tape.split_last().expect("it is not empty");
        let all_done = before.iter().all(|c| c.state == COMPLETED);
        let fits = all_done
            && match ended {
                Some(State::Compensated) => tape.len() == ledger.len() && last.state == COMPLETED,
                Some(State::Quarantined) => last.state != COMPLETED,
                _ => false,
            };
        if !fits {
            self.say(format!("{whose} is {ended:?} after {tape:?} of {ledger:?}"));
        }
        // One at a time: each begins after the end of the one before.
        let mut after = begun;
        for (n, compensation) in tape.iter().enumerate() {
            let Some(by) = compensation.by else {
                // It could not be run: it gave up at once.
                if n + 1 < tape.len() || compensation.state == COMPLETED {
                    self.say(format!("{whose}: {compensation:?} has no task"));
                }
                continue;
            };
            let Some(task) = self.tasks.get(&by).copied() else {
                self.say(format!("{whose}: {compensation:?} is gone"));
                continue;
            };
            if when(task, "leased").is_some_and(|at| at < after) || task.created_at < after {
                self.say(format!("{whose}: {compensation:?} began before its turn"));
            }
            after = when(task, "final").unwrap_or(i64::MAX);
        }
    }

    /// Each task that undoes something is in one ledger, once, as it ended.
    fn tasks_of_compensations(&mut self, last: &[Last]) {
        let mut seen = HashSet::new();
        for task in last {
            for compensation in &task.compensations {
                let Some(by) = compensation.by else { continue };
                if !seen.insert(by) {
                    self.say(format!("task {by} undoes two things"));
                }
                let ended = self.tasks.get(&by).and_then(|task| state(task));
                if ended.map(State::name) != Some(compensation.state.as_str()) {
                    self.say(format!(
                        "{compensation:?} of task {}, and its task is {ended:?}",
                        task.task
                    ));
                }
                if !compensation.as_registered {
                    self.say(format!("task {by} is not as registered: {compensation:?}"));
                }
            }
        }
        let says_so = |task: &&Last| {
            let metadata = task.columns.get(11).and_then(Option::as_ref);
            metadata.is_some_and(|json| json.contains("\"compensates\""))
        };
        for task in last.iter().filter(says_so) {
            if !seen.contains(&task.task) {
                self.say(format!("task {} undoes what is in no ledger", task.task));
            }
        }
    }

    /// A run that ends badly undoes what its completed tasks did, over its whole ledger.
    fn of_run(&mut self, run: &LastRun) {
        let whose = format!("run {}", run.run);
        let ledger: Vec<Told> = run
            .ledger
            .iter()
            .map(|c| Told {
                of: c.task,
                number: c.number,
                by: c.by,
                state: c.state.clone(),
            })
            .collect();
        let mut of_tasks: BTreeMap<(i64, i64), Told> = BTreeMap::new();
        for task in self.tasks.values().filter(|task| task.run == Some(run.run)) {
            for c in &task.compensations {
                let told = Told {
                    of: task.task,
                    number: c.number,
                    by: c.by,
                    state: c.state.clone(),
                };
                of_tasks.insert((task.task, c.number), told);
            }
        }
        let mut shown: Vec<Told> = ledger.clone();
        shown.sort_by_key(|c| (c.of, c.number));
        if !shown.iter().eq(of_tasks.values()) {
            self.say(format!(
                "{whose}: its ledger and those of its tasks differ: {ledger:?}"
            ));
        }
        // As far as one task tells it: its compensations stand in the order of their numbers.
        let mut numbers: HashMap<i64, i64> = HashMap::new();
        for c in &ledger {
            if numbers.insert(c.of, c.number).is_some_and(|n| n > c.number) {
                self.say(format!("{whose}: its ledger is not in order: {ledger:?}"));
            }
        }
        let completed = |c: &&Told| {
            let task = self.tasks.get(&c.of);
            task.and_then(|task| state(task)) == Some(State::Completed)
        };
        let to_undo: Vec<Told> = ledger.iter().filter(completed).cloned().collect();
        let tape: Vec<Told> = run
            .tape
            .iter()
            .filter(|event| event.kind == "baton.compensation_finalized")
            .map(|event| Told {
                of: event.body["of_task_id"].as_i64().unwrap_or_default(),
                number: event.body["compensation_no"].as_i64().unwrap_or_default(),
                by: event.body["task_id"].as_i64(),
                state: event.text("state").to_owned(),
            })
            .collect();
        let begun = run.tape.iter().find(|event| event.kind == "compensating");
        let ended = match run.state.as_str() {
            "compensated" => Some(State::Compensated),
            "quarantined" => Some(State::Quarantined),
            _ => None,
        };
        if let Some(begun) = begun {
            self.in_reverse(&whose, begun.at, ended, &to_undo, &tape);
        } else if !to_undo.is_empty()
            && ["failed", "cancelled", "compensated"].contains(&run.state.as_str())
        {
            self.say(format!(
                "{whose} is {}, and nothing undoes what its tasks did: {to_undo:?}",
                run.state
            ));
        }
    }

    /// What was answered to be registered, and is on disk, is what the ledger says of that lease and that number.
    fn answered(&mut self, all: &[Tx]) {
        for tx in all.iter().filter(|tx| tx.flushed) {
            for (n, step) in tx.steps.iter().enumerate() {
                let TxStep::Call {
                    verb:
                        Verb::Register {
                            task,
                            token,
                            name,
                            queue,
                            payload,
                        },
                    answer: Some((Answer::Rows(rows), _)),
                    ..
                } = step
                else {
                    continue;
                };
                let Some(row) = rows.first() else { continue };
                if row[0].as_deref() != Some("registered") || tx.fate_of(n) != Fate::Committed {
                    continue;
                }
                let Some(last) = self.tasks.get(task) else {
                    continue;
                };
                let same = |c: &Registered| {
                    Some(c.number) == number(row, 1)
                        && c.token == Some(*token)
                        && c.name == *name
                        && c.queue == *queue
                        && c.payload.as_ref() == Some(payload)
                };
                if !last.compensations.iter().any(same) {
                    self.say(format!(
                        "{}: {name} of task {task} was registered as {row:?}, and its ledger says {:?}",
                        tx.label, last.compensations
                    ));
                }
            }
        }
    }
}
