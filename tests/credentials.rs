//! The login over real sockets and real files: renewed once, written whole, never lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    missing_docs
)]

#[path = "credentials/common.rs"]
mod common;
#[path = "credentials/refresh.rs"]
mod refresh;
