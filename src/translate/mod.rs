//! What one protocol means in the other; pure: no IO, no clock, no randomness.

pub mod policy;
