//! The translation as a whole: everything it sends and everything it answers, over made-up
//! conversations and authored streams.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod answer;
mod answers;
mod corpus;
mod golden;
mod requests;
mod upstream;
