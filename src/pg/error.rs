//! Misuse raises, with a built-in SQLSTATE: every driver has names for these.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::ffi::CStr;

/// The one error type of the verbs; the message is lower case, without a full stop, and names the
/// object; detail and hint are sentences.
#[derive(Debug)]
pub struct Misuse {
    code: PgSqlErrorCode,
    message: String,
    detail: Option<String>,
    hint: Option<String>,
}

impl Misuse {
    fn new(code: PgSqlErrorCode, message: impl Into<String>) -> Misuse {
        Misuse {
            code,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// 22004: a required argument is NULL.
    pub fn null(argument: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            format!("argument \"{argument}\" must not be null"),
        )
    }

    /// 22023: a value that is not allowed.
    pub fn bad_value(message: impl Into<String>) -> Misuse {
        Misuse::new(PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE, message)
    }

    /// 54000: over a limit.
    pub fn over_limit(message: impl Into<String>) -> Misuse {
        Misuse::new(PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED, message)
    }

    /// 42704: no such queue.
    pub fn no_queue(name: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("queue \"{name}\" does not exist"),
        )
        .hint("Create it with queue_create.")
    }

    /// 42704: no such slot key.
    pub fn no_slot_key(name: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("slot key \"{name}\" does not exist"),
        )
        .hint("An operator sets its capacity with slot_set.")
    }

    /// 42704: no such workflow.
    pub fn no_workflow(name: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("workflow \"{name}\" does not exist"),
        )
        .hint("Define it with workflow_define.")
    }

    /// 42704: no such run.
    pub fn no_run(run_id: i64) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("run {run_id} does not exist"),
        )
    }

    /// 23505: the queue exists.
    pub fn queue_exists(name: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
            format!("queue \"{name}\" already exists"),
        )
        .hint("Change it with queue_alter.")
    }

    /// 55006: `task_require_lease` failed.
    pub fn lease_not_held(task_id: i64, why: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            format!("lease of task {task_id} is not held"),
        )
        .detail(why)
    }

    /// 42501: the role lacks a capability.
    pub fn no_capability(role: &str, needs: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("role \"{role}\" lacks capability {needs}"),
        )
        .hint("The owner of the extension grants it with baton_grant.")
    }

    /// 42501: for the owner of the extension.
    pub fn not_owner(function: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
            format!("must be owner of extension pg_baton to call {function}"),
        )
    }

    /// 40001: what others have committed since would have to be seen.
    pub fn not_serializable() -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
            "could not serialize access due to concurrent update",
        )
        .hint("The transaction might succeed if retried.")
    }

    /// 23514: a row that a CHECK constraint of a table does not allow.
    pub fn check_violated(table: &CStr, constraint: &str) -> Misuse {
        let table = table.to_string_lossy();
        Misuse::new(
            PgSqlErrorCode::ERRCODE_CHECK_VIOLATION,
            format!(
                "new row of table \"baton.{table}\" violates check constraint \"{constraint}\""
            ),
        )
    }

    /// 23502: a row without a value that a table needs.
    pub fn not_null_violated(table: &CStr, column: &str) -> Misuse {
        let table = table.to_string_lossy();
        Misuse::new(
            PgSqlErrorCode::ERRCODE_NOT_NULL_VIOLATION,
            format!("new row of table \"baton.{table}\" has no value in column \"{column}\""),
        )
    }

    /// 55000: somebody has changed a table or sequence of the extension.
    pub fn not_as_made(relation: &CStr, how: &str) -> Misuse {
        let relation = relation.to_string_lossy();
        Misuse::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("relation \"baton.{relation}\" is not as the extension made it: {how}"),
        )
    }

    /// 42704: no such role.
    pub fn no_role(name: &str) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("role \"{name}\" does not exist"),
        )
    }

    /// 55000: not allowed in this state.
    pub fn wrong_state(message: impl Into<String>) -> Misuse {
        Misuse::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            message,
        )
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Misuse {
        self.detail = Some(detail.into());
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Misuse {
        self.hint = Some(hint.into());
        self
    }

    /// Ends the statement. Nothing was stored: the server undoes it whole.
    #[track_caller]
    pub fn raise(self) -> ! {
        let mut report = ErrorReport::new(self.code, self.message, function_name!());
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report.report(PgLogLevel::ERROR);
        unreachable!("an error report does not return")
    }
}
