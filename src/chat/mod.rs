//! What clients speak: the Chat Completions wire format.

pub mod error;
