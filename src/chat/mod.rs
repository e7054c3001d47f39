//! What clients speak: the Chat Completions wire format.
//!
//! [`request`] reads a client's JSON leniently into types that say what it means; [`delta`] is
//! what an answer consists of, written as chunks by [`chunk`] or gathered by [`completion`].

pub mod chunk;
pub mod completion;
pub mod delta;
pub mod error;
pub mod invalid_request;
pub mod json;
pub mod model;
pub mod request;
pub mod usage;
