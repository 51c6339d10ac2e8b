//! The tables: one method per statement file, or per row that is written without one; row types, and no decisions.

pub mod capability;
pub mod check;
pub mod compensation;
pub mod floors;
pub mod lease;
pub mod on_final;
pub mod purge;
pub mod queue;
pub mod redrive;
pub mod run;
pub mod server;
pub mod slot;
pub mod step;
pub mod tables;
pub mod tape;
pub mod task;
pub mod workflow;
