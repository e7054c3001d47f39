//! Where settings come from, and how a wrong one is reported.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that settings are read from. Loading is a pure function of this.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The command line's say.
    pub flags: Flags,
    /// The environment's say.
    pub environment: Environment,
    /// The file's say.
    pub file: Option<File>,
    /// What `~` stands for.
    pub home: Option<PathBuf>,
}

/// A settings file that has been read.
#[derive(Debug, Clone)]
pub struct File {
    /// Where it is, for messages.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Settings given on the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags(Vec<Flag>);

#[derive(Debug, Clone)]
struct Flag {
    section: &'static str,
    key: &'static str,
    name: &'static str,
    text: String,
}

impl Flags {
    /// Lets the flag called `name` decide `[section] key`, if it was given.
    #[must_use]
    pub fn with(
        mut self,
        section: &'static str,
        key: &'static str,
        name: &'static str,
        text: Option<String>,
    ) -> Self {
        self.0.extend(text.map(|text| Flag { section, key, name, text }));
        self
    }

    /// The flag's name and text for a setting.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<(&'static str, &str)> {
        let flag = self.0.iter().find(|flag| flag.section == section && flag.key == key)?;
        Some((flag.name, &flag.text))
    }
}

/// The environment's variables, by name.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// The variables of this process. Those whose names are not Unicode cannot be ours.
    pub fn process() -> Self {
        let named = |(name, value): (OsString, _)| Some((name.into_string().ok()?, value));
        Self(std::env::vars_os().filter_map(named).collect())
    }

    /// A variable's value. An empty one counts as absent, as shells and containers have it.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The names that start with `prefix`.
    pub(super) fn names_with<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.keys().map(String::as_str).filter(move |name| name.starts_with(prefix))
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Names only: values may be anybody's secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The variable that decides `[section] key`: `CODEX_PROXY_<SECTION>_<KEY>`.
pub(crate) fn variable(section: &str, key: &str) -> String {
    format!("CODEX_PROXY_{section}_{key}").to_uppercase()
}

/// Where one value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Provenance {
    /// Nobody said anything.
    Default,
    /// A line of the settings file, counted from 1.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line.
        line: usize,
    },
    /// A variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// A flag.
    Flag {
        /// Its name, with the dashes.
        name: &'static str,
    },
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::Flag { name } => write!(f, "flag {name}"),
        }
    }
}

/// One thing that is wrong, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the wrong value stands.
    pub origin: Provenance,
    /// The setting, as in `[server] listen`; empty if the file is not TOML.
    pub setting: String,
    /// What is wrong with it and what is allowed; never the value of a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.setting.is_empty() {
            write!(f, "{}: ", self.setting)?;
        }
        f.write_str(&self.message)
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there but cannot be read, or was named and is not there.
    #[error("cannot read the settings file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Everything that is wrong, not only the first thing.
    #[error("the settings are not valid:{}", bullets(.0))]
    Invalid(Vec<Problem>),
}

fn bullets(problems: &[Problem]) -> String {
    problems.iter().flat_map(|problem| ["\n  ".to_owned(), problem.to_string()]).collect()
}
