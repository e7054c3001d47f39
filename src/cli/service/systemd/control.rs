//! What systemd is asked to do.

use std::fmt::Write as _;
use std::path::Path;

use super::{Places, SERVICE, SOCKET, UnitOptions, files};
use crate::cli::exit::{Exit, Failure};
use crate::cli::service::commands::{self, Error, ask};
use crate::cli::service::definition::{Definition, Scope};
use crate::cli::service::files::Root;
use crate::cli::service::{Installed, State, say};

/// The units and their manager.
#[derive(Debug)]
pub(in super::super) struct Systemd {
    scope: Scope,
    places: Places,
    root: Root,
}

impl Systemd {
    pub(in super::super) fn new(scope: Scope, settings: &Path, root: Root) -> Self {
        Self { scope, places: Places::new(scope, settings), root }
    }

    /// Fails if there is no such manager to talk to.
    pub(in super::super) fn check(&self) -> Result<(), Failure> {
        let error = match self.systemctl(&["show", "--property=UnitPath", "--value"]) {
            Ok(folders) => return self.check_folder(&folders),
            Err(error) => error,
        };
        let advice = match (&error, self.scope) {
            (Error::Failed { .. }, Scope::User) => {
                "This user has no systemd of its own in this session: log in as the user itself \
                 (by ssh, at the console, or with `machinectl shell`; su and sudo do not count). "
            }
            _ => "",
        };
        let message = format!(
            "cannot connect to systemd ({error}). {advice}Without systemd, let another service \
             manager run `codex-proxy serve`, or run it in a container; `codex-proxy service \
             install --print` shows the files that would be installed"
        );
        Err(Failure::new(Exit::Unavailable, message))
    }

    /// Fails if the manager does not look for units where they go. It need not have the variables of
    /// this shell.
    fn check_folder(&self, looked_in: &str) -> Result<(), Failure> {
        let folder = self.places.service.parent().unwrap_or(Path::new("/")).to_string_lossy();
        if looked_in.contains(&*folder) {
            return Ok(());
        }
        let message = format!(
            "systemd does not read units from {folder}: XDG_CONFIG_HOME is set in this shell but \
             not for systemd; unset it here, or set it in ~/.config/environment.d as well and \
             log in again"
        );
        Err(Failure::new(Exit::Unavailable, message))
    }

    /// Whether services may have namespaces. A user's manager cannot make them everywhere, and a
    /// service that asks for them does not start there.
    pub(in super::super) fn has_namespaces(&self, program: &str) -> bool {
        let probe = [
            "systemd-run",
            "--user",
            "--quiet",
            "--wait",
            "--collect",
            "--property=PrivateUsers=yes",
            "--property=CapabilityBoundingSet=",
            "--property=ProtectSystem=strict",
            "--property=ProtectHome=read-only",
            "--property=PrivateDevices=yes",
            program,
            "--version",
        ];
        self.scope == Scope::System || ask(&probe).is_ok()
    }

    /// Writes the units, and has them run.
    pub(in super::super) fn install(
        &self,
        definition: &Definition,
        shape: UnitOptions,
        start: bool,
    ) -> Result<(), Failure> {
        for folder in &definition.writable {
            // What is not there when the daemon starts would not be seen by it later.
            if self.scope == Scope::User {
                self.root.make_private(Path::new(folder))?;
            }
        }
        let mut is_new = false;
        for file in files(definition, shape, &self.places) {
            let written = self.root.write(&file)?;
            is_new |= written;
            let how = if written { "Wrote" } else { "Unchanged:" };
            say(&format!("{how} {}", self.root.at(&file.path).display()));
        }
        if self.root.is_elsewhere() {
            return Ok(());
        }
        if let Some(sysusers) = &self.places.sysusers {
            ask(&["systemd-sysusers", &sysusers.to_string_lossy()])?;
        }
        let had_socket = self.root.read(&self.places.socket).is_some() && !shape.socket;
        if had_socket {
            self.systemctl(&["disable", "--now", SOCKET])?;
            self.root.remove(&self.places.socket)?;
        }
        self.systemctl(&["daemon-reload"])?;
        let unit = if shape.socket {
            // It starts by the socket alone.
            self.systemctl(&["disable", "--quiet", SERVICE])?;
            SOCKET
        } else {
            SERVICE
        };
        self.systemctl(&["enable", "--quiet", unit])?;
        if !start {
            say(&format!("Enabled {unit}, not started: codex-proxy service start{}", self.flag()));
            return Ok(());
        }
        if is_new || had_socket {
            // A socket cannot be opened anew while its service has it.
            self.stop_active()?;
        }
        self.start(unit)?;
        say(&format!("Enabled and started {unit}"));
        Ok(())
    }

    /// The files as they would be written.
    pub(in super::super) fn print(&self, definition: &Definition, shape: UnitOptions) -> String {
        let mut text = String::new();
        for file in files(definition, shape, &self.places) {
            // Writing to a `String` does not fail.
            let _ = writeln!(text, "# {}\n{}", file.path.display(), file.content);
        }
        text
    }

    pub(in super::super) fn uninstall(&self) -> Result<(), Failure> {
        if !self.root.is_elsewhere() {
            self.stop_active()?;
            for (unit, path) in [(SOCKET, &self.places.socket), (SERVICE, &self.places.service)] {
                if self.root.read(path).is_some() {
                    self.systemctl(&["disable", "--quiet", unit])?;
                }
            }
        }
        let mut was_there = false;
        for path in
            [&self.places.socket, &self.places.service].into_iter().chain(&self.places.sysusers)
        {
            if self.root.remove(path)? {
                was_there = true;
                say(&format!("Removed {}", self.root.at(path).display()));
            }
        }
        if !was_there {
            say("No service is installed.");
            return Ok(());
        }
        if !self.root.is_elsewhere() {
            self.systemctl(&["daemon-reload"])?;
        }
        Ok(())
    }

    /// What is installed.
    pub(in super::super) fn installed(&self) -> Option<Installed> {
        let command = super::command_of(&self.root.read(&self.places.service)?)?;
        let socket = self.root.read(&self.places.socket);
        let listen = socket.as_deref().and_then(super::listen_of);
        let files = [Some(&self.places.service), socket.is_some().then_some(&self.places.socket)];
        let files = files.into_iter().flatten().map(|path| self.root.at(path)).collect();
        Some(Installed { files, command, listen, has_socket: socket.is_some() })
    }

    pub(in super::super) fn control(&self, verb: &str, has_socket: bool) -> Result<(), Failure> {
        match (verb, has_socket) {
            ("start", true) => self.start(SOCKET),
            ("start", false) => self.start(SERVICE),
            ("stop", true) => self.stop_active(),
            _ => Ok(self.systemctl(&[verb, SERVICE]).map(drop)?),
        }
    }

    /// Stops what runs of the two; first the socket, which would start the service again.
    fn stop_active(&self) -> Result<(), Failure> {
        for unit in [SOCKET, SERVICE] {
            if self.systemctl(&["is-active", "--quiet", unit]).is_ok() {
                self.systemctl(&["stop", unit])?;
            }
        }
        Ok(())
    }

    fn start(&self, unit: &str) -> Result<(), Failure> {
        self.systemctl(&["start", unit]).map_err(|error| {
            let message = format!("{error}\nSee why: codex-proxy service logs{}", self.flag());
            Failure::new(Exit::Unavailable, message)
        })?;
        Ok(())
    }

    pub(in super::super) fn state(&self) -> Result<State, Failure> {
        let properties = "--property=ActiveState,SubState,UnitFileState,MainPID,StatusText";
        let shown = self.systemctl(&["show", SERVICE, properties])?;
        let value = |name: &str| {
            let mut lines = shown.lines();
            let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.filter(|value| !value.is_empty() && *value != "0").unwrap_or("-").to_owned()
        };
        let (active, sub) = (value("ActiveState"), value("SubState"));
        let is_running = active == "active";
        let mut rows = vec![("state", format!("{active} ({sub}), {}", value("UnitFileState")))];
        // What it has said last stays when it has ended.
        if is_running {
            rows.extend([("process", value("MainPID")), ("says", value("StatusText"))]);
        }
        Ok(State { is_running, rows })
    }

    pub(in super::super) fn logs(&self, follow: bool, lines: u32) -> Result<(), Failure> {
        let lines = lines.to_string();
        let mut words = vec!["journalctl"];
        if self.scope == Scope::User {
            words.push("--user");
        }
        words.extend(["--unit", SERVICE, "--lines", &lines, "--no-hostname"]);
        words.push(if follow { "--follow" } else { "--no-pager" });
        Ok(commands::show(&words)?)
    }

    fn systemctl(&self, words: &[&str]) -> Result<String, Error> {
        let start: &[&str] = match self.scope {
            Scope::User => &["systemctl", "--user"],
            Scope::System => &["systemctl"],
        };
        ask(&[start, words].concat())
    }

    /// What commands of this program need to mean the same service.
    fn flag(&self) -> &'static str {
        match self.scope {
            Scope::User => "",
            Scope::System => " --system",
        }
    }
}

/// Whether this user's services run without the user.
pub(in super::super) fn lingers() -> bool {
    let user = std::env::var("USER").unwrap_or_default();
    let asked = ask(&["loginctl", "show-user", &user, "--property=Linger", "--value"]);
    asked.is_ok_and(|answer| answer.trim() == "yes")
}
