//! `codex-proxy man`

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::exit::{Exit, Failure};
use super::output;

/// Where to.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write a page for each command into this folder, which is made if need be
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the page of `command`, or writes those of its subcommands, too.
pub(super) fn run(arguments: &Arguments, command: Command) -> Result<(), Failure> {
    let Some(folder) = &arguments.out else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page).map_err(|error| Failure::new(Exit::Internal, error))?;
        return output::print(page);
    };
    write(folder, command).map_err(|error| {
        let message = format!("cannot write the pages to {}: {error}", folder.display());
        Failure::new(Exit::Unwritable, message)
    })
}

fn write(folder: &Path, command: Command) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command, folder)
}
