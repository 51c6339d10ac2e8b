//! The columns of the tables that are read and written row by row (`pg::table`), in the order of sql/install/schema.sql. That they
//! are there is checked when a table is first opened.

use crate::table;

table! {
    Queue = c"queue" {
        queue_id, name, lease_ttl, max_attempts, max_lost_leases, backoff_base, backoff_max, max_runtime, on_lost, on_final_queue_id,
        on_final_states, lanes, created_at, paused_at, dropped_at,
    }
}

table! {
    Task = c"task" {
        task_id, run_id, step_id, redrive_of, created_at, queue_id, max_attempts, item_index, priority, slot_keys, name, key, payload,
        metadata,
    }
}

table! {
    Live = c"task_live" {
        task_id, step_id, waits_for, compensates, on_final_of, ready_seq, ready_at, run_at, lease_token, leased_at, lease_expires_at,
        check_at, heartbeat_at, started_at, cancel_requested_at, max_runtime, last_seq, leased_seq, queue_id, attempt, lost_leases, state,
        priority, shard, registrations, compensable, slot_keys, owner, cancel_reason,
    }
}

table! {
    Done = c"task_done" {
        task_id, run_at, lease_token, leased_at, heartbeat_at, started_at, cancel_requested_at, finalized_at, last_seq, leased_seq, step_id,
        compensates, max_runtime, on_final_of, on_final_task_id, queue_id, attempt, lost_leases, state, shard, compensable, ended_by_lease,
        slot_keys, owner, reason, result, error,
    }
}

table! {
    Event = c"event" { tape_id, seq, at, lease_token, kind, dedup_key, body }
}

table! {
    Due = c"due" { due_id, step_id, slot_key, owner_id, failed_task_id, freed, queue_id }
}

table! {
    StepBatch = c"step_batch" { step_id, first_index, queue_id, payloads }
}

table! {
    Run = c"run" {
        run_id, workflow_id, last_seq, created_at, finalized_at, slot_key, state, first_state, on_error, version, name, key, checkpoint,
        checkpoint_detail, failed, cancel_reason, input, result, metadata,
    }
}

table! {
    SlotKey = c"slot_key" { slot_key, capacity, lanes, slots, queue_ids, name }
}

table! {
    Slot = c"slot" { slot_key, holder, free_seq }
}

table! {
    StepCount = c"step_count" {
        step_id, shard, remaining, completed, failed, cancelled, quarantined, compensated, compensated_failed, forgotten,
    }
}
