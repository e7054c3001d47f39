//! `codex-proxy run`: runs a command with the daemon's address in its environment.
//!
//! A daemon that must be started is a child of this process in a process group of its own, so that
//! keys typed at the terminal do not reach it. It ends when its standard input does: however this
//! process ends, the daemon does not stay behind.

mod signals;
mod start;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitStatus;

use clap::Args;
use secrecy::ExposeSecret as _;
use tokio::process::Command;

use self::start::Found;
pub(super) use self::start::{UNTIL_STDIN_ENDS, stop_with_stdin};
use super::exit::{Exit, Failure};
use super::serve::runtime;
use crate::config::{ACCESS_TOKEN_VARIABLE, Billing, Config, variable};

/// What to run.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Use a simulated backend: no account needed, nothing leaves this machine
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
        let found = start::find(config, file, arguments.simulate).await?;
        let status = supervise(&arguments.command, &found, &secrets(config)).await;
        if let Some(daemon) = found.started {
            start::end(daemon).await;
        }
        status.map(code)
    })
}

/// Runs the command with the daemon in its environment and forwards signals to it.
async fn supervise(
    command: &[OsString],
    found: &Found,
    secrets: &[String],
) -> Result<ExitStatus, Failure> {
    let Some((program, arguments)) = command.split_first() else {
        return Err(Failure::new(Exit::Usage, "no command given"));
    };
    let mut command = Command::new(program);
    command.args(arguments);
    for name in secrets {
        command.env_remove(name);
    }
    for (name, value) in environment(found, |name| std::env::var_os(name)) {
        command.env(name, value);
    }
    let mut signals = signals::Passed::install().map_err(|error| {
        Failure::new(Exit::Internal, format!("cannot install signal handlers: {error}"))
    })?;
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

/// The variables that hold secrets of the daemon's settings, which are nothing to the command: it
/// gets the one key that it needs in a variable that clients know.
fn secrets(config: &Config) -> Vec<String> {
    let mut names = [
        // Keys of other clients among them.
        variable("server", "api_keys"),
        // They may hold a credential of the backend's.
        variable("upstream", "headers"),
        ACCESS_TOKEN_VARIABLE.to_owned(),
    ]
    .to_vec();
    if let Billing::ApiKey { variable, .. } = &config.upstream.mode {
        names.push(variable.clone());
    }
    names
}

/// The variables that tell clients where the daemon is.
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

/// The exit code as a shell reports it: the command's code, or 128 plus the signal number.
fn code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return u8::try_from(128 + signal).unwrap_or(u8::MAX);
    }
    status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::daemon::Place;

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

    #[cfg(unix)]
    #[test]
    fn ends_are_told_as_shells_tell_them() {
        use std::os::unix::process::ExitStatusExt as _;
        for (raw, expected) in [(0, 0), (3 << 8, 3), (15, 143), (9, 137), (2, 130)] {
            assert_eq!(code(ExitStatus::from_raw(raw)), expected, "{raw}");
        }
    }
}
