//! Many clients at once, for as long as one likes: nothing leaks, and nothing gets mixed up.
//!
//! | file | holds |
//! |---|---|
//! | `soak.rs`, `streams.rs`, `paused.rs` | the tests |
//! | `daemon.rs`, `figures.rs` | the daemon, in a process of its own, and what that uses up |
//! | `upstream.rs`, `script.rs`, `events.rs` | the backend: all that it may say, and how it fails |
//! | `sign_in.rs` | the sign-in service, whose tokens end all the time |
//! | `site.rs` | connections of these two, which can be hung up |
//! | `client.rs`, `request.rs` | the clients: what they ask, how they read, when they leave |
//! | `mark.rs`, `ledger.rs`, `answer.rs`, `judge.rs` | who has said what to whom, and whether that is what arrived |
//!
//! These variables make the tests longer:
//!
//! | variable | | default |
//! |---|---|---|
//! | `CODEX_PROXY_TEST_SOAK_SECS` | how long the load lasts | 8 |
//! | `CODEX_PROXY_TEST_CLIENTS` | how many clients make it | 200 |
//! | `CODEX_PROXY_TEST_SEED` | what is drawn | 1 |
//! | `CODEX_PROXY_TEST_STREAMS` | how many streams are held open at once | 200 |
//! | `CODEX_PROXY_TEST_PAUSED` | how many clients stop reading | 20 |
//! | `CODEX_PROXY_TEST_PRELOAD` | a library to start the daemon with, such as a profiler | |
//!
//! What the daemon uses up is read from `/proc`, so this is for Linux only.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::format_collect,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

#[path = "../support/mod.rs"]
mod support;

mod answer;
mod client;
mod daemon;
mod events;
mod figures;
mod judge;
mod ledger;
mod mark;
mod paused;
mod request;
mod script;
mod sign_in;
mod site;
mod soak;
mod streams;
mod upstream;

use std::time::Duration;

/// A number that the environment may set.
fn number(variable: &str, default: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable}: {text} is no number")),
        Err(_) => default,
    }
}

/// One of these tests at a time, also where they are threads of one process: each measures.
async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    ALONE.lock().await
}

/// So many milliseconds.
fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
