//! What a service manager has to know of the daemon.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Billing, Config, Listen, LoginStore};
use crate::credentials::Location;

/// For whom the daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// For the user who installs it, as that user.
    User,
    /// For the whole machine, as a user of its own.
    System,
}

/// Where a system service keeps its login.
pub(super) const STATE: &str = "/var/lib/codex-proxy";

/// What a service manager has to know of the daemon. Its texts are fit for the files of any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) scope: Scope,
    /// The command that runs: the program, then its arguments.
    pub(super) command: Vec<String>,
    /// The variables that it needs, by name.
    pub(super) variables: Vec<(String, String)>,
    /// A file with more of them, which need not be there.
    pub(super) environment_file: String,
    /// The folders that it writes in.
    pub(super) writable: Vec<String>,
    /// What it reads and what may lie in a home.
    pub(super) readable: Vec<String>,
    /// Where it listens.
    pub(super) listen: Listen,
    /// How long it may take to stop.
    pub(super) shutdown: Duration,
}

/// What the daemon is called with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Invocation {
    /// The program.
    pub(super) program: PathBuf,
    /// `--config`, from the root.
    pub(super) config: Option<PathBuf>,
    /// The settings file that is read without `--config`.
    pub(super) usual_config: Option<PathBuf>,
    /// `--listen`
    pub(super) listen: Option<String>,
    /// `--log-format`
    pub(super) log_format: Option<String>,
    /// Variables that name files and folders, which a service would not see by itself.
    pub(super) variables: Vec<(String, String)>,
    /// Where more variables can be put.
    pub(super) environment_file: PathBuf,
    /// Files that some of those variables name.
    pub(super) certificates: Vec<PathBuf>,
}

/// Why there can be no service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ServiceError {
    /// A text that service managers cannot be told.
    #[error(
        "\"{0}\" cannot be used in a service file: control characters, trailing spaces and text \
         that is not Unicode are not allowed"
    )]
    Text(String),
    /// A path that depends on where one is.
    #[error(
        "{0} must be an absolute path (such as /home/jo/…), since a service runs in another \
         folder"
    )]
    Relative(String),
    /// A program that systemd would not start.
    #[error("systemd cannot start a program with a quotation mark or backslash in its path: {0}")]
    Program(String),
    /// The program of a system service lies where its user cannot run it.
    #[error(
        "{0} is in a home directory, where the service's own user cannot run it; put it \
         elsewhere first (sudo install -m 755 {0} /usr/local/bin/codex-proxy) and use that one"
    )]
    AtHome(String),
}

impl Definition {
    /// The service that runs the daemon with these settings.
    pub(super) fn new(
        scope: Scope,
        invocation: &Invocation,
        config: &Config,
        is_handed: bool,
    ) -> Result<Self, ServiceError> {
        let program = path(&invocation.program)?;
        if program.contains(['"', '\'', '\\']) {
            return Err(ServiceError::Program(program));
        }
        let homes = ["/home/", "/root/"];
        if scope == Scope::System && homes.iter().any(|home| program.starts_with(home)) {
            return Err(ServiceError::AtHome(program));
        }
        let mut command = vec![program.clone(), "serve".to_owned()];
        if let Some(file) = &invocation.config {
            command.extend(["--config".to_owned(), path(file)?]);
        }
        for (flag, value) in
            [("--listen", &invocation.listen), ("--log-format", &invocation.log_format)]
        {
            if let Some(value) = value {
                command.extend([flag.to_owned(), text(value)?]);
            }
        }
        let mut writable = match scope {
            Scope::User => folders(&Location::of(&config.auth).path),
            Scope::System => vec![STATE.into()],
        };
        if let Listen::Unix(socket) = &config.server.listen
            && !is_handed
        {
            writable.extend(socket.parent().map(Path::to_owned));
        }
        let settings = invocation.config.as_ref().or(invocation.usual_config.as_ref());
        let mut readable = vec![invocation.program.clone()];
        readable.extend(settings.cloned());
        readable.extend(config.server.api_key_file.clone());
        if let Billing::ApiKey { file, .. } = &config.upstream.mode {
            readable.extend(file.clone());
        }
        if config.auth.store == LoginStore::Own {
            readable.push(config.auth.codex_home.clone());
        }
        readable.extend(invocation.certificates.iter().cloned());
        let paths = |all: Vec<PathBuf>| {
            let mut texts = all.iter().map(|one| path(one)).collect::<Result<Vec<_>, _>>()?;
            let mut seen = std::collections::BTreeSet::new();
            texts.retain(|text| seen.insert(text.clone()));
            Ok(texts)
        };
        if let Listen::Unix(socket) = &config.server.listen {
            path(socket)?;
        }
        let variable = |(name, value): &(String, String)| Ok((name.clone(), text(value)?));
        Ok(Self {
            scope,
            command,
            variables: invocation.variables.iter().map(variable).collect::<Result<_, _>>()?,
            environment_file: path(&invocation.environment_file)?,
            writable: paths(writable)?,
            readable: paths(readable)?,
            listen: config.server.listen.clone(),
            shutdown: config.server.shutdown,
        })
    }
}

/// The folders that a login is written in: its own, and that of the file it is a link to.
fn folders(login: &Path) -> Vec<PathBuf> {
    let target = login.canonicalize().ok();
    let files = [Some(login), target.as_deref()];
    files.into_iter().flatten().filter_map(Path::parent).map(Path::to_owned).collect()
}

fn path(path: &Path) -> Result<String, ServiceError> {
    let shown = || path.display().to_string();
    if !path.is_absolute() {
        return Err(ServiceError::Relative(shown()));
    }
    text(path.to_str().ok_or_else(|| ServiceError::Text(shown()))?)
}

fn text(text: &str) -> Result<String, ServiceError> {
    if text.chars().any(char::is_control) || text.ends_with(char::is_whitespace) {
        return Err(ServiceError::Text(text.escape_debug().to_string()));
    }
    Ok(text.to_owned())
}
