//! Whether this program runs in a container, where some remedies are other commands.

use std::path::Path;

use super::exit::{Exit, Failure};
use crate::config;

/// Adds the way to set an API key from outside, if that is what is missing.
pub(super) fn advised(error: config::Error) -> Failure {
    let failure = Failure::from(error);
    if failure.exit != Exit::Config || !lacks_key(&failure) || !is_inside() {
        return failure;
    }
    Failure::new(
        Exit::Config,
        format!(
            "{failure}\n\
             In a container, create a key and start it with that key:\n  \
             export CODEX_PROXY_SERVER_API_KEYS=\"$(docker run --rm IMAGE key new)\"\n  \
             docker run … -e CODEX_PROXY_SERVER_API_KEYS IMAGE"
        ),
    )
}

fn lacks_key(failure: &Failure) -> bool {
    failure.to_string().contains("so an API key is needed")
}

/// Docker, Podman and others leave one of these.
fn is_inside() -> bool {
    let has_mark = |file| Path::new(file).exists();
    has_mark("/.dockerenv")
        || has_mark("/run/.containerenv")
        || std::env::var_os("container").is_some_and(|name| !name.is_empty())
}
