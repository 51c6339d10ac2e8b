//! Where a run and its steps are, and what follows from how tasks ended: which steps run, which are
//! skipped, and how the run ends. The numbers are what the tables store, as for tasks.

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum RunState {
    Running = 0,
    Paused = 1,
    Cancelling = 2,
    Compensating = 3,
    /// A task failed where `on_error` is `fail`: what has not started is gone, the rest goes on.
    Failing = 4,
    Completed = 10,
    Failed = 11,
    Cancelled = 12,
    Compensated = 13,
    Quarantined = 14,
}

impl RunState {
    pub const ALL: [RunState; 10] = [
        RunState::Running,
        RunState::Paused,
        RunState::Cancelling,
        RunState::Compensating,
        RunState::Failing,
        RunState::Completed,
        RunState::Failed,
        RunState::Cancelled,
        RunState::Compensated,
        RunState::Quarantined,
    ];

    /// A failing run shows as `running`: its tasks may still run, and handlers will.
    pub fn name(self) -> &'static str {
        match self {
            RunState::Running | RunState::Failing => "running",
            RunState::Paused => "paused",
            RunState::Cancelling => "cancelling",
            RunState::Compensating => "compensating",
            RunState::Completed => "completed",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
            RunState::Compensated => "compensated",
            RunState::Quarantined => "quarantined",
        }
    }

    pub fn code(self) -> i16 {
        self as i16
    }

    pub fn from_code(code: i16) -> Option<RunState> {
        RunState::ALL.into_iter().find(|state| state.code() == code)
    }

    pub fn is_terminal(self) -> bool {
        self >= RunState::Completed
    }
}

/// The state of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum StepState {
    Waiting = 0,
    Running = 1,
    Completed = 10,
    Failed = 11,
    Cancelled = 12,
    /// It never ran: what it waited for ended otherwise than it asked.
    Skipped = 15,
}

impl StepState {
    pub const ALL: [StepState; 6] = [
        StepState::Waiting,
        StepState::Running,
        StepState::Completed,
        StepState::Failed,
        StepState::Cancelled,
        StepState::Skipped,
    ];

    pub fn name(self) -> &'static str {
        match self {
            StepState::Waiting => "waiting",
            StepState::Running => "running",
            StepState::Completed => "completed",
            StepState::Failed => "failed",
            StepState::Cancelled => "cancelled",
            StepState::Skipped => "skipped",
        }
    }

    pub fn code(self) -> i16 {
        self as i16
    }

    pub fn from_code(code: i16) -> Option<StepState> {
        StepState::ALL
            .into_iter()
            .find(|state| state.code() == code)
    }

    pub fn has_ended(self) -> bool {
        self >= StepState::Completed
    }
}

/// What a run does when one of its tasks fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    Fail,
    Pause,
    Continue,
}

impl OnError {
    pub const ALL: [OnError; 3] = [OnError::Fail, OnError::Pause, OnError::Continue];

    pub fn name(self) -> &'static str {
        match self {
            OnError::Fail => "fail",
            OnError::Pause => "pause",
            OnError::Continue => "continue",
        }
    }

    pub fn parse(name: &str) -> Option<OnError> {
        OnError::ALL
            .into_iter()
            .find(|on_error| on_error.name() == name)
    }
}

/// How the steps that a step needs must have ended for it to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Completed,
    Failed,
    Done,
}

impl When {
    pub const ALL: [When; 3] = [When::Completed, When::Failed, When::Done];

    pub fn name(self) -> &'static str {
        match self {
            When::Completed => "completed",
            When::Failed => "failed",
            When::Done => "done",
        }
    }

    pub fn parse(name: &str) -> Option<When> {
        When::ALL.into_iter().find(|when| when.name() == name)
    }
}

/// What becomes of a waiting step, before its `if` is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Run,
    Skip,
}

/// `None` until all that it needs has ended: a verdict is given once and never taken back.
pub fn verdict(when: When, needs: &[StepState]) -> Option<Verdict> {
    if !needs.iter().all(|state| state.has_ended()) {
        return None;
    }
    let any = |state| needs.contains(&state);
    let runs = match when {
        When::Done => true,
        When::Completed => needs.iter().all(|state| *state == StepState::Completed),
        When::Failed => any(StepState::Failed) && !any(StepState::Skipped),
    };
    Some(if runs { Verdict::Run } else { Verdict::Skip })
}

/// How a step ends whose tasks have all ended. Quarantined tasks count as failed, compensated ones as they had ended first.
pub fn step_end(_completed: i32, failed: i32, cancelled: i32) -> StepState {
    if failed > 0 {
        StepState::Failed
    } else if cancelled > 0 {
        StepState::Cancelled
    } else {
        StepState::Completed
    }
}

/// How the run ends; `None`: a step has not ended.
pub fn run_end(cancelled: bool, steps: impl IntoIterator<Item = StepState>) -> Option<RunState> {
    let (mut any_failed, mut any_cancelled) = (false, cancelled);
    for step in steps {
        if !step.has_ended() {
            return None;
        }
        any_failed |= step == StepState::Failed;
        any_cancelled |= step == StepState::Cancelled;
    }
    Some(if any_failed && !cancelled {
        RunState::Failed
    } else if any_cancelled {
        RunState::Cancelled
    } else {
        RunState::Completed
    })
}

/// Whether a waiting step stays when `on_error` is `fail` and a task has failed: handlers do, because failures
/// are what they are there for.
pub fn survives_failure(when: When) -> bool {
    when != When::Completed
}

/// What can happen to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEvent {
    /// Somebody asks for it, a checkpoint is reached, or a task failed where `on_error` is `pause`.
    Pause,
    Resume,
    Cancel,
    /// A task failed where `on_error` is `fail`.
    Fail,
    /// Nothing is left to do, but to undo what was done.
    Compensate,
    /// Nothing is left to do.
    End(RunState),
}

/// The state after `event`; `None`: the event is illegal there.
pub fn next_run(state: RunState, event: RunEvent) -> Option<RunState> {
    use RunEvent::*;
    use RunState::*;
    Some(match (state, event) {
        (Running, Pause) => Paused,
        // What failed while the run was paused is looked at when it runs again.
        (Paused, Resume) => Running,
        (Running | Paused | Failing, Cancel) => Cancelling,
        (Running, Fail) => Failing,
        (Running | Failing | Cancelling, RunEvent::Compensate) => Compensating,
        (Compensating, End(end @ (Compensated | Quarantined))) => end,
        // A compensation of one of its tasks gave up: what others did is left as it is.
        (Running | Failing | Cancelling, End(Quarantined)) => Quarantined,
        (Running | Failing, End(end)) if end.is_terminal() => end,
        (Cancelling, End(Cancelled)) => Cancelled,
        _ => return None,
    })
}
