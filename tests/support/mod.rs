//! What several test crates need.
//!
//! | file | content |
//! |---|---|
//! | `secrets.rs` | made-up secrets that no output may contain |
//! | `home.rs` | a home folder, its login, and the environment of programs |
//! | `program.rs` | the program as a process, with what it prints and logs |
//! | `daemon.rs` | a daemon in the process of the test |
//! | `backend.rs` | a backend that answers with the bytes it is given |
//! | `simulator.rs` | the simulated backend and sign-in service |
//! | `net.rs` | addresses, and what listens there |
// Each crate uses a part of it.
#![allow(dead_code)]

pub mod backend;
pub mod daemon;
pub mod home;
pub mod net;
pub mod program;
pub mod secrets;
pub mod simulator;
