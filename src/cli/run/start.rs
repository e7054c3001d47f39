//! The daemon for a command: the running one, or a new one.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use secrecy::SecretString;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::cli::daemon::{self, Daemon, Health, Place};
use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, Listen};

/// The timeout for the start of the daemon.
const START: Duration = Duration::from_secs(20);
/// The polling interval during the start.
const PAUSE: Duration = Duration::from_millis(20);
/// The number of attempts to find a free port.
const ATTEMPTS: usize = 5;
/// The flag that stops a daemon when its standard input ends.
pub(in crate::cli) const UNTIL_STDIN_ENDS: &str = "until-stdin-ends";

/// A daemon that answers.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) key: Option<SecretString>,
    /// `None` if it was already running.
    pub(super) started: Option<Child>,
}

/// The daemon of the settings, if it runs and has the backend that is asked for; else a new one.
pub(super) async fn find(
    config: &Config,
    file: Option<&Path>,
    simulate: bool,
) -> Result<Found, Failure> {
    let daemon = match Daemon::of(&config.server) {
        Ok(daemon) => Some(daemon),
        Err(daemon::Error::AnyPort) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(daemon) = daemon {
        if matches!(daemon.place(), Place::Unix(_)) {
            let message = "commands cannot use a Unix socket; let the daemon listen on a TCP \
                           address (`[server] listen`, --listen)";
            return Err(Failure::new(Exit::Usage, message));
        }
        match daemon.health().await {
            Ok(health) if suits(&health, simulate) => return found(&daemon, None),
            Ok(_) => {}
            Err(daemon::Error::NotRunning { .. }) if !simulate => {
                let child = start(&config.server.listen, file, simulate)?;
                match ready(daemon, child, simulate).await {
                    // Somebody was faster, and may be gone before this command is.
                    Err((_, Some(Exit::Unavailable))) => {}
                    other => return other.map_err(|(failure, _)| failure),
                }
            }
            // A simulated daemon may listen anywhere.
            Err(_) if simulate => {}
            Err(error) => return Err(error.into()),
        }
    }
    on_free_port(config, file, simulate).await
}

/// Whether the running daemon is suitable. Any backend is fine, unless a simulated one is
/// requested, which must not use the plan.
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
        .map_err(|error| Failure::new(Exit::Unavailable, format!("no free port: {error}")))
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
            let message = "the daemon could not be started; see its message above";
            return Err((Failure::new(exit.unwrap_or(Exit::Internal), message), exit));
        }
        match daemon.health().await {
            Ok(health) if suits(&health, simulate) => {
                return found(&daemon, Some(child)).map_err(|failure| (failure, None));
            }
            _ if Instant::now() > deadline => {
                let message = format!("the daemon did not start within {} s", START.as_secs());
                return Err((Failure::new(Exit::Unavailable, message), None));
            }
            _ => sleep(PAUSE).await,
        }
    }
}

/// Has a daemon end in order, and waits for it.
pub(super) async fn end(mut daemon: Child) {
    // It ends by itself when this pipe does.
    drop(daemon.stdin.take());
    let _ = daemon.wait().await;
}

/// Has this process stop in order when its standard input ends. It is read by a thread, which
/// nobody waits for.
pub(in crate::cli) fn stop_with_stdin() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::daemon::Details;

    #[test]
    fn a_made_up_backend_is_not_taken_from_a_real_daemon() {
        let health = |simulated: Option<bool>| Health {
            status: "ok".to_owned(),
            details: simulated.map(|simulated| Details {
                version: "1.2.3".to_owned(),
                credentials: true,
                simulated,
                login_error: None,
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
}
