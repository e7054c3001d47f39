//! Errors of the reader.

use crate::responses::error::BackendError;

/// Why an answer ends without a finish reason.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The backend reported a failure.
    Reported(Box<BackendError>),
    /// An event cannot be parsed: its content would be missing.
    InvalidEvent,
    /// There are more items, or parts of one, than any answer has.
    TooManyItems,
    /// The answer is reported as complete, but the arguments of a tool call are incomplete.
    UnfinishedCall,
    /// The final event contradicts what the client has already received.
    Contradicted,
}
