//! The rules, and nothing else: no SQL, no clock, no server. What is decided here is decided the
//! same way by every verb, and is tested without a database (`tests/model.rs`).

pub mod access;
pub mod backoff;
pub mod claim_floor;
pub mod definition;
pub mod ending;
pub mod limits;
pub mod mermaid;
pub mod outcome;
pub mod reads;
pub mod run;
pub mod saga;
pub mod server;
pub mod state;
pub mod transition;
