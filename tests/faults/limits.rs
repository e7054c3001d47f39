//! Limits on what clients may send and hold open: heads, bodies, connections, patience.
