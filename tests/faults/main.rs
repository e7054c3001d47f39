//! Faults and people that a daemon meets in the wild: each promise of robustness and safety, kept
//! over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

// Only a part of it is used here.
#[allow(dead_code)]
#[path = "../translation/answer.rs"]
mod answer;
#[path = "../support/mod.rs"]
mod support;

mod client;
mod compression;
mod encoded;
mod guard;
mod hostile;
mod http;
mod http2;
mod isolation;
mod leave;
mod limits;
mod memory;
mod models;
mod outgoing;
mod pages;
#[cfg(unix)]
mod prewarm;
mod queue;
mod raw;
mod retry;
#[cfg(unix)]
mod shutdown;
mod tls;
mod workers;
