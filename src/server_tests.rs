//! Tests inside the server: see `cargo pgrx test`.
