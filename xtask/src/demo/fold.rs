//! The fold of `examples/fold.py`, done by the demo itself where there is no Python.

use super::files::hex;
use super::workers::Lease;
use super::{DATABASE, FOLD_QUEUE, literal};
use crate::cluster::Cluster;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Leases the successor, if it is there, folds its group page by page, and finalizes it; returns what
/// it was told.
pub fn here(cluster: &Cluster) -> Result<Option<(Lease, String)>> {
    let lease = cluster.psql(
        DATABASE,
        &format!(
            "SELECT task_id, lease_token, run_id, payload->>'items'
               FROM task_acquire_lease('{FOLD_QUEUE}', 'fold')"
        ),
    )?;
    if lease.is_empty() {
        return Ok(None);
    }
    let [task_id, token, run_id, name] = lease.split('|').collect::<Vec<_>>()[..] else {
        anyhow::bail!("unexpected lease: {lease}")
    };
    let mut totals = [0u64; 3];
    let mut files = 0u64;
    let mut digests = Sha256::new();
    let mut after = -1i64;
    loop {
        let page = cluster.psql(
            DATABASE,
            &format!(
                "SELECT jsonb_build_array(item_index, state, result)
                   FROM task_items({run_id}, {}, {after}, 500) ORDER BY item_index",
                literal(name)
            ),
        )?;
        if page.is_empty() {
            break;
        }
        for row in page.lines() {
            let row: Value = serde_json::from_str(row)?;
            after = row[0].as_i64().context("an item has no index")?;
            if row[1] == "completed" {
                files += 1;
                for (total, field) in totals.iter_mut().zip(["bytes", "lines", "words"]) {
                    *total += row[2][field]
                        .as_u64()
                        .with_context(|| format!("item {after} has no {field}"))?;
                }
                digests.update(unhex(
                    row[2]["sha256"].as_str().context("an item has no digest")?,
                )?);
            }
        }
        cluster.psql(
            DATABASE,
            &format!("SELECT outcome FROM task_heartbeat({task_id}, {token})"),
        )?;
    }
    let [bytes, lines, words] = totals;
    let report = json!({"files": files, "bytes": bytes, "lines": lines, "words": words,
                        "digest": hex(&digests.finalize())});
    let result = literal(&report.to_string());
    let finalize =
        format!("SELECT outcome FROM task_finalize({task_id}, {token}, 'completed', {result})");
    let told = cluster.psql(DATABASE, &finalize)?;
    Ok(Some((
        Lease {
            task_id: task_id.parse()?,
            token: token.parse()?,
        },
        told,
    )))
}

fn unhex(text: &str) -> Result<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}
