//! Why an answer ends without its end.

use crate::responses::error::BackendError;

/// Why an answer ends without a finish reason.
#[derive(Debug, PartialEq, Eq)]
pub enum ReadError {
    /// The backend reported a failure.
    Reported(Box<BackendError>),
    /// An event cannot be read: whatever it was to tell would be missing.
    InvalidEvent,
    /// There are more items, or parts of one, than any answer has.
    TooManyItems,
    /// The backend calls the answer complete, and the arguments of a call are not.
    UnfinishedCall,
    /// What the backend says at last is something else than what the client has already got.
    Contradicted,
}
