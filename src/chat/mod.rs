//! The client protocol: the Chat Completions wire format.
//!
//! [`request`] reads a client's JSON leniently into types that say what it means; [`delta`] has the
//! deltas of an answer, which [`chunk`] writes as chunks and [`completion`] collects.

pub mod chunk;
pub mod completion;
pub mod delta;
pub mod error;
pub mod invalid_request;
pub mod json;
pub mod model;
pub mod request;
pub mod usage;
