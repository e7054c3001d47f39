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
#[path = "credentials/kill.rs"]
mod kill;
#[path = "credentials/locks.rs"]
mod locks;
#[path = "credentials/personal_access_token.rs"]
mod personal_access_token;
#[path = "credentials/program.rs"]
mod program;
#[path = "credentials/refresh.rs"]
mod refresh;
#[path = "credentials/sharing.rs"]
mod sharing;
#[path = "credentials/sign_in.rs"]
mod sign_in;
#[cfg(unix)]
#[path = "credentials/signals.rs"]
mod signals;
#[path = "credentials/status.rs"]
mod status;
