//! An agent for launchd, which runs while its user is logged in.

mod control;

use std::path::{Path, PathBuf};
use std::time::Duration;

use plist::{Dictionary, Value};

use super::definition::Definition;

pub(super) use self::control::Launchd;

/// What launchd knows it by.
const LABEL: &str = "local.codex-proxy";

/// How long the daemon may take to stop beyond what its settings give answers.
const MARGIN: Duration = Duration::from_secs(15);

/// Where the agent and its log go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Places {
    agent: PathBuf,
    log: PathBuf,
}

impl Places {
    fn new(home: &Path) -> Self {
        Self {
            agent: home.join(format!("Library/LaunchAgents/{LABEL}.plist")),
            log: home.join("Library/Logs/codex-proxy/codex-proxy.log"),
        }
    }
}

/// The agent's file.
fn agent(definition: &Definition, log: &Path) -> Result<String, plist::Error> {
    let log = Value::String(log.to_string_lossy().into_owned());
    let mut agent = Dictionary::new();
    agent.insert("Label".to_owned(), LABEL.into());
    let words = definition.command.iter().cloned().map(Value::String);
    agent.insert("ProgramArguments".to_owned(), Value::Array(words.collect()));
    if !definition.variables.is_empty() {
        let variables: Dictionary = definition
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), Value::String(value.clone())))
            .collect();
        agent.insert("EnvironmentVariables".to_owned(), variables.into());
    }
    agent.insert("RunAtLoad".to_owned(), true.into());
    // Started again whenever it has failed, but not when it was told to stop. launchd cannot tell
    // failures apart: wrong settings are tried again too, at this pace.
    let failed: Dictionary =
        [("SuccessfulExit".to_owned(), Value::Boolean(false))].into_iter().collect();
    agent.insert("KeepAlive".to_owned(), failed.into());
    agent.insert("ThrottleInterval".to_owned(), 10.into());
    // The usual 20 seconds are fewer than answers may take to come to their ends.
    let patience = (definition.shutdown + MARGIN).as_secs();
    agent.insert("ExitTimeOut".to_owned(), patience.into());
    // What it writes is for this user alone.
    agent.insert("Umask".to_owned(), 0o077.into());
    agent.insert("StandardOutPath".to_owned(), log.clone());
    agent.insert("StandardErrorPath".to_owned(), log);
    let mut file = Vec::new();
    Value::Dictionary(agent).to_writer_xml(&mut file)?;
    file.push(b'\n');
    // XML that was written from texts is text.
    Ok(String::from_utf8_lossy(&file).into_owned())
}

/// The command line of an agent that was installed.
fn command_of(agent: &str) -> Option<Vec<String>> {
    let agent = Value::from_reader_xml(agent.as_bytes()).ok()?;
    let words = agent.as_dictionary()?.get("ProgramArguments")?.as_array()?;
    Some(words.iter().filter_map(Value::as_string).map(str::to_owned).collect())
}

/// What `launchctl print` tells: the state, and the process if there is one.
fn state_of(printed: &str) -> (Option<&str>, Option<&str>) {
    // Only the outermost values count; deeper ones are indented further.
    let value = |name: &str| {
        let start = format!("\t{name} = ");
        printed.lines().find_map(|line| line.strip_prefix(&start))
    };
    (value("state"), value("pid"))
}
