//! `codex-proxy man`

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_mangen::Man;

use super::exit::{Exit, Failure};
use super::output;

/// Where to.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Write one page per command to this folder, which is created if needed
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the page of `command`, or writes those of its subcommands, too.
pub(super) fn run(arguments: &Arguments, command: Command) -> Result<(), Failure> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(folder) = &arguments.out else {
        let page = page(command).map_err(|error| Failure::new(Exit::Internal, error))?;
        return output::print_own(&page);
    };
    std::fs::create_dir_all(folder).and_then(|()| write(folder, command)).map_err(|error| {
        let message = format!("cannot write the pages to {}: {error}", folder.display());
        Failure::new(Exit::Unwritable, message)
    })
}

fn write(folder: &Path, command: Command) -> io::Result<()> {
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        write(folder, command.clone())?;
    }
    let file = folder.join(Man::new(command.clone()).get_filename());
    std::fs::write(file, page(command)?)
}

/// The page of one command.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let has_subcommands = command.has_subcommands();
    let below = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(sections(&below).as_bytes());
    Ok(page)
}

/// What stands below the options, line by line as it is there: examples would be one paragraph
/// otherwise.
fn sections(text: &str) -> String {
    let mut page = String::new();
    for block in text.split("\n\n") {
        let (heading, body) = if let Some(body) = block.strip_prefix("Examples:\n") {
            ("EXAMPLES", body)
        } else if let Some(body) = block.strip_prefix("Exit codes:") {
            ("EXIT STATUS", body)
        } else {
            ("NOTES", block)
        };
        // Writing to a `String` does not fail.
        let _ = write!(
            page,
            ".SH \"{heading}\"\n.nf\n{}.fi\n",
            verbatim(body.trim_start_matches('\n'))
        );
    }
    page
}

/// Text in which nothing is taken for a command of the formatter.
fn verbatim(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        format!("{guard}{line}\n")
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_below_the_options_stays_line_by_line() {
        let text = "Examples:\n  a --b\n.c\n\nSome words.\n\nExit codes: 0 fine,\n1 \\ not";
        let expected = "\
.SH \"EXAMPLES\"
.nf
  a \\-\\-b
\\&.c
.fi
.SH \"NOTES\"
.nf
Some words.
.fi
.SH \"EXIT STATUS\"
.nf
 0 fine,
1 \\e not
.fi
";
        assert_eq!(sections(text), expected);
    }
}
