//! `codex-proxy run`: a command that finds the daemon.
//!
//! A daemon that has to be started is a child of this process in a process group of its own, so
//! that keys typed at the terminal do not reach it. It ends when its standard input does: however
//! this process ends, the daemon does not stay behind.

use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::daemon::{self, Daemon, Health, Place};
use super::exit::{Exit, Failure};
use super::run::runtime;
use crate::config::{Config, Listen};

/// How long a daemon may take to begin.
const START: Duration = Duration::from_secs(20);
/// How often it is asked meanwhile.
const PAUSE: Duration = Duration::from_millis(20);
/// How often another free port is tried where somebody else was faster.
const ATTEMPTS: usize = 5;
/// The flag that has a daemon end with its standard input.
pub(super) const UNTIL_STDIN_ENDS: &str = "until-stdin-ends";

/// What to run.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// With a made-up backend: no account needed, nothing leaves this machine
    #[arg(long)]
    simulate: bool,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", required = true, trailing_var_arg = true)]
    #[arg(allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs the command; gives the code to end with. `file` is that of `--config`.
pub(super) fn run(
    config: &Config,
    file: Option<&Path>,
    arguments: &Arguments,
) -> Result<u8, Failure> {
    let runtime = runtime()?;
    runtime.block_on(async {
        let found = find(config, file, arguments.simulate).await?;
        let status = supervise(&arguments.command, &found).await;
        if let Some(daemon) = found.started {
            end(daemon).await;
        }
        status.map(code)
    })
}

/// A daemon that answers.
struct Found {
    place: Place,
    key: Option<SecretString>,
    /// Nothing if it was running before.
    started: Option<Child>,
}

/// The daemon of the settings, if it runs and has the backend that is asked for; else a new one.
async fn find(config: &Config, file: Option<&Path>, simulate: bool) -> Result<Found, Failure> {
    let daemon = match Daemon::of(&config.server) {
        Ok(daemon) => Some(daemon),
        Err(daemon::Error::AnyPort) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(daemon) = daemon {
        if matches!(daemon.place(), Place::Unix(_)) {
            let message = "commands cannot be told of a socket; have the daemon listen on an \
                           address (`[server] listen`, --listen)";
            return Err(Failure::new(Exit::Usage, message));
        }
        match daemon.health().await {
            Ok(health) if suits(&health, simulate) => return found(&daemon, None),
            Ok(_) => {}
            Err(daemon::Error::NotRunning { .. }) if !simulate => {
                let child = start(&config.server.listen, file, simulate)?;
                return ready(daemon, child, simulate).await.map_err(|(failure, _)| failure);
            }
            // A made-up backend may be anywhere.
            Err(_) if simulate => {}
            Err(error) => return Err(error.into()),
        }
    }
    on_free_port(config, file, simulate).await
}

/// Whether the daemon that runs is the one that is asked for. One with a backend of its own
/// settings is fine, unless a made-up one is wanted: that one must not spend anything.
fn suits(health: &Health, simulate: bool) -> bool {
    !simulate || health.details.as_ref().is_some_and(|details| details.simulated)
}

fn found(daemon: &Daemon, started: Option<Child>) -> Result<Found, Failure> {
    let key = daemon.key().map_err(|error| Failure::new(Exit::Config, error))?.cloned();
    Ok(Found { place: daemon.place().clone(), key, started })
}

/// A new daemon where nobody else is. Between finding such a port and listening on it somebody
/// may have taken it; then it is another one.
async fn on_free_port(
    config: &Config,
    file: Option<&Path>,
    simulate: bool,
) -> Result<Found, Failure> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let address = free_port()?;
        let mut server = config.server.clone();
        server.listen = Listen::Tcp(address);
        let child = start(&server.listen, file, simulate)?;
        match ready(Daemon::of(&server)?, child, simulate).await {
            Err((_, Some(Exit::Unavailable))) if attempt < ATTEMPTS => {}
            other => return other.map_err(|(failure, _)| failure),
        }
    }
}

fn free_port() -> Result<SocketAddr, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| Failure::new(Exit::Unavailable, format!("there is no free port: {error}")))
}

/// Starts a daemon with the settings of this process. It says nothing unless something is wrong.
fn start(listen: &Listen, file: Option<&Path>, simulate: bool) -> Result<Child, Failure> {
    let cannot = |error| Failure::new(Exit::Internal, format!("cannot start the daemon: {error}"));
    let mut command = Command::new(std::env::current_exe().map_err(cannot)?);
    command.args(["serve", &format!("--{UNTIL_STDIN_ENDS}"), "--listen", &listen.to_string()]);
    if simulate {
        command.arg("--simulate");
    }
    if let Some(file) = file {
        command.arg("--config").arg(file);
    }
    if std::env::var_os("RUST_LOG").is_none_or(|filter| filter.is_empty()) {
        let filter = if simulate { "error" } else { "warn" };
        command.env("RUST_LOG", filter);
    }
    #[cfg(unix)]
    command.process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().map_err(cannot)
}

/// Waits until the daemon answers that was started. If it ends instead, gives how.
async fn ready(
    daemon: Daemon,
    mut child: Child,
    simulate: bool,
) -> Result<Found, (Failure, Option<Exit>)> {
    let deadline = Instant::now() + START;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            let exit = Exit::ALL.into_iter().find(|exit| status.code() == Some(*exit as i32));
            let message = "the daemon could not be started; it says why above";
            return Err((Failure::new(exit.unwrap_or(Exit::Internal), message), exit));
        }
        match daemon.health().await {
            Ok(health) if suits(&health, simulate) => {
                return found(&daemon, Some(child)).map_err(|failure| (failure, None));
            }
            _ if Instant::now() > deadline => {
                let message = format!("the daemon has not begun within {} s", START.as_secs());
                return Err((Failure::new(Exit::Unavailable, message), None));
            }
            _ => sleep(PAUSE).await,
        }
    }
}

/// Has a daemon end in order, and waits for it.
async fn end(mut daemon: Child) {
    // It ends by itself when this pipe does.
    drop(daemon.stdin.take());
    let _ = daemon.wait().await;
}

/// Runs the command with the daemon in its environment and passes on what signals ask of it.
async fn supervise(command: &[OsString], found: &Found) -> Result<ExitStatus, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new(Exit::Usage, "there is no command"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for (name, value) in environment(found, |name| std::env::var_os(name)) {
        command.env(name, value);
    }
    let mut signals = signals::Passed::install()
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot take signals: {error}")))?;
    let mut child = command.spawn().map_err(|error| {
        let exit = match error.kind() {
            std::io::ErrorKind::NotFound => Exit::CommandNotFound,
            _ => Exit::CommandNotRunnable,
        };
        Failure::new(exit, format!("cannot run {}: {error}", program.display()))
    })?;
    loop {
        tokio::select! {
            status = child.wait() => {
                return status.map_err(|error| Failure::new(Exit::Internal, error));
            }
            signal = signals.next() => signals::pass(signal, &child),
        }
    }
}

/// The variables that tell clients where the daemon is, over those there are.
fn environment(
    found: &Found,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Vec<(&'static str, OsString)> {
    let base = OsString::from(format!("{}/v1", found.place.base_url()));
    // Most clients insist on a key, and one that is meant for somebody else must not come here.
    let key = found.key.as_ref().map_or("any", |key| key.expose_secret());
    let mut variables = vec![
        ("OPENAI_BASE_URL", base.clone()),
        ("OPENAI_API_BASE", base),
        ("OPENAI_API_KEY", key.into()),
    ];
    let present = ["NO_PROXY", "no_proxy"].map(&variable).into_iter().flatten();
    let exceptions = with_loopback(present.into_iter().find(|value| !value.is_empty()));
    // Programs differ in which of the two they read.
    variables.extend([("NO_PROXY", exceptions.clone()), ("no_proxy", exceptions)]);
    variables
}

fn with_loopback(exceptions: Option<OsString>) -> OsString {
    const LOOPBACK: &str = "127.0.0.1,localhost,::1";
    match exceptions {
        None => LOOPBACK.into(),
        Some(all) if all == OsStr::new("*") => all,
        Some(mut some) => {
            some.push(",");
            some.push(LOOPBACK);
            some
        }
    }
}

/// How a shell tells the end of a command: its code, or 128 and the number of the signal.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

/// Has this process stop in order when its standard input ends. It is read by a thread, which
/// nobody waits for.
pub(super) fn stop_with_stdin() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stop_this_process();
    });
}

#[cfg(unix)]
fn stop_this_process() {
    use rustix::process::{Signal, getpid, kill_process};
    // As anybody else would tell it.
    let _ = kill_process(getpid(), Signal::TERM);
}

#[cfg(not(unix))]
fn stop_this_process() {
    // There is no way to tell oneself; nobody is left who reads an answer.
    std::process::exit(0);
}

#[cfg(unix)]
mod signals {
    use std::io::{self, IsTerminal as _};

    use futures_util::FutureExt as _;
    use futures_util::future::select_all;
    use rustix::process::{Pid, Signal, kill_process};
    use tokio::process::Child;
    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    /// The signals that the command gets in place of this process.
    pub(super) struct Passed {
        streams: [(Stream, Signal); 6],
    }

    impl Passed {
        pub(super) fn install() -> io::Result<Self> {
            let of = |kind, passed| io::Result::Ok((signal(kind)?, passed));
            let streams = [
                of(SignalKind::terminate(), Signal::TERM)?,
                of(SignalKind::hangup(), Signal::HUP)?,
                of(SignalKind::user_defined1(), Signal::USR1)?,
                of(SignalKind::user_defined2(), Signal::USR2)?,
                of(SignalKind::interrupt(), Signal::INT)?,
                of(SignalKind::quit(), Signal::QUIT)?,
            ];
            Ok(Self { streams })
        }

        /// The next one to pass on. What is typed at a terminal goes to the command as well as to
        /// this process, and must not come twice.
        pub(super) async fn next(&mut self) -> Option<Signal> {
            let waits = self.streams.iter_mut().map(|(stream, signal)| {
                async {
                    stream.recv().await;
                    *signal
                }
                .boxed()
            });
            let (signal, ..) = select_all(waits).await;
            let is_typed = matches!(signal, Signal::INT | Signal::QUIT);
            (!is_typed || !io::stdin().is_terminal()).then_some(signal)
        }
    }

    pub(super) fn pass(signal: Option<Signal>, child: &Child) {
        let id = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let (Some(signal), Some(id)) = (signal, id) {
            // One that has ended meanwhile needs no signal.
            let _ = kill_process(id, signal);
        }
    }
}

#[cfg(not(unix))]
mod signals {
    use std::io;

    use tokio::process::Child;

    /// The console tells the command as well as this process, which only must not end of it.
    pub(super) struct Passed;

    impl Passed {
        pub(super) fn install() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn next(&mut self) {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    pub(super) fn pass(_: (), _: &Child) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::daemon::Details;

    #[test]
    fn commands_find_the_daemon_and_no_proxy_in_between() {
        let found = |key: Option<&str>| Found {
            place: Place::Tcp(([127, 0, 0, 1], 7).into()),
            key: key.map(Into::into),
            started: None,
        };
        let get = |variables: &[(&str, OsString)], name: &str| {
            let found = variables.iter().find(|(found, _)| *found == name);
            found.unwrap().1.to_str().unwrap().to_owned()
        };
        let variables = environment(&found(None), |_| None);
        for (name, expected) in [
            ("OPENAI_BASE_URL", "http://127.0.0.1:7/v1"),
            ("OPENAI_API_BASE", "http://127.0.0.1:7/v1"),
            ("OPENAI_API_KEY", "any"),
            ("NO_PROXY", "127.0.0.1,localhost,::1"),
            ("no_proxy", "127.0.0.1,localhost,::1"),
        ] {
            assert_eq!(get(&variables, name), expected);
        }
        let lower = |name: &str| (name == "no_proxy").then(|| "corp.example".into());
        let variables = environment(&found(Some("sk-1")), lower);
        assert_eq!(get(&variables, "OPENAI_API_KEY"), "sk-1");
        assert_eq!(get(&variables, "NO_PROXY"), "corp.example,127.0.0.1,localhost,::1");
        let variables = environment(&found(None), |_| Some("*".into()));
        assert_eq!(get(&variables, "NO_PROXY"), "*");
    }

    #[test]
    fn a_made_up_backend_is_not_taken_from_a_real_daemon() {
        let health = |simulated: Option<bool>| Health {
            status: "ok".to_owned(),
            details: simulated.map(|simulated| Details {
                version: "1.2.3".to_owned(),
                credentials: true,
                simulated,
            }),
        };
        for (simulated, simulate, expected) in [
            (Some(true), true, true),
            (Some(false), true, false),
            (None, true, false),
            (Some(true), false, true),
            (Some(false), false, true),
            (None, false, true),
        ] {
            assert_eq!(suits(&health(simulated), simulate), expected, "{simulated:?} {simulate}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn ends_are_told_as_shells_tell_them() {
        use std::os::unix::process::ExitStatusExt as _;
        for (raw, expected) in [(0, 0), (3 << 8, 3), (15, 143), (9, 137), (2, 130)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), expected, "{raw}");
        }
    }
}
