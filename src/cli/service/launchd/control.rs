//! What launchd is asked to do.

use std::path::Path;

use super::{LABEL, Places, agent, command_of, state_of};
use crate::cli::exit::{Exit, Failure};
use crate::cli::service::commands::{self, ask};
use crate::cli::service::definition::Definition;
use crate::cli::service::files::{File, Root};
use crate::cli::service::{Installed, State, say};

/// The agent and its manager.
#[derive(Debug)]
pub(in super::super) struct Launchd {
    places: Places,
    root: Root,
    /// The part of launchd that belongs to this user's screen.
    domain: String,
}

impl Launchd {
    pub(in super::super) fn new(home: &Path, root: Root) -> Self {
        let user = rustix::process::getuid().as_raw();
        Self { places: Places::new(home), root, domain: format!("gui/{user}") }
    }

    fn target(&self) -> String {
        format!("{}/{LABEL}", self.domain)
    }

    fn file(&self, definition: &Definition) -> Result<File, Failure> {
        let content = agent(definition, &self.places.log)
            .map_err(|error| Failure::new(Exit::Internal, error))?;
        Ok(File { path: self.places.agent.clone(), content })
    }

    /// Writes the agent, and has it run.
    pub(in super::super) fn install(
        &self,
        definition: &Definition,
        start: bool,
    ) -> Result<(), Failure> {
        if let Some(folder) = self.places.log.parent() {
            self.root.make_private(folder)?;
        }
        let file = self.file(definition)?;
        let is_new = self.root.write(&file)?;
        let how = if is_new { "Wrote" } else { "Unchanged:" };
        let path = self.root.at(&file.path);
        say(&format!("{how} {}", path.display()));
        if self.root.is_elsewhere() {
            return Ok(());
        }
        if !start {
            say("Not started: codex-proxy service start, or log in again");
            return Ok(());
        }
        let target = self.target();
        let is_loaded = ask(&["launchctl", "print", &target]).is_ok();
        if is_loaded && !is_new {
            ask(&["launchctl", "kickstart", &target])?;
        } else {
            if is_loaded {
                ask(&["launchctl", "bootout", &target])?;
            }
            self.load()?;
        }
        say(&format!("Enabled and started {LABEL}"));
        Ok(())
    }

    fn load(&self) -> Result<(), Failure> {
        ask(&["launchctl", "enable", &self.target()])?;
        ask(&["launchctl", "bootstrap", &self.domain, &self.places.agent.to_string_lossy()])?;
        Ok(())
    }

    /// The file as it would be written.
    pub(in super::super) fn print(&self, definition: &Definition) -> Result<String, Failure> {
        let File { path, content } = self.file(definition)?;
        Ok(format!("<!-- {} -->\n{content}", path.display()))
    }

    pub(in super::super) fn uninstall(&self) -> Result<(), Failure> {
        let target = self.target();
        if !self.root.is_elsewhere() && ask(&["launchctl", "print", &target]).is_ok() {
            ask(&["launchctl", "bootout", &target])?;
        }
        if self.root.remove(&self.places.agent)? {
            say(&format!("Removed {}", self.root.at(&self.places.agent).display()));
        } else {
            say("No service is installed.");
        }
        Ok(())
    }

    /// What is installed.
    pub(in super::super) fn installed(&self) -> Option<Installed> {
        let command = command_of(&self.root.read(&self.places.agent)?)?;
        let files = vec![self.root.at(&self.places.agent)];
        Some(Installed { files, command, listen: None, has_socket: false })
    }

    pub(in super::super) fn control(&self, verb: &str) -> Result<(), Failure> {
        let target = self.target();
        let is_loaded = || ask(&["launchctl", "print", &target]).is_ok();
        match verb {
            // It ends well then, and is not started again before the next login.
            "stop" => ask(&["launchctl", "kill", "SIGTERM", &target]).map(drop)?,
            _ if !is_loaded() => self.load()?,
            "restart" => ask(&["launchctl", "kickstart", "-k", &target]).map(drop)?,
            _ => ask(&["launchctl", "kickstart", &target]).map(drop)?,
        }
        Ok(())
    }

    pub(in super::super) fn state(&self) -> State {
        let Ok(printed) = ask(&["launchctl", "print", &self.target()]) else {
            return State { is_running: false, rows: vec![("state", "not loaded".to_owned())] };
        };
        let (state, process) = state_of(&printed);
        State {
            is_running: state == Some("running"),
            rows: vec![
                ("state", state.unwrap_or("-").to_owned()),
                ("process", process.unwrap_or("-").to_owned()),
            ],
        }
    }

    pub(in super::super) fn logs(&self, follow: bool, lines: u32) -> Result<(), Failure> {
        let (lines, log) = (lines.to_string(), self.places.log.to_string_lossy().into_owned());
        let mut words = vec!["tail", "-n", &lines];
        if follow {
            words.push("-F");
        }
        words.push(&log);
        Ok(commands::show(&words)?)
    }
}
