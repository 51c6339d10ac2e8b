//! Runs one configuration through the checker, and says what came of it.

use stateright::{Checker, HasDiscoveries, Model};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Instant;

/// Tells a step, and a state, to people.
pub trait Named: Model {
    fn told(&self, state: &Self::State, step: &Self::Action) -> String;
    fn sketch(&self, state: &Self::State) -> String;
}

/// What is expected of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// All properties hold in all reachable states.
    Holds,
    /// This property is violated, and the checker shows how.
    Violates(&'static str),
}

pub struct Report {
    pub states: usize,
    /// Of the longest shortest path to a state, in steps.
    pub depth: usize,
    pub seconds: f64,
    /// The violated property, and a shortest way to a state where it is violated.
    pub violation: Option<(&'static str, Vec<String>)>,
}

impl Report {
    pub fn as_expected(&self, expected: Expected) -> bool {
        match (expected, &self.violation) {
            (Expected::Holds, None) => true,
            (Expected::Violates(property), Some((violated, _))) => property == *violated,
            _ => false,
        }
    }
}

/// Looks at every reachable state, or stops at the violation that is expected.
pub fn run<M>(model: &M, expected: Expected) -> Report
where
    M: Named + Clone + Send + Sync + 'static,
    M::State: Debug + Hash + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let since = Instant::now();
    let mut found = search(model, expected, None);
    // The checker looks at its discoveries only after every 1,500 states and keeps the latest: a shorter
    // way to the same violation may have come before.
    while let Some((_, path)) = &found.violation {
        let shorter = search(model, expected, Some(path.len()));
        if shorter.violation.is_none() {
            break;
        }
        found.violation = shorter.violation;
    }
    found.seconds = since.elapsed().as_secs_f64();
    found
}

fn search<M>(model: &M, expected: Expected, shorter_than: Option<usize>) -> Report
where
    M: Named + Clone + Send + Sync + 'static,
    M::State: Debug + Hash + Clone + PartialEq + Send + Sync,
    M::Action: Debug + Clone + PartialEq + Send + Sync,
{
    let finish_when = match expected {
        Expected::Holds => HasDiscoveries::AnyFailures,
        Expected::Violates(property) => HasDiscoveries::AllOf([property].into()),
    };
    // One thread: breadth first is exact only then. Configurations run side by side instead.
    let mut checker = model.clone().checker().threads(1).finish_when(finish_when);
    if let Some(steps) = shorter_than {
        // A path of n steps has n + 1 states, and those at the target are left out.
        checker = checker.target_max_depth(steps + 1);
    }
    let checker = checker.spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let property = match expected {
        Expected::Holds => discoveries.keys().next().copied(),
        Expected::Violates(property) => Some(property),
    };
    let violation = property.and_then(|property| {
        let path = discoveries.remove(property)?;
        let states = path.into_vec();
        let told = states.iter().enumerate().filter_map(|(i, (state, step))| {
            let after = model.sketch(&states.get(i + 1)?.0);
            Some(format!("{}  → {after}", model.told(state, step.as_ref()?)))
        });
        Some((property, told.collect()))
    });
    Report {
        states: checker.unique_state_count(),
        depth: checker.max_depth() - 1,
        seconds: 0.0,
        violation,
    }
}
