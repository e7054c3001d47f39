//! The fixed frames of a stream to a client.

/// The last frame of every stream.
pub const DONE: &str = "data: [DONE]\n\n";

/// A comment, which clients skip; it keeps idle connections open.
pub const KEEPALIVE: &str = ": keepalive\n\n";
