//! `codex-proxy doctor`: problems and how to fix them.
//!
//! | file | holds |
//! |---|---|
//! | `facts.rs` | the facts, as plain data |
//! | `probe/` | collects the facts: all the IO |
//! | `rules/` | facts to findings: pure |
//! | `finding.rs` | one finding and its severity |
//! | `report.rs` | the findings as text and as JSON |

mod facts;
mod finding;
mod probe;
mod report;
mod rules;

use std::io::{IsTerminal as _, Write as _};

use clap::Args;

use super::Options;
use super::exit::{Exit, Failure};
use super::output;
use super::serve::runtime;

/// How far to go.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also make one tiny model call, which counts against the plan
    #[arg(long)]
    live: bool,
    /// Check this machine only
    #[arg(long, conflicts_with = "live")]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Looks, judges and reports.
pub(super) fn run(options: &Options, arguments: &Arguments) -> Result<(), Failure> {
    let scope = match (arguments.offline, arguments.live) {
        (true, _) => probe::Scope::Offline,
        (false, false) => probe::Scope::Backend,
        (false, true) => probe::Scope::Call,
    };
    let waiting = Waiting::begin();
    let facts = runtime()?.block_on(probe::facts(options, scope));
    waiting.end();
    let findings = rules::findings(&facts);
    if arguments.json {
        output::print(&format!("{:#}\n", report::to_json(&findings)))?;
    } else {
        output::print_coloured(&report::to_text(&findings))?;
    }
    match finding::worst(&findings) {
        Exit::Ok => Ok(()),
        // Everything has been said.
        exit => Err(Failure::silent(exit)),
    }
}

/// A line for those who look on, which goes when there is something better to see.
struct Waiting(bool);

impl Waiting {
    fn begin() -> Self {
        let is_seen = std::io::stderr().is_terminal();
        if is_seen {
            let _ = write!(std::io::stderr(), "checking …");
        }
        Self(is_seen)
    }

    fn end(self) {
        if self.0 {
            let _ = write!(std::io::stderr(), "\r          \r");
        }
    }
}
