//! The daemon end to end, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    dead_code,
    missing_docs,
    unreachable_pub
)]

mod backend;
mod calls;
mod continuity;
mod corpus;
#[allow(dead_code)] // Shared with the suite of faults.
mod daemon;
mod layers;
mod logs;
mod program;
mod recorded_requests;
mod requests;
