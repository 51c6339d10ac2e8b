//! What goes wrong during a run, on purpose.

use std::fmt;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` of one server process: the others end with it, the server recovers by itself.
    BackendKill,
    /// `kill -9` of the first server process.
    ServerKill,
    /// `pg_ctl stop -m immediate`.
    ImmediateStop,
    /// `pg_terminate_backend` of a client's.
    Terminate,
    /// `pg_cancel_backend` of a client's.
    Cancel,
    /// Some calls have 1 to 50 ms, for all or for each lock.
    Timeouts,
    /// A connection is cut, most often between the end of a call and its answer.
    Cut,
    /// SIGSTOP of a worker process, for up to some leases' length.
    WorkerStop,
    /// `kill -9` of a worker process.
    WorkerKill,
    /// Clients pause in the middle of their work, in open transactions too.
    Pauses,
    /// Half of the clients have synchronous_commit = off.
    Unflushed,
    /// Somebody holds a snapshot for seconds.
    Snapshot,
    /// VACUUM and ANALYZE of the extension's tables.
    Vacuum,
}

use Fault::*;

impl Fault {
    pub const ALL: [Fault; 13] = [
        BackendKill,
        ServerKill,
        ImmediateStop,
        Terminate,
        Cancel,
        Timeouts,
        Cut,
        WorkerStop,
        WorkerKill,
        Pauses,
        Unflushed,
        Snapshot,
        Vacuum,
    ];

    pub fn name(self) -> &'static str {
        match self {
            BackendKill => "backend-kill",
            ServerKill => "server-kill",
            ImmediateStop => "immediate-stop",
            Terminate => "terminate",
            Cancel => "cancel",
            Timeouts => "timeouts",
            Cut => "cut",
            WorkerStop => "worker-stop",
            WorkerKill => "worker-kill",
            Pauses => "pauses",
            Unflushed => "unflushed",
            Snapshot => "snapshot",
            Vacuum => "vacuum",
        }
    }

    /// Whether the server goes down by it.
    pub fn is_crash(self) -> bool {
        matches!(self, BackendKill | ServerKill | ImmediateStop)
    }

    /// Whether it is a matter of moments; the others are how a client is from the beginning.
    pub fn is_sudden(self) -> bool {
        matches!(
            self,
            Terminate | Cancel | WorkerStop | WorkerKill | Snapshot | Vacuum
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `a,b`, `all` or `none`.
pub fn parse(list: &str) -> Option<Vec<Fault>> {
    match list {
        "all" => Some(Fault::ALL.to_vec()),
        "none" => Some(Vec::new()),
        list => list
            .split(',')
            .map(|word| Fault::ALL.into_iter().find(|fault| fault.name() == word))
            .collect(),
    }
}
