//! The columns of the tables that are read and written row by row (`pg::table`), in the order of sql/install/schema.sql. That they
//! are there, and of these types, is checked when a table is first opened.

use crate::table;

table! {
    Queue = c"queue" {
        queue_id: int, name: text, lease_ttl: interval, max_attempts: int, max_lost_leases: int, backoff_base: interval, backoff_max: interval,
        max_runtime: interval, on_lost: text, on_final_queue_id: int, on_final_states: smallints, lanes: int, created_at: timestamptz,
        paused_at: timestamptz, dropped_at: timestamptz,
    }
}

table! {
    Task = c"task" {
        task_id: bigint, run_id: bigint, step_id: bigint, redrive_of: bigint, created_at: timestamptz, queue_id: int, max_attempts: int,
        item_index: int, priority: smallint, slot_keys: bigints, name: text, key: text, payload: jsonb, metadata: jsonb,
    }
}

table! {
    Live = c"task_live" {
        task_id: bigint, step_id: bigint, waits_for: bigint, compensates: bigint, on_final_of: bigint, ready_seq: bigint, ready_at: timestamptz,
        run_at: timestamptz, lease_token: bigint, leased_at: timestamptz, lease_expires_at: timestamptz, check_at: timestamptz,
        heartbeat_at: timestamptz, started_at: timestamptz, cancel_requested_at: timestamptz, max_runtime: interval, last_seq: bigint,
        leased_seq: bigint, queue_id: int, attempt: int, lost_leases: int, state: smallint, priority: smallint, shard: smallint, registrations: int,
        compensable: boolean, slot_keys: bigints, owner: text, cancel_reason: text,
    }
}

table! {
    Done = c"task_done" {
        task_id: bigint, run_at: timestamptz, lease_token: bigint, leased_at: timestamptz, heartbeat_at: timestamptz, started_at: timestamptz,
        cancel_requested_at: timestamptz, finalized_at: timestamptz, last_seq: bigint, leased_seq: bigint, step_id: bigint, compensates: bigint,
        max_runtime: interval, on_final_of: bigint, on_final_task_id: bigint, queue_id: int, attempt: int, lost_leases: int, state: smallint,
        shard: smallint, compensable: boolean, ended_by_lease: boolean, slot_keys: bigints, owner: text, reason: text, result: jsonb, error: jsonb,
    }
}

table! {
    Event = c"event" {
        tape_id: bigint, seq: bigint, at: timestamptz, lease_token: bigint, kind: text, dedup_key: text, body: jsonb,
    }
}

table! {
    Due = c"due" {
        due_id: bigint, step_id: bigint, slot_key: bigint, owner_id: bigint, failed_task_id: bigint, freed: boolean, queue_id: int,
    }
}

table! {
    StepBatch = c"step_batch" {
        step_id: bigint, first_index: int, queue_id: int, payloads: jsonbs,
    }
}

table! {
    Run = c"run" {
        run_id: bigint, workflow_id: bigint, last_seq: bigint, created_at: timestamptz, finalized_at: timestamptz, slot_key: bigint,
        state: smallint, first_state: smallint, on_error: smallint, version: int, name: text, key: text, checkpoint: text, checkpoint_detail: jsonb,
        failed: jsonb, cancel_reason: text, input: jsonb, result: jsonb, metadata: jsonb,
    }
}

table! {
    SlotKey = c"slot_key" {
        slot_key: bigint, capacity: int, lanes: int, slots: int, queue_ids: ints, name: text,
    }
}

table! {
    Slot = c"slot" {
        slot_key: bigint, holder: bigint, free_seq: bigint,
    }
}

table! {
    StepCount = c"step_count" {
        step_id: bigint, shard: smallint, remaining: int, completed: int, failed: int, cancelled: int, quarantined: int, compensated: int,
        compensated_failed: int, forgotten: int,
    }
}
