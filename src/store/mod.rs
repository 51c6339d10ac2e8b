//! The tables: one method per statement file, row types, and no decisions.

pub mod check;
pub mod floors;
pub mod lease;
pub mod queue;
pub mod slot;
pub mod step;
pub mod tape;
pub mod task;
