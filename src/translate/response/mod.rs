//! The answer of a chat completion, read from the events of a Responses stream.
//!
//! One [`Reader`] serves both modes: it gives [deltas](crate::chat::delta::Delta) to a sink, and
//! only the sink knows whether they are written as chunks or collected.

mod citations;
mod content;
mod fault;
mod halves;
mod items;
mod last;
mod reader;
mod reasoning;
mod state;
mod steps;
mod stop;
mod text;
mod tokens;
mod tool_calls;
mod usage;

pub use fault::ReadError;
pub use reader::{Progress, Reader};
pub use tokens::{get_ready_to_count, is_ready_to_count};
pub use usage::add as add_usage;
