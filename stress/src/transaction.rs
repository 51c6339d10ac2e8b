//! The transactions of a client, as its journal tells of them.

use crate::acts::{self, Known, acts};
use crate::checker::Fate;
use crate::history::{Answer, Entry, Stamp, Verb};
use crate::spec::{Act, Reply};

/// A transaction of a client: one call, or several between BEGIN and its end.
pub struct Tx {
    /// Who, for people.
    pub label: String,
    /// The server's process.
    pub pid: u32,
    /// Its commit waits for its flush: by the client's setting, or because one of its calls makes it.
    pub flushed: bool,
    /// The call is the transaction.
    pub alone: bool,
    pub isolation: String,
    pub steps: Vec<TxStep>,
    /// When COMMIT was sent.
    pub commit: Option<Stamp>,
    /// Whether it was committed, if that is known, and when that was answered.
    pub ended: Option<(Option<bool>, Stamp)>,
}

/// What was done in it.
pub enum TxStep {
    Call {
        verb: Verb,
        from: Stamp,
        answer: Option<(Answer, Stamp)>,
    },
    Savepoint,
    RollbackToSavepoint,
}

impl Tx {
    /// What became of it.
    pub fn fate(&self) -> Fate {
        if self.alone {
            return match self.steps.first() {
                Some(TxStep::Call {
                    answer: Some((Answer::Rows(_), _)),
                    ..
                }) => Fate::Committed,
                Some(TxStep::Call {
                    answer: Some((Answer::Error { .. }, _)),
                    ..
                }) => Fate::RolledBack,
                _ => Fate::Unknown,
            };
        }
        match (self.ended, self.commit) {
            (Some((Some(true), _)), _) => Fate::Committed,
            (Some((Some(false), _)), _) => Fate::RolledBack,
            (_, Some(_)) => Fate::Unknown,
            // It never said COMMIT.
            (_, None) => Fate::RolledBack,
        }
    }

    /// What became of one of its calls: it may be undone by itself.
    pub fn fate_of(&self, step: usize) -> Fate {
        let savepoint = |step: &TxStep| matches!(step, TxStep::Savepoint);
        let back = |step: &TxStep| matches!(step, TxStep::RollbackToSavepoint);
        let undone =
            self.steps[..step].iter().any(savepoint) && self.steps[step..].iter().any(back);
        if undone {
            Fate::RolledBack
        } else {
            self.fate()
        }
    }

    /// A dispatch waits for its flush, too: nobody else may ever be told the same.
    pub fn dispatched(&self) -> bool {
        self.steps.iter().any(|step| match step {
            TxStep::Call {
                verb: Verb::Dispatch { .. },
                answer: Some((Answer::Rows(rows), _)),
                ..
            } => rows
                .first()
                .is_some_and(|row| row[0].as_deref() == Some("dispatched")),
            _ => false,
        })
    }

    /// From when to when, if it made more than one call.
    pub fn with_several_calls(&self) -> Option<(u32, i64, i64)> {
        let mut calls = self.steps.iter().filter_map(|step| match step {
            TxStep::Call { from, .. } => Some(from.wall),
            _ => None,
        });
        let first = calls.next()?;
        calls.next()?;
        Some((
            self.pid,
            first,
            self.ended.map_or(i64::MAX, |(_, stamp)| stamp.wall),
        ))
    }

    /// What its calls mean, unless they failed.
    pub fn calls(&self, known: &Known) -> impl Iterator<Item = (Act, Option<Reply>)> {
        self.steps.iter().flat_map(|step| {
            let calls = match step {
                TxStep::Call { verb, answer, .. } => match answer {
                    Some((Answer::Rows(rows), _)) => acts(verb, Some(rows), known),
                    Some((Answer::Error { .. }, _)) => Vec::new(),
                    Some((Answer::Lost(_), _)) | None => acts(verb, None, known),
                },
                _ => Vec::new(),
            };
            calls.into_iter().map(|(_, act, reply)| (act, reply))
        })
    }

    pub fn commit_began(&self) -> Option<i64> {
        match (self.alone, self.steps.first()) {
            (true, Some(TxStep::Call { from, .. })) => Some(from.mono),
            _ => self.commit.map(|stamp| stamp.mono),
        }
    }

    pub fn end(&self) -> i64 {
        let last_answer = self.steps.iter().rev().find_map(|step| match step {
            TxStep::Call { answer, .. } => answer.as_ref().map(|(_, stamp)| stamp.mono),
            _ => None,
        });
        match (self.fate(), self.alone) {
            (Fate::Unknown, _) => i64::MAX,
            (_, true) => last_answer.unwrap_or(i64::MAX),
            (_, false) => self.ended.map_or(i64::MAX, |(_, stamp)| stamp.mono),
        }
    }
}

/// When what was flushed had ended, by when its commit began: what was acknowledged before that was flushed with it.
pub struct Flushes {
    /// (began, the first to end of those that began then or later), in order.
    commits: Vec<(i64, i64)>,
}

impl Flushes {
    pub fn of(all: &[Tx], known: &Known) -> Flushes {
        let mut commits: Vec<(i64, i64)> = all
            .iter()
            .filter(|tx| tx.flushed && tx.fate() == Fate::Committed)
            .filter(|tx| {
                tx.calls(known)
                    .any(|(act, reply)| reply.is_some() && acts::writes(&act, reply.as_ref()))
            })
            .filter_map(|tx| Some((tx.commit_began()?, tx.end())))
            .collect();
        commits.sort_unstable();
        let mut first_end = i64::MAX;
        for (_, end) in commits.iter_mut().rev() {
            first_end = first_end.min(*end);
            *end = first_end;
        }
        Flushes { commits }
    }

    /// When everything was on disk, at the latest, that had happened by then.
    pub fn after(&self, time: i64) -> i64 {
        let i = self.commits.partition_point(|(began, _)| *began <= time);
        self.commits.get(i).map_or(i64::MAX, |(_, end)| *end)
    }
}

/// Reads the entries of one client.
pub fn transactions(entries: &[Entry], crashes: &mut Vec<(Stamp, Stamp)>) -> Vec<Tx> {
    let mut all: Vec<Tx> = Vec::new();
    let mut client = String::new();
    let mut always_flushed = true;
    let mut pid = 0;
    for entry in entries {
        match entry {
            Entry::Client { name, flushed } => {
                client.clone_from(name);
                always_flushed = *flushed;
            }
            Entry::Connected { pid: now } => pid = *now,
            Entry::Missed { .. } => {}
            Entry::Crash { down, up } => crashes.push((*down, *up)),
            Entry::Begin { tx, isolation } => all.push(Tx {
                label: format!("{client}#{tx}"),
                pid,
                flushed: always_flushed,
                alone: false,
                isolation: isolation.clone(),
                steps: Vec::new(),
                commit: None,
                ended: None,
            }),
            Entry::Call {
                tx,
                alone,
                verb,
                stamp,
            } => {
                if *alone {
                    all.push(Tx {
                        label: format!("{client}#{tx}"),
                        pid,
                        flushed: always_flushed,
                        alone: true,
                        isolation: "READ COMMITTED".to_owned(),
                        steps: Vec::new(),
                        commit: None,
                        ended: None,
                    });
                }
                let tx = all.last_mut().expect("a transaction has begun");
                tx.steps.push(TxStep::Call {
                    verb: verb.clone(),
                    from: *stamp,
                    answer: None,
                });
            }
            Entry::Answer { answer, stamp, .. } => {
                let tx = all.last_mut().expect("a call was made");
                if let Some(TxStep::Call { answer: open, .. }) = tx.steps.last_mut() {
                    *open = Some((answer.clone(), *stamp));
                }
            }
            Entry::Savepoint { .. } => {
                all.last_mut()
                    .expect("a transaction has begun")
                    .steps
                    .push(TxStep::Savepoint);
            }
            Entry::RollbackToSavepoint { .. } => {
                let tx = all.last_mut().expect("a transaction has begun");
                tx.steps.push(TxStep::RollbackToSavepoint);
            }
            Entry::Commit { stamp, .. } => {
                all.last_mut().expect("a transaction has begun").commit = Some(*stamp);
            }
            Entry::Ended {
                committed, stamp, ..
            } => {
                all.last_mut().expect("a transaction has begun").ended = Some((*committed, *stamp));
            }
        }
    }
    all
}
