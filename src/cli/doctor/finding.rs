//! One finding and its severity.

use serde::Serialize;

use crate::cli::exit::Exit;

/// What a finding is about; in the order of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Check {
    Settings,
    Login,
    Address,
    Network,
    Backend,
    Clients,
}

/// The severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// It works, and may not for long or not for everybody.
    Warning,
    /// It does not work; the command ends so.
    Problem(Exit),
}

impl Level {
    /// For programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem(_) => "problem",
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) topic: Check,
    pub(super) level: Level,
    /// What programs match on, as in `login.ended`.
    pub(super) code: &'static str,
    /// What is the case.
    pub(super) text: String,
    /// What to do about it.
    pub(super) fix: Option<String>,
}

impl Finding {
    fn new(topic: Check, level: Level, code: &'static str, text: impl Into<String>) -> Self {
        Self { topic, level, code, text: text.into(), fix: None }
    }

    pub(super) fn good(topic: Check, code: &'static str, text: impl Into<String>) -> Self {
        Self::new(topic, Level::Good, code, text)
    }

    pub(super) fn note(topic: Check, code: &'static str, text: impl Into<String>) -> Self {
        Self::new(topic, Level::Note, code, text)
    }

    pub(super) fn warning(topic: Check, code: &'static str, text: impl Into<String>) -> Self {
        Self::new(topic, Level::Warning, code, text)
    }

    pub(super) fn problem(
        topic: Check,
        exit: Exit,
        code: &'static str,
        text: impl Into<String>,
    ) -> Self {
        Self::new(topic, Level::Problem(exit), code, text)
    }

    /// With what to do about it.
    pub(super) fn fix(mut self, mend: impl Into<String>) -> Self {
        self.fix = Some(mend.into());
        self
    }
}

/// The exit code: that of the most severe problem. Problems to be fixed first come first.
pub(super) fn worst(findings: &[Finding]) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Config => 4,
        Exit::NotSignedIn => 3,
        Exit::Unavailable => 2,
        Exit::Ok => 0,
        _ => 1,
    };
    let exits = findings.iter().filter_map(|finding| match finding.level {
        Level::Problem(exit) => Some(exit),
        _ => None,
    });
    exits.fold(Exit::Ok, |worst, exit| if rank(exit) > rank(worst) { exit } else { worst })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_problem_decides_how_it_ends() {
        let problem = |exit| Finding::problem(Check::Login, exit, "c", "");
        let others = [
            Finding::good(Check::Login, "c", ""),
            Finding::note(Check::Login, "c", ""),
            Finding::warning(Check::Login, "c", ""),
        ];
        assert_eq!(worst(&others), Exit::Ok);
        for (exits, expected) in [
            (&[Exit::Internal][..], Exit::Internal),
            (&[Exit::Internal, Exit::Unavailable], Exit::Unavailable),
            (&[Exit::NotSignedIn, Exit::Unavailable], Exit::NotSignedIn),
            (&[Exit::Unavailable, Exit::Config, Exit::NotSignedIn], Exit::Config),
            (&[Exit::Unavailable, Exit::Blocked], Exit::Unavailable),
        ] {
            let findings: Vec<_> =
                others.iter().cloned().chain(exits.iter().copied().map(problem)).collect();
            assert_eq!(worst(&findings), expected, "{exits:?}");
        }
    }
}
