//! What several test crates need.
//!
//! | file | content |
//! |---|---|
//! | `secrets.rs` | made-up secrets that no output may contain |
//! | `program.rs` | the program as a process, with its log |
//! | `daemon.rs` | a daemon in the process of the test |
//! | `backend.rs` | a backend that answers with the bytes it is given |
// Each crate uses a part of it.
#![allow(dead_code)]

pub mod backend;
pub mod daemon;
pub mod program;
pub mod secrets;
