use super::access;
use super::args::{self, Checked, answer};
use crate::model::access::Capability::Control;
use crate::pg::datum::Jsonb;
use crate::pg::error::Misuse;
use crate::pg::settings;
use crate::store::run;
use pgrx::prelude::*;

/// Merges metadata into a run's own, key by key at the top level; in every state. It touches nothing else, ever.
///
/// Arguments: `run_id`; `metadata` (a JSON object).
///
/// Outcomes: `not_found`, `annotated`.
///
/// Errors: 22004, 22023 (no object), 54000 (what it comes to is too large).
///
/// Locks: the run FOR NO KEY UPDATE, waiting for who moves it on.
#[pg_extern(volatile, parallel_unsafe)]
fn workflow_annotate(run_id: Option<i64>, metadata: Option<Jsonb>) -> String {
    let session = access::verb(c"workflow_annotate()", &[Control]);
    let annotate = || -> Checked<&'static str> {
        let run_id = args::required("run_id", run_id)?;
        let metadata = args::metadata(metadata)?;
        match run::annotate(&session, run_id, metadata) {
            None => Ok("not_found"),
            Some(bytes) if bytes as usize > settings::max_payload_bytes() => {
                Err(Misuse::over_limit(format!("metadata of run {run_id} is too large")).detail(format!(
                    "It would have {bytes} bytes; at most {} are allowed (pg_baton.max_payload_bytes).",
                    settings::max_payload_bytes()
                )))
            }
            Some(_) => Ok("annotated"),
        }
    };
    answer(annotate()).to_owned()
}
