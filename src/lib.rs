//! pg_baton: the life cycle of tasks as fenced, atomic SQL functions.
//!
//! `verbs` are the SQL functions; `store` what they are made of: statements, one file each in `sql/queries`, and rows read and written without one;
//! `model` the rules, pure; `pg` the server, and all that is unsafe. Who may import whom:
//! lib → verbs → store, and all three may use model and pg. See docs/architecture.md.

use pgrx::prelude::*;

#[allow(
    dead_code,
    reason = "the machine is written down whole; SQL makes some of its moves, and tests list them"
)]
mod model;
mod pg;
mod store;
mod verbs;

#[cfg(any(test, feature = "pg_test"))]
mod server_tests;

::pgrx::pg_module_magic!(name, version);

extension_sql_file!("../sql/install/schema.sql", name = "schema", bootstrap);
extension_sql_file!(
    "../sql/install/views.sql",
    name = "views",
    requires = ["schema"]
);
extension_sql_file!(
    "../sql/install/evaluate.sql",
    name = "evaluate",
    requires = ["schema"]
);
extension_sql_file!("../sql/install/comments.sql", name = "comments", finalize);

#[pg_guard]
extern "C-unwind" fn _PG_init() {
    pg::settings::define();
    pg::statement::install();
}

/// Required by `cargo pgrx test` at the root of the crate.
#[cfg(test)]
pub mod pg_test {
    pub fn setup(_options: Vec<&str>) {}

    #[must_use]
    pub fn postgresql_conf_options() -> Vec<&'static str> {
        Vec::new()
    }
}
