//! Clients that leave, in any phase of a call, take their upstream calls with them.
