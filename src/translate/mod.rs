//! Translation between the two protocols; pure: no IO, no clock, no randomness.
//!
//! [`request`] makes a Responses request of a chat completion request, and a [`plan::Plan`] of
//! what the answer has to look like. [`response`] reads the events of the answer by that plan and
//! gives [deltas](crate::chat::delta), whether the client streams or not.

pub mod plan;
pub mod policy;
pub mod request;
pub mod response;
