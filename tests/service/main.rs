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
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod command;
mod files;
mod managers;
mod notify;
mod units;
