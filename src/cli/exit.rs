//! How the program ends.

use std::fmt;
use std::process::ExitCode;

use crate::credentials::{self, issuer, sign_in};
use crate::server::{BindError, KeyFileError};
use crate::{config, telemetry};

/// How the program ends; the numbers are those of `sysexits.h`, which service managers know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Ok = 0,
    /// The command line is invalid.
    Usage = 64,
    /// The sign-in was declined, or the account may not use Codex.
    Declined = 67,
    /// Cloudflare blocks this network at the sign-in service.
    Blocked = 68,
    /// The backend, the sign-in service or the address to listen on is not available.
    Unavailable = 69,
    /// An internal error.
    Internal = 70,
    /// The ports of the sign-in are in use.
    PortTaken = 71,
    /// The login or another file cannot be written.
    Unwritable = 73,
    /// The sign-in timed out.
    TimedOut = 75,
    /// The answer belongs to another sign-in.
    WrongState = 76,
    /// There is no usable login.
    NotSignedIn = 77,
    /// The settings are invalid.
    Config = 78,
    /// `run`: the command is there and cannot be run.
    CommandNotRunnable = 126,
    /// `run`: there is no such command.
    CommandNotFound = 127,
    /// A signal ended the command.
    Interrupted = 130,
}

impl Exit {
    /// All exit codes.
    pub const ALL: [Self; 15] = [
        Self::Ok,
        Self::Usage,
        Self::Declined,
        Self::Blocked,
        Self::Unavailable,
        Self::Internal,
        Self::PortTaken,
        Self::Unwritable,
        Self::TimedOut,
        Self::WrongState,
        Self::NotSignedIn,
        Self::Config,
        Self::CommandNotRunnable,
        Self::CommandNotFound,
        Self::Interrupted,
    ];
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

    /// A failure that was already printed.
    pub(super) fn silent(exit: Exit) -> Self {
        Self { exit, message: String::new() }
    }

    /// Whether it was already printed.
    pub(super) fn is_silent(&self) -> bool {
        self.message.is_empty()
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

impl From<credentials::Error> for Failure {
    fn from(error: credentials::Error) -> Self {
        use credentials::Error as E;
        let exit = match &error {
            E::Unwritable { .. } | E::Unsaved { .. } => Exit::Unwritable,
            E::NotRenewed { cause, .. } | E::UnknownAccount { cause, .. } => service(cause),
            E::RefusedCountry { .. } => Exit::Blocked,
            E::UnsupportedVariable => Exit::Config,
            E::Busy { .. } => Exit::Unavailable,
            _ => Exit::NotSignedIn,
        };
        Self::new(exit, error)
    }
}

impl From<sign_in::Error> for Failure {
    fn from(error: sign_in::Error) -> Self {
        use sign_in::Error as E;
        let exit = match &error {
            E::Issuer(error) => service(error),
            E::PortTaken { .. } => Exit::PortTaken,
            E::Denied { .. } | E::NoEntitlement => Exit::Declined,
            E::WrongState | E::NoCode => Exit::WrongState,
            E::TimedOut { .. } => Exit::TimedOut,
            E::Cancelled | E::DeviceFlowOff => Exit::Unavailable,
            E::Random(_) => Exit::Internal,
        };
        Self::new(exit, error)
    }
}

/// The exit code for an error of the sign-in service.
fn service(error: &issuer::Error) -> Exit {
    match error {
        issuer::Error::Blocked { .. } => Exit::Blocked,
        _ => Exit::Unavailable,
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::new(Exit::Config, error)
    }
}

impl From<BindError> for Failure {
    fn from(error: BindError) -> Self {
        let exit = match &error {
            BindError::Unsupported { .. } | BindError::NeedsKey(_) => Exit::Config,
            _ => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}

impl From<telemetry::Error> for Failure {
    fn from(error: telemetry::Error) -> Self {
        Self::new(Exit::Internal, error)
    }
}
