//! The programs of the system that manage services.

use std::io;
use std::process::{Command, Output, Stdio};

use crate::cli::exit::{Exit, Failure};

/// Why one of them has not done what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It is not there.
    #[error("{0} not found")]
    Missing(String),
    /// It cannot be started.
    #[error("cannot run {command}: {cause}")]
    Unrunnable {
        /// All of it.
        command: String,
        /// What the system says.
        cause: io::Error,
    },
    /// It has failed.
    #[error("{command} failed: {said}")]
    Failed {
        /// All of it.
        command: String,
        /// What it has said about that.
        said: String,
    },
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(Exit::Unavailable, error)
    }
}

/// Runs a command and gives what it says.
pub(super) fn ask(words: &[&str]) -> Result<String, Error> {
    let Output { status, stdout, stderr } =
        prepare(words).stdin(Stdio::null()).output().map_err(|error| unrunnable(words, error))?;
    if status.success() {
        return Ok(String::from_utf8_lossy(&stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&stderr).trim().to_owned();
    let said = if said.is_empty() { status.to_string() } else { said };
    Err(Error::Failed { command: words.join(" "), said })
}

/// Runs a command that shows what it has to say.
pub(super) fn show(words: &[&str]) -> Result<(), Error> {
    let status = prepare(words).status().map_err(|error| unrunnable(words, error))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Failed { command: words.join(" "), said: status.to_string() })
}

fn prepare(words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn unrunnable(words: &[&str], cause: io::Error) -> Error {
    if cause.kind() == io::ErrorKind::NotFound {
        return Error::Missing(words.first().copied().unwrap_or_default().to_owned());
    }
    Error::Unrunnable { command: words.join(" "), cause }
}
