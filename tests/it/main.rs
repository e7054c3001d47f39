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

// `tests/faults` has these two as well, and uses other parts of them.
#[allow(dead_code)]
mod backend;
mod bursts;
mod calls;
mod capture;
mod continuity;
mod corpus;
mod daemon;
mod figures;
mod last_events;
mod layers;
mod logs;
mod program;
mod prometheus;
mod requests;
mod usage;
