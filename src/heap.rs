//! Memory that is free and still held.

/// Gives it back to the system where the allocator would keep it: glibc keeps what a burst of
/// requests took for as long as anything in use lies behind it, which was 200 MiB after 5,000
/// streams. Walks the whole heap with its locks held: for times of rest, on a thread that may wait.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "the only call in this crate that has no safe form")]
pub(crate) fn give_back() {
    // SAFETY: it takes a number, touches free memory only, and may be called from any thread.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators do it by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn give_back() {}
