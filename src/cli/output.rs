//! What commands print.

use std::io::{ErrorKind, Write as _};

use super::exit::{Exit, Failure};
use crate::printable::printable;

/// Prints all of it to standard output. A closed pipe is not an error; a full disk is.
///
/// Terminal control characters are escaped: much of the output comes from files and the network.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    print_own(printable(text).as_bytes())
}

/// Prints this program's own text unchanged.
pub(super) fn print_own(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    checked(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// The same for what nobody misses if it cannot be printed.
pub(super) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    // A closed pipe is not an error.
    let _ = stdout.write_all(printable(text).as_bytes()).and_then(|()| stdout.flush());
}

/// [`say`] on standard error, with a line break behind it.
pub(super) fn warn(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(text));
}

/// [`print`] with the colours that its text has, if they are wanted: at a terminal, unless
/// `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` say otherwise, and elsewhere with `CLICOLOR_FORCE`.
pub(super) fn print_coloured(text: &str) -> Result<(), Failure> {
    let mut stdout = anstream::stdout().lock();
    checked(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

fn checked(written: std::io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Internal, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
