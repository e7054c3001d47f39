//! How the program ends.

use std::fmt;
use std::process::ExitCode;

use crate::{config, telemetry};

/// How the program ends; the numbers are those of `sysexits.h`, which service managers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// The command line makes no sense.
    Usage = 64,
    /// The backend, or the address to listen on, is not available.
    Unavailable = 69,
    /// A fault of the program or the machine.
    Internal = 70,
    /// There is no usable login.
    NotSignedIn = 77,
    /// The settings are wrong.
    Config = 78,
}

impl Exit {
    /// Every way to end.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Usage, Self::Unavailable, Self::Internal, Self::NotSignedIn, Self::Config];
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed, for people and for scripts.
#[derive(Debug)]
pub struct Failure {
    /// For scripts.
    pub exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with a message that says what to do next.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        Self::new(Exit::Config, error)
    }
}

impl From<telemetry::Error> for Failure {
    fn from(error: telemetry::Error) -> Self {
        Self::new(Exit::Internal, error)
    }
}
