//! The SQL functions: one file each, or one per tight family. A verb checks its arguments, acts in one
//! guarded statement, and explains only if that matched nothing.

mod access;
mod advance;
mod args;
mod overdue;
mod queues;

mod baton_check;
mod baton_grant;
mod baton_purge;
mod queue_alter;
mod queue_create;
mod queue_drop;
mod queue_pause;
mod queue_redrive;
mod task_acquire_lease;
mod task_acquire_lease_by_id;
mod task_annotate;
mod task_append_event;
mod task_append_events;
mod task_cancel;
mod task_create;
mod task_create_items;
mod task_create_many;
mod task_dispatch_successor;
mod task_events;
mod task_fail_attempt;
mod task_finalize;
mod task_get;
mod task_heartbeat;
mod task_items;
mod task_list;
mod task_reap;
mod task_reap_owner;
mod task_redrive;
mod task_release;
mod task_require_lease;
mod task_start;
mod views;
