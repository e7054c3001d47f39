//! `codex-proxy completions`

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit::Failure;
use super::output;

/// For whom.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints what has the shell complete the options of `command`.
pub(super) fn run(arguments: &Arguments, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "codex-proxy", &mut script);
    output::print_own(&script)
}
