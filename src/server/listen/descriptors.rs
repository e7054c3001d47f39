//! The limit of open file descriptors.

/// Raises this process's limit of open file descriptors as far as `connections` need it and the
/// system allows. The usual limit is 1024, on macOS even 256.
#[cfg(unix)]
pub fn raise(connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let needed = needed(connections);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return;
    }
    let allowed = maximum.map_or(needed, |maximum| maximum.min(needed));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(allowed), maximum });
    if let Err(error) = raised {
        tracing::warn!(
            %error,
            ?current,
            needed,
            "cannot raise the limit of open file descriptors"
        );
    } else if allowed < needed {
        tracing::warn!(
            allowed,
            needed,
            "the system allows fewer open file descriptors than `[server] max_connections` may \
             need; raise its limit (`ulimit -n`)"
        );
    }
}

/// This system has no such limit.
#[cfg(not(unix))]
pub fn raise(_connections: usize) {}

/// Two per connection, its own and that of its call, and some spare ones.
#[cfg(unix)]
fn needed(connections: usize) -> u64 {
    const OTHERS: u64 = 64;
    u64::try_from(connections).unwrap_or(u64::MAX).saturating_mul(2).saturating_add(OTHERS)
}
