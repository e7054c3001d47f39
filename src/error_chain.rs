//! The texts of an error and of what caused it.

use std::error::Error;

/// An error and its causes in one line: `what failed: why: why that`.
pub(crate) fn error_chain(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<_> = std::iter::successors(Some(error), |&error| error.source())
        .map(ToString::to_string)
        .collect();
    causes.join(": ")
}

/// The cause behind all others.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    chain.last().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it failed")]
    struct Outer(#[source] io::Error);

    #[test]
    fn causes_follow_their_effects() {
        let error = Outer(io::Error::other("no disk"));
        assert_eq!(error_chain(&error), "it failed: no disk");
        assert_eq!(root_cause(&error), "no disk");
        let error = io::Error::other("alone");
        assert_eq!((error_chain(&error), root_cause(&error)), ("alone".into(), "alone".into()));
    }
}
