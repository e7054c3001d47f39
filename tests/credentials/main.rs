//! The login over real sockets and real files: renewed once, written whole, never lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::missing_panics_doc,
    missing_docs,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod common;
mod kill;
mod locks;
mod personal_access_token;
mod program;
mod refresh;
mod sharing;
mod sign_in;
#[cfg(unix)]
mod signals;
mod status;
