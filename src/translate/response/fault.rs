//! Why an answer ends without its end.

use crate::responses::error::Report;

/// Why an answer ends without a finish reason.
#[derive(Debug, PartialEq, Eq)]
pub enum Fault {
    /// The backend reported a failure.
    Reported(Box<Report>),
    /// An event cannot be read: whatever it was to tell would be missing.
    Damaged,
    /// There are more items, or parts of one, than any answer has.
    Endless,
    /// The backend calls the answer complete, and the arguments of a call are not.
    UnfinishedCall,
    /// What the backend says at last is something else than what the client has already got.
    Contradicted,
}
