//! The grammar of a run's tape, and where the run was after each of its events.

use super::LastRun;
use crate::model::run::{RunEvent, RunState, next_run};

/// Where a run was after an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    pub state: RunState,
    pub checkpoint: Option<String>,
}

/// After each event, as far as the tape can be followed. (That a run is failing is not on its tape.)
pub fn places(run: &LastRun) -> Vec<Place> {
    let mut places = Vec::with_capacity(run.tape.len());
    let mut now = Place {
        state: RunState::Running,
        checkpoint: None,
    };
    for event in &run.tape {
        if let Ok(next) = after(&now, event) {
            now = next;
        }
        places.push(now.clone());
    }
    places
}

/// E1, E2 and what a run may do where it is.
pub fn violations(run: &LastRun) -> Vec<String> {
    let mut said = Vec::new();
    let mut now = Place {
        state: RunState::Running,
        checkpoint: None,
    };
    for (i, event) in run.tape.iter().enumerate() {
        let mut say =
            |what: String| said.push(format!("run {}, event {}: {what}", run.run, event.seq));
        if event.seq != i as i64 + 1 {
            say(format!("it is the {}th", i + 1));
        }
        if (event.kind == "started") != (i == 0) {
            say(format!("{} has no place there", event.kind));
        }
        match after(&now, event) {
            Ok(next) => now = next,
            Err(why) => say(why),
        }
    }
    if !now.state.is_terminal() || now.state.name() != run.state {
        said.push(format!(
            "run {} is {} at the end, and its tape ends in {:?}",
            run.run,
            run.state,
            run.tape.last()
        ));
    }
    said
}

fn after(now: &Place, event: &super::RunEvent) -> Result<Place, String> {
    let checkpoint = event.text("checkpoint");
    let to = |happened: RunEvent, checkpoint: Option<&str>| {
        let state = next_run(now.state, happened)
            .ok_or_else(|| format!("{} where it is {:?}", event.kind, now.state))?;
        Ok(Place {
            state,
            checkpoint: checkpoint.map(str::to_owned),
        })
    };
    match event.kind.as_str() {
        "paused" => to(RunEvent::Pause, Some(checkpoint)),
        "resumed" if now.checkpoint.as_deref() != Some(checkpoint) => Err(format!(
            "resumed from {checkpoint} where it is paused at {:?}",
            now.checkpoint
        )),
        "resumed" => to(RunEvent::Resume, None),
        "cancel_requested" => to(RunEvent::Cancel, None),
        "compensating" => to(RunEvent::Compensate, None),
        "baton.compensation_finalized" if now.state != RunState::Compensating => Err(format!(
            "G1: something is undone where it is {:?}",
            now.state
        )),
        "final" => {
            let name = event.text("state");
            let end = RunState::ALL
                .into_iter()
                .find(|state| state.is_terminal() && state.name() == name)
                .ok_or_else(|| format!("{name} is no end"))?;
            to(RunEvent::End(end), None)
        }
        // C1: a run that is cancelled dispatches nothing; one that is paused neither dispatches nor ends anything.
        "step_dispatched" if now.state != RunState::Running => {
            Err(format!("C1: dispatched where it is {:?}", now.state))
        }
        kind if now.state.is_terminal() => Err(format!("E2: {kind} after its end")),
        "step_finalized" if now.state == RunState::Paused => {
            Err("a step ends in a run that is paused".to_owned())
        }
        "step_finalized" if now.state == RunState::Compensating => {
            Err("G1: a step ends in a run whose work is undone".to_owned())
        }
        _ => Ok(now.clone()),
    }
}
