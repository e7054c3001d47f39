//! The daemon end to end, over real sockets.
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

mod bursts;
mod calls;
mod capture;
mod continuity;
mod corpus;
mod figures;
mod last_events;
mod layers;
mod logs;
mod prometheus;
mod requests;
mod usage;
