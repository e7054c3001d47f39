//! `codex-proxy service`: the daemon as a service of the system.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the commands, and what they find out about this process and its settings |
//! | `definition.rs` | what a service manager has to know of the daemon |
//! | `systemd/`, `launchd/` | how that is written down for each of them, and how it is asked |
//! | `files.rs`, `commands.rs` | writing files and running programs |

mod commands;
mod definition;
mod files;
mod launchd;
mod systemd;

use std::path::PathBuf;

use clap::{Args, Parser as _, Subcommand, ValueEnum};

use self::definition::{Definition, Invocation, STATE, Scope, ServiceError};
use self::files::Root;
use self::launchd::Launchd;
use self::systemd::{Systemd, UnitOptions};
use super::daemon::Daemon;
use super::exit::{Exit, Failure};
use super::output;
use super::serve::runtime;
use super::{Cli, Options};
use crate::config::{self, Config, Environment, Sources};
use crate::printable::printable_line;

/// Where the settings of a system service are.
const SYSTEM_SETTINGS: &str = "/etc";

/// Variables that name folders and files of the user; the service is given the same.
const PASSED_ON: [&str; 5] =
    ["CODEX_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"];

/// What to do about the service.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write the service's files, and enable and start it; run it again to change the service
    Install(Install),
    /// Stop the service and remove its files; the login and the settings stay
    Uninstall(Which),
    /// Start the service
    Start(Which),
    /// Stop the service
    Stop(Which),
    /// Restart the service, for example after a change of the settings
    Restart(Which),
    /// Show whether it is running and answers (exit code 69 if not)
    Status(Which),
    /// Show its log
    Logs {
        #[command(flatten)]
        which: Which,
        /// Follow the log
        #[arg(long, short)]
        follow: bool,
        /// How many lines to show first
        #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 100)]
        lines: u32,
    },
}

#[derive(Debug, Args)]
struct Install {
    #[command(flatten)]
    which: Which,
    /// Socket activation: systemd listens, and the first connection starts the daemon
    #[arg(long)]
    socket: bool,
    /// Enable the service without starting it
    #[arg(long)]
    no_start: bool,
    /// Only print the files that would be written
    #[arg(long)]
    print: bool,
}

/// Which service it is about.
#[derive(Debug, Args)]
struct Which {
    /// The system service, which runs as a user of its own, instead of your user's service
    #[arg(long)]
    system: bool,
    /// Use this folder as the root of the system: nothing else is accessed
    #[arg(long, value_name = "FOLDER", hide = true)]
    root: Option<PathBuf>,
    /// A service manager other than this system's
    #[arg(long, value_name = "NAME", hide = true, default_value = USUAL)]
    manager: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Systemd,
    Launchd,
}

const USUAL: &str = if cfg!(target_os = "macos") { "launchd" } else { "systemd" };

/// A service that is installed.
#[derive(Debug)]
struct Installed {
    files: Vec<PathBuf>,
    /// What it runs.
    command: Vec<String>,
    /// Where its manager listens for it.
    listen: Option<String>,
    has_socket: bool,
}

/// How its manager says that it is.
#[derive(Debug)]
struct State {
    is_running: bool,
    rows: Vec<(&'static str, String)>,
}

enum Manager {
    Systemd(Systemd),
    Launchd(Launchd),
}

/// Does it. Settings are read as the service will see them.
pub(super) fn run(options: &Options, arguments: Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::Install(install) => install.run(options),
        Action::Uninstall(which) => {
            match which.manager()? {
                Manager::Systemd(systemd) => systemd.uninstall()?,
                Manager::Launchd(launchd) => launchd.uninstall()?,
            }
            let scope = which.scope();
            say(match scope {
                Scope::User => "The login and the settings were kept.",
                Scope::System => {
                    "The login (/var/lib/codex-proxy), the settings (/etc/codex-proxy) and the \
                     user codex-proxy were kept."
                }
            });
            Ok(())
        }
        Action::Start(which) => which.control("start"),
        Action::Stop(which) => which.control("stop"),
        Action::Restart(which) => which.control("restart"),
        Action::Status(which) => which.status(),
        Action::Logs { which, follow, lines } => match which.manager()? {
            Manager::Systemd(systemd) => systemd.logs(follow, lines),
            Manager::Launchd(launchd) => launchd.logs(follow, lines),
        },
    }
}

impl Install {
    fn run(self, options: &Options) -> Result<(), Failure> {
        let scope = self.which.scope();
        let manager = self.which.manager()?;
        if self.socket && matches!(manager, Manager::Launchd(_)) {
            let message = "--socket is for systemd; launchd starts the daemon when you log in";
            return Err(Failure::new(Exit::Usage, message));
        }
        let invocation = invocation(scope, options)?;
        let config = settings(scope, options, &invocation, &self.which.root())?;
        let definition = Definition::new(scope, &invocation, &config, self.socket)?;
        let is_real = !self.print && self.which.root.is_none();
        if is_real && scope == Scope::System && !rustix::process::geteuid().is_root() {
            let message = "a system service needs sudo; without --system it is for your user \
                           only and needs no sudo";
            return Err(Failure::new(Exit::Unwritable, message));
        }
        if is_real && let Manager::Systemd(systemd) = &manager {
            systemd.check()?;
        }
        let sandbox = match &manager {
            Manager::Systemd(systemd) if is_real => systemd.has_namespaces(&definition.command[0]),
            _ => true,
        };
        let shape = UnitOptions { socket: self.socket, sandbox };
        if self.print {
            let text = match &manager {
                Manager::Systemd(systemd) => systemd.print(&definition, shape),
                Manager::Launchd(launchd) => launchd.print(&definition)?,
            };
            return output::print_own(text.as_bytes());
        }
        if !sandbox {
            output::warn(
                "This system does not allow namespaces for user services: the unit is installed \
                 without the sandbox options that need them. `service install --system` has all \
                 of them.",
            );
        }
        let unseen = unseen(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()));
        if !unseen.is_empty() {
            output::warn(&format!(
                "The service does not see {}: put settings in the settings file, and other \
                 variables in {}.",
                unseen.join(", "),
                definition.environment_file
            ));
        }
        match &manager {
            Manager::Systemd(systemd) => systemd.install(&definition, shape, !self.no_start)?,
            Manager::Launchd(launchd) => launchd.install(&definition, !self.no_start)?,
        }
        self.explain(&definition, &manager);
        Ok(())
    }

    /// What to know from now on.
    fn explain(&self, definition: &Definition, manager: &Manager) {
        let flag = self.which.flag();
        say(&format!("It listens on {}.", definition.listen));
        say(&format!("  codex-proxy service status{flag}"));
        say(&format!("  codex-proxy service logs{flag} --follow"));
        match (definition.scope, manager) {
            (Scope::System, _) => {
                let assignment = |(name, value): &(String, String)| format!("{name}={value}");
                let variables: Vec<_> = definition.variables.iter().map(assignment).collect();
                say(&format!(
                    "Sign in as the service's user, whose login is in {STATE} (settings: \
                     {SYSTEM_SETTINGS}/codex-proxy/config.toml):\n  \
                     sudo runuser -u codex-proxy -- env {} '{}' login --device",
                    variables.join(" "),
                    definition.command[0]
                ));
            }
            (Scope::User, Manager::Systemd(_))
                if self.which.root.is_some() || !systemd::lingers() =>
            {
                say("It runs while you are logged in. To start it at boot:\n  \
                     loginctl enable-linger");
            }
            (Scope::User, _) => {}
        }
    }
}

impl Which {
    fn scope(&self) -> Scope {
        if self.system { Scope::System } else { Scope::User }
    }

    /// What commands need to mean the same service.
    fn flag(&self) -> &'static str {
        if self.system { " --system" } else { "" }
    }

    fn root(&self) -> Root {
        Root::new(self.root.clone())
    }

    fn manager(&self) -> Result<Manager, Failure> {
        let homeless = || Failure::new(Exit::Config, "there is no home directory: set HOME");
        match self.manager {
            Kind::Systemd => {
                let settings = dirs::config_dir().ok_or_else(homeless)?;
                Ok(Manager::Systemd(Systemd::new(self.scope(), &settings, self.root())))
            }
            Kind::Launchd if self.system => {
                let message = "--system is for systemd; launchd runs the service as your user \
                               while you are logged in: leave out --system";
                Err(Failure::new(Exit::Usage, message))
            }
            Kind::Launchd => {
                let home = dirs::home_dir().ok_or_else(homeless)?;
                Ok(Manager::Launchd(Launchd::new(&home, self.root())))
            }
        }
    }

    fn installed(&self) -> Result<(Manager, Installed), Failure> {
        let manager = self.manager()?;
        let installed = match &manager {
            Manager::Systemd(systemd) => systemd.installed(),
            Manager::Launchd(launchd) => launchd.installed(),
        };
        let installed = installed.ok_or_else(|| {
            let message = format!(
                "the service is not installed; install it with `codex-proxy service install{}`",
                self.flag()
            );
            Failure::new(Exit::Unavailable, message)
        })?;
        Ok((manager, installed))
    }

    fn control(&self, verb: &str) -> Result<(), Failure> {
        let (manager, installed) = self.installed()?;
        match manager {
            Manager::Systemd(systemd) => systemd.control(verb, installed.has_socket),
            Manager::Launchd(launchd) => launchd.control(verb),
        }
    }

    fn status(&self) -> Result<(), Failure> {
        let (manager, installed) = self.installed()?;
        for file in &installed.files {
            row("file", &file.display().to_string());
        }
        let state = match manager {
            Manager::Systemd(systemd) => systemd.state()?,
            Manager::Launchd(launchd) => launchd.state(),
        };
        for (name, value) in &state.rows {
            row(name, value);
        }
        let server = self.server(&installed)?;
        let listen = &server.listen;
        let runtime = runtime()?;
        let health = Daemon::of(&server).and_then(|daemon| runtime.block_on(daemon.health()));
        match &health {
            Ok(_) => row("health", &format!("answers on {listen}")),
            Err(cause) => row("health", &format!("no answer on {listen}: {cause}")),
        }
        // With a socket it need not have run before it was asked.
        if health.is_ok() && (state.is_running || installed.has_socket) {
            return Ok(());
        }
        let message = format!(
            "the service is not running correctly; see why: codex-proxy service logs{}",
            self.flag()
        );
        Err(Failure::new(Exit::Unavailable, message))
    }

    /// The settings that the service reads, with where its manager says that it listens.
    fn server(&self, installed: &Installed) -> Result<config::Server, Failure> {
        let cli = Cli::try_parse_from(&installed.command);
        let mut options = cli.map(|cli| cli.options).unwrap_or_default();
        if installed.listen.is_some() {
            options.listen.clone_from(&installed.listen);
        }
        let invocation = invocation(self.scope(), &options)?;
        let config = settings(self.scope(), &options, &invocation, &self.root())?;
        Ok(config.server)
    }
}

/// How this program would be run as a service with these options.
fn invocation(scope: Scope, options: &Options) -> Result<Invocation, Failure> {
    let fault = |what: &str, error: std::io::Error| {
        Failure::new(Exit::Internal, format!("cannot find {what}: {error}"))
    };
    let config = options.config.as_ref().map(std::path::absolute).transpose();
    let value = |name: &&str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        Some(((*name).to_owned(), value))
    };
    let own: Vec<_> = PASSED_ON.iter().filter_map(value).collect();
    let (certificates, folders): (Vec<_>, Vec<_>) =
        own.into_iter().partition(|(name, _)| name.contains("CERT"));
    let (folders, usual_config, environment_file) = match scope {
        Scope::User => {
            let usual = config::default_file();
            let beside = usual.as_deref().and_then(std::path::Path::parent);
            let environment = beside.map(|folder| folder.join("environment")).unwrap_or_default();
            (folders, usual, environment)
        }
        Scope::System => {
            let settings = PathBuf::from(SYSTEM_SETTINGS).join("codex-proxy");
            let folders = [
                ("CODEX_HOME", STATE),
                ("XDG_CONFIG_HOME", SYSTEM_SETTINGS),
                ("XDG_DATA_HOME", "/var/lib"),
            ];
            let folders = folders.map(|(name, value)| (name.to_owned(), value.to_owned()));
            (folders.into(), Some(settings.join("config.toml")), settings.join("environment"))
        }
    };
    Ok(Invocation {
        program: std::env::current_exe()
            .map_err(|error| fault("the path of this program", error))?,
        config: config.map_err(|error| fault("the path of the settings file", error))?,
        usual_config,
        listen: options.listen.clone(),
        log_format: options.log_format.clone(),
        certificates: certificates.iter().map(|(_, file)| PathBuf::from(file)).collect(),
        variables: [folders, certificates].concat(),
        environment_file,
    })
}

/// The settings as the service sees them: without the variables of this shell.
fn settings(
    scope: Scope,
    options: &Options,
    invocation: &Invocation,
    root: &Root,
) -> Result<Config, Failure> {
    let usual = match scope {
        Scope::User => None,
        Scope::System => invocation.usual_config.as_ref().map(|file| root.at(file)),
    };
    let named = invocation.config.clone().or(usual.clone().filter(|file| file.exists()));
    let is_none = scope == Scope::System && named.is_none();
    let home = match scope {
        Scope::User => dirs::home_dir(),
        Scope::System => Some(STATE.into()),
    };
    let sources = Sources {
        flags: options.flags(),
        environment: invocation.variables.iter().cloned().collect::<Environment>(),
        file: if is_none { None } else { config::read_file(named.as_deref())? },
        home,
    };
    Ok(Config::from_sources(&sources)?.0)
}

/// Those variables that mean something to the daemon and that the service does not have.
fn unseen(names: impl Iterator<Item = String>) -> Vec<String> {
    const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
    let mut names: Vec<_> = names
        .filter(|name| {
            name.starts_with("CODEX_PROXY_") || PROXIES.contains(&name.to_uppercase().as_str())
        })
        .collect();
    names.sort();
    names
}

fn row(name: &str, value: &str) {
    say(&format!("{name:<8} {}", printable_line(value)));
}

fn say(text: &str) {
    output::say(&format!("{text}\n"));
}

impl From<ServiceError> for Failure {
    fn from(unfit: ServiceError) -> Self {
        Self::new(Exit::Config, unfit)
    }
}
