//! The project's own commands, and what its other programs share with them: finding the server, building
//! the extension, private clusters.

pub mod bench;
pub mod cluster;
pub mod demo;
pub mod doc_blocks;
pub mod freeze;
pub mod generate;
#[allow(dead_code, reason = "only the state machine is of use here")]
#[path = "../../src/model/mod.rs"]
mod model;
pub mod package;
pub mod pooler;
pub mod pypi;
pub mod seeded_bugs;
pub mod setup;
pub mod verify;
