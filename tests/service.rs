//! The daemon as a service: the files that are installed, what service managers are asked, and what
//! the daemon does under one.
// launchd's part is tested here as well: nothing of it needs macOS.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    dead_code,
    unreachable_pub
)]

#[path = "it/daemon.rs"]
mod daemon;
#[path = "it/program.rs"]
mod program;

#[path = "service/activation.rs"]
mod activation;
#[path = "service/command.rs"]
mod command;
#[path = "service/files.rs"]
mod files;
#[path = "service/managers.rs"]
mod managers;
#[path = "service/notify.rs"]
mod notify;
#[path = "service/units.rs"]
mod units;
