//! The program as a process, with every log line it can write.

use std::process::Command;

use crate::support::home::Home;
use crate::support::program::{Ended, Program};

pub(crate) fn command(home: &Home, issuer: &str, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    command.env("CODEX_PROXY_AUTH_ISSUER", issuer).env("RUST_LOG", "trace");
    command
}

pub(crate) fn start(home: &Home, issuer: &str, arguments: &[&str]) -> Program {
    home.spawn(command(home, issuer, arguments))
}

pub(crate) fn run(home: &Home, issuer: &str, arguments: &[&str]) -> Ended {
    start(home, issuer, arguments).end()
}
