//! What the transactions do, statement by statement: the functions as they are, and the joins that were tried
//! elsewhere.

use super::database::{Lock, Row, Rows, SHARDS, Session};
use super::{CANCELLED, Fault, Join, Mechanism, RUNNING};
use crate::words::{Verb, Word};

/// What a transaction is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// `task_finalize`, or `_many`: of its worker (`by` 0), or of somebody who cancels or reaps (1).
    End { batch: u8, by: u8 },
    /// A message says that an item has ended: `task_dispatch_successor`.
    Handle { item: u8 },
    /// The same in a naive scheduler: "are all siblings done?"
    Look { item: u8 },
    /// Marks the run as cancelled, and then ends its tasks.
    CancelRun,
    /// Holds the run's row, and lets go of it.
    HoldGate,
    /// An acquire or a reap works off what is due.
    WorkDue { group: u8 },
}

/// The statement that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum At {
    /// `store::lease::finalize`, of the n-th task of the batch
    End(u8),
    /// `store::step::count_down`
    CountDown(u8, u8),
    /// step_shards_down.sql
    ShardsDown(u8),
    /// step_successor.sql and run_try_lock.sql
    Gate(u8),
    /// dispatch_insert.sql and successor_insert.sql, of this name
    Key(u8),
    /// dispatch_find.sql
    Find,
    /// run_lock.sql
    HoldRun,
    /// steps_lock.sql, at this step
    HoldStep(u8),
    /// scope_of_task.sql: has the task ended?
    Ended,
    /// step_naming.sql, and what follows
    Naming,
    MarkRun,
    HoldGate,
    /// due_take.sql
    TakeDue(u8),
    /// "Are all siblings done?"
    Siblings(u8),
    /// The step's row is locked, and nothing else
    LockStep(u8),
    Commit,
}

impl At {
    pub fn told(self) -> String {
        match self {
            At::End(_) => "ends its task".to_owned(),
            At::CountDown(group, shard) => format!("counts shard {shard} of group {group} down"),
            At::ShardsDown(group) => format!("takes its shards off group {group}"),
            At::Gate(group) => format!("tries the run's gate for group {group}"),
            At::Key(name) => format!("takes the place of successor {name}"),
            At::Find => "looks for the successor".to_owned(),
            At::HoldRun => "locks the run".to_owned(),
            At::HoldStep(group) => format!("locks the step of group {group}"),
            At::Ended => "looks whether its task has ended".to_owned(),
            At::Naming => "looks which group names the successor".to_owned(),
            At::MarkRun => "marks the run as cancelled".to_owned(),
            At::HoldGate => "locks the run".to_owned(),
            At::TakeDue(group) => format!("takes up what is due of group {group}"),
            At::Siblings(group) => format!("asks whether all of group {group} are done"),
            At::LockStep(group) => format!("locks the step of group {group}"),
            At::Commit => "commits".to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transaction {
    pub program: Program,
    pub at: At,
    /// Of the statement that is under way, if anything depends on it.
    pub snapshot: Option<Rows>,
    pub session: Session,
    /// Items that it has ended, shards that it has brought to 0, groups that it has ended: bits.
    ended: u8,
    zeroed: u8,
    joined: u8,
}

/// What follows a statement.
pub enum Then {
    Statement,
    Commit,
}

impl Join {
    pub(super) fn begin(&self, program: Program) -> Transaction {
        let at = match program {
            Program::End { .. } => At::End(0),
            Program::Handle { .. } => At::Find,
            Program::Look { item } => At::Siblings(self.group_of(item)),
            Program::CancelRun => At::MarkRun,
            Program::HoldGate => At::HoldGate,
            Program::WorkDue { group } => At::TakeDue(group),
        };
        Transaction {
            program,
            at,
            snapshot: None,
            session: Session::NEW,
            ended: 0,
            zeroed: 0,
            joined: 0,
        }
    }

    /// The tasks that it ends, in the order in which it locks them.
    fn batch(&self, program: Program) -> Vec<u8> {
        match program {
            Program::End { batch, .. } => {
                let mut items = self.batches[batch as usize].to_vec();
                if self.fault != Some(Fault::UnsortedBatch) {
                    items.sort_unstable();
                }
                items
            }
            Program::CancelRun => (0..self.items() as u8).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the statement's snapshot is a step of its own.
    pub(super) fn takes_snapshot(&self, transaction: &Transaction) -> bool {
        match transaction.at {
            At::Commit => false,
            At::Siblings(_) => true,
            At::CountDown(..) if self.fault == Some(Fault::ReadThenWrite) => true,
            _ => self.every_snapshot,
        }
    }

    /// The lock that the statement takes, and whether it waits for it.
    pub(super) fn wanted(&self, transaction: &Transaction) -> Option<(Row, Lock, bool)> {
        let exclusive = |row| Some((row, Lock::Exclusive, true));
        match transaction.at {
            At::End(n) => exclusive(Row::Item(self.batch(transaction.program)[n as usize])),
            At::CountDown(group, shard) => exclusive(Row::Count(group, shard)),
            At::ShardsDown(group) | At::LockStep(group) => exclusive(Row::Step(group)),
            At::Siblings(group) if self.mechanism == Mechanism::NotExistsUnderLock => {
                exclusive(Row::Step(group))
            }
            At::Gate(_) if self.fault == Some(Fault::GateIgnored) => None,
            At::Gate(_) => Some((
                Row::Run,
                Lock::Share,
                self.fault == Some(Fault::GateAwaited),
            )),
            At::Key(_) if self.fault == Some(Fault::NoKey) => None,
            At::Key(name) => exclusive(Row::Key(name)),
            At::HoldRun => Some((Row::Run, Lock::Share, true)),
            At::HoldStep(_) if self.fault == Some(Fault::HandlerUnlocked) => None,
            At::HoldStep(group) => Some((Row::Step(group), Lock::Share, true)),
            At::MarkRun | At::HoldGate => exclusive(Row::Run),
            At::TakeDue(group) => Some((Row::Due(group), Lock::Exclusive, false)),
            At::Siblings(_) | At::Find | At::Ended | At::Naming | At::Commit => None,
        }
    }

    /// Carries out the statement. `latest`: what is committed now, which is what a locked row is read from;
    /// `taken`: others hold what it would have locked, and it does not wait.
    pub(super) fn statement(
        &self,
        transaction: &mut Transaction,
        latest: &Rows,
        taken: bool,
    ) -> Then {
        let snapshot = transaction.snapshot.take().unwrap_or(*latest);
        let program = transaction.program;
        let session = &mut transaction.session;
        let dispatching = self.answers(program);
        let hear = |word| {
            if dispatching {
                self.heard.hear(Verb::DispatchSuccessor, word);
            }
        };
        transaction.at = match transaction.at {
            At::Commit => return Then::Commit,
            At::End(n) => {
                let items = self.batch(program);
                let item = items[n as usize];
                let live = session.read(latest, Row::Item(item)) == 0;
                if live || self.fault == Some(Fault::LoserCounts) {
                    transaction.ended |= 1 << item;
                }
                if live {
                    session.write(Row::Item(item), 1);
                }
                let last = n as usize + 1 == items.len();
                if last {
                    self.after_ends(transaction)
                } else {
                    At::End(n + 1)
                }
            }
            At::CountDown(group, shard) => {
                let row = Row::Count(group, shard);
                let read = if self.fault == Some(Fault::ReadThenWrite) {
                    &snapshot
                } else {
                    latest
                };
                let remaining = session.read(read, row).saturating_sub(self.ended_in(
                    transaction.ended,
                    group,
                    shard,
                ));
                session.write(row, remaining);
                if remaining == 0 {
                    transaction.zeroed |= 1 << (group as usize * SHARDS + shard as usize);
                }
                self.count_down_from(transaction, group, shard + 1)
            }
            At::ShardsDown(group) => {
                let shards = zeroed_of(transaction.zeroed, group);
                let open = session
                    .read(latest, Row::Step(group))
                    .saturating_sub(shards);
                session.write(Row::Step(group), open);
                if open == 0 || self.fault == Some(Fault::ShardDispatches) {
                    transaction.joined |= 1 << group;
                }
                self.shards_down_from(transaction, group + 1)
            }
            At::Gate(group) => {
                let over = session.read(&snapshot, Row::Step(group)) == 0
                    || self.fault == Some(Fault::ShardDispatches);
                let ignored = self.fault == Some(Fault::GateIgnored);
                if !over {
                    self.gate_from(transaction, group + 1)
                } else if taken {
                    if self.fault != Some(Fault::GateForgotten) {
                        session.due[group as usize] += 1;
                        self.heard.hear(Verb::Join, Word::Waiting);
                    }
                    self.gate_from(transaction, group + 1)
                } else if ignored || session.read(latest, Row::Run) == RUNNING {
                    At::Key(group)
                } else {
                    self.heard.hear(Verb::Join, Word::RunNotActive);
                    self.gate_from(transaction, group + 1)
                }
            }
            At::Key(name) => {
                let there =
                    self.fault != Some(Fault::NoKey) && session.read(latest, Row::Key(name)) > 0;
                if there {
                    hear(Word::AlreadyDispatched);
                } else {
                    if self.fault != Some(Fault::NoKey) {
                        session.write(Row::Key(name), 1);
                    }
                    session.successors[name as usize] += 1;
                    hear(Word::Dispatched);
                    if !dispatching {
                        let from_due = matches!(program, Program::WorkDue { .. });
                        let word = if from_due {
                            Word::Requeued
                        } else {
                            Word::Dispatched
                        };
                        self.heard.hear(Verb::Join, word);
                    }
                }
                if dispatching {
                    At::Commit
                } else {
                    self.gate_from(transaction, name + 1)
                }
            }
            At::Find => {
                if session.read(&snapshot, Row::Key(self.successor_of(self.about(program)))) > 0 {
                    hear(Word::AlreadyDispatched);
                    At::Commit
                } else {
                    At::HoldRun
                }
            }
            At::HoldRun => {
                if session.read(latest, Row::Run) == CANCELLED {
                    hear(Word::RunNotActive);
                    At::Commit
                } else {
                    At::HoldStep(self.needed(self.about(program))[0])
                }
            }
            At::HoldStep(group) => {
                let needed = self.needed(self.about(program));
                let next = needed.iter().find(|&&other| other > group);
                // What is over stays over: one step that is not is enough.
                if session.read(latest, Row::Step(group)) > 0 {
                    transaction.joined |= 1 << 7;
                }
                match next {
                    Some(&next) => At::HoldStep(next),
                    None => At::Ended,
                }
            }
            At::Ended => {
                let ended = session.read(&snapshot, Row::Item(self.about(program))) > 0;
                if transaction.joined & 1 << 7 != 0 || !ended {
                    hear(Word::Waiting);
                    At::Commit
                } else if self.built_in {
                    At::Naming
                } else {
                    At::Key(self.successor_of(self.about(program)))
                }
            }
            At::Naming => {
                let group = self.group_of(self.about(program));
                if session.read(&snapshot, Row::Key(group)) > 0 {
                    hear(Word::AlreadyDispatched);
                    At::Commit
                } else {
                    transaction.joined = 1 << group;
                    At::Gate(group)
                }
            }
            At::MarkRun => {
                if session.read(latest, Row::Run) == CANCELLED {
                    At::Commit
                } else {
                    session.write(Row::Run, CANCELLED);
                    At::End(0)
                }
            }
            At::HoldGate => At::Commit,
            At::TakeDue(_) if taken => At::Commit,
            At::TakeDue(group) => {
                session.due_taken[group as usize] = latest.get(Row::Due(group));
                transaction.joined = 1 << group;
                At::Gate(group)
            }
            At::LockStep(group) => At::Siblings(group),
            At::Siblings(group) => {
                let mut siblings = self.items_of(group);
                let done = siblings.all(|item| session.read(&snapshot, Row::Item(item)) > 0);
                let by_row = matches!(
                    self.mechanism,
                    Mechanism::NotExistsUnderLock | Mechanism::LockThenLook
                );
                let first = !by_row || session.read(latest, Row::Step(group)) == 0;
                if done && first {
                    if by_row {
                        session.write(Row::Step(group), 1);
                    }
                    session.successors[group as usize] += 1;
                }
                At::Commit
            }
        };
        Then::Statement
    }

    /// The answer of `task_dispatch_successor` is this transaction's.
    fn answers(&self, program: Program) -> bool {
        matches!(program, Program::Handle { .. })
            || self.in_one_transaction && matches!(program, Program::End { .. })
    }

    /// The item that a dispatch names.
    fn about(&self, program: Program) -> u8 {
        match program {
            Program::Handle { item } | Program::Look { item } => item,
            Program::End { batch, .. } => self.batches[batch as usize][0],
            _ => unreachable!("it dispatches nothing of its own"),
        }
    }

    fn ended_in(&self, ended: u8, group: u8, shard: u8) -> u8 {
        let of_shard = |item: &u8| ended & 1 << item != 0 && self.shard_of(*item) == shard;
        self.items_of(group).filter(of_shard).count() as u8
    }

    /// What follows when tasks have ended: `advance::after`.
    fn after_ends(&self, transaction: &mut Transaction) -> At {
        let ended = transaction.ended;
        if ended == 0 {
            return At::Commit;
        }
        match self.mechanism {
            Mechanism::Counters => self.count_down_from(transaction, 0, 0),
            Mechanism::NotExistsLater => At::Commit,
            Mechanism::NotExists | Mechanism::NotExistsUnderLock => {
                At::Siblings(self.group_of(ended.trailing_zeros() as u8))
            }
            Mechanism::LockThenLook => At::LockStep(self.group_of(ended.trailing_zeros() as u8)),
        }
    }

    fn count_down_from(&self, transaction: &Transaction, group: u8, shard: u8) -> At {
        let groups = self.groups.len() as u8;
        let mut places =
            (0..groups).flat_map(|group| (0..self.shards(group)).map(move |shard| (group, shard)));
        let next = places.find(|&place| {
            place >= (group, shard) && self.ended_in(transaction.ended, place.0, place.1) > 0
        });
        match next {
            Some((group, shard)) => At::CountDown(group, shard),
            None => self.shards_down_from(transaction, 0),
        }
    }

    fn shards_down_from(&self, transaction: &Transaction, group: u8) -> At {
        let next = (group..self.groups.len() as u8)
            .find(|&group| zeroed_of(transaction.zeroed, group) > 0);
        match next {
            Some(group) => At::ShardsDown(group),
            None => self.gate_from(transaction, 0),
        }
    }

    fn gate_from(&self, transaction: &Transaction, group: u8) -> At {
        let next =
            (group..self.groups.len() as u8).find(|&group| transaction.joined & 1 << group != 0);
        match next {
            Some(group) if self.built_in => At::Gate(group),
            _ if self.in_one_transaction && matches!(transaction.program, Program::End { .. }) => {
                At::Find
            }
            _ => At::Commit,
        }
    }

    pub(super) fn program_told(&self, program: Program) -> String {
        match program {
            Program::End { batch, by } => {
                let by = if by == 0 {
                    "finalize"
                } else {
                    "cancel or reap"
                };
                format!("{by} of {:?}", self.batches[batch as usize])
            }
            Program::Handle { item } => format!("handler of item {item}'s end"),
            Program::Look { item } => format!("look after item {item}'s end"),
            Program::CancelRun => "cancel of the run".to_owned(),
            Program::HoldGate => "holder of the gate".to_owned(),
            Program::WorkDue { group } => format!("worker at what is due of group {group}"),
        }
    }
}

/// How many shards of the group were brought to 0.
fn zeroed_of(zeroed: u8, group: u8) -> u8 {
    let of_group = zeroed >> (group as usize * SHARDS) & ((1 << SHARDS) - 1);
    of_group.count_ones() as u8
}
