//! Stub.

pub mod error;
