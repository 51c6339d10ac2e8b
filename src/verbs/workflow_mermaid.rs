use super::access;
use super::args::{self, Checked, answer};
use super::runs;
use crate::model::mermaid::{self, Node};
use crate::model::run::When;
use crate::pg::session::Session;
use crate::store::workflow;
use pgrx::prelude::*;
use std::collections::HashMap;

/// Draws a run: its steps, what each needs, and where each is, as a Mermaid flowchart, ready to paste.
///
/// Arguments: `run_id`.
///
/// Returns NULL if there is no such run. Steps in queues that the caller may not look at are left out.
///
/// Errors: 22004.
///
/// Locks: none; works on a standby.
#[pg_extern(stable, parallel_unsafe)]
fn workflow_mermaid(run_id: Option<i64>) -> Option<String> {
    let session = access::reader();
    let draw =
        || -> Checked<Option<String>> { Ok(draw(&session, args::required("run_id", run_id)?)) };
    answer(draw())
}

fn draw(session: &Session, run_id: i64) -> Option<String> {
    let (title, state, workflow_id) = workflow::title(session, run_id)?;
    let definition = workflow_id.map(|id| runs::definition(session, id));
    let steps = workflow::graph(session, run_id);
    let index: HashMap<&str, usize> = steps
        .iter()
        .enumerate()
        .map(|(i, step)| (step.name.as_str(), i))
        .collect();
    let follows = workflow::successors(session, run_id);
    let nodes: Vec<Node> = steps
        .iter()
        .map(|step| {
            let defined = definition.as_ref().and_then(|definition| {
                definition
                    .steps
                    .iter()
                    .find(|known| known.name == step.name)
            });
            let of_groups = follows
                .iter()
                .filter(|(_, successor)| *successor == step.name)
                .map(|(group, _)| group);
            let needs = step.needs.iter().chain(of_groups);
            Node {
                name: &step.name,
                state: step.state,
                total: i64::from(step.total),
                ended: i64::from(step.ended),
                needs: needs
                    .filter_map(|need| index.get(need.as_str()).copied())
                    .collect(),
                when: defined.map_or(When::Completed, |step| step.when),
                has_condition: defined.is_some_and(|step| step.condition.is_some()),
                checkpoint: defined.and_then(|step| step.checkpoint.as_deref()),
            }
        })
        .collect();
    Some(mermaid::graph(
        &format!("{title}: {}", state.name()),
        &nodes,
    ))
}
