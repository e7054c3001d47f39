//! The allocator of the whole program.
//!
//! jemalloc, since it gives free memory back to the system by itself: glibc's kept 200 MiB after a
//! burst of 5,000 streams, and a daemon is idle for most of its life.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
