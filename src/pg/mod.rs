//! The server, seen from Rust: the only place with `unsafe`.

mod compat;
pub mod datum;
pub mod error;
pub mod lock;
pub mod roles;
pub mod server;
pub mod session;
pub mod settings;
pub mod statement;
pub mod table;
mod trigger;
pub mod xact;
