//! `codex-proxy key`

use std::io::{IsTerminal as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use secrecy::zeroize::Zeroizing;

use super::exit::{Exit, Failure};

/// What to do about the keys that clients of the daemon have to send.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new key, for `[server] api_keys` and for one client
    New,
}

/// Does it. No settings are read: they may be wrong for want of the key.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    match arguments.action {
        Action::New => print_new(),
    }
}

fn print_new() -> Result<(), Failure> {
    let internal =
        |what, error| Failure::new(Exit::Internal, format!("cannot {what} a key: {error}"));
    let key = new().map_err(|error| internal("make", error.to_string()))?;
    writeln!(std::io::stdout(), "{}", *key)
        .map_err(|error| internal("print", error.to_string()))?;
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = writeln!(
            stderr,
            "\n\
             Add it to `[server] api_keys` in the settings, or as a line to the file that\n\
             `[server] api_key_file` names, and restart the daemon. Clients send it as their API \
             key."
        );
    }
    Ok(())
}

/// 32 random bytes, behind letters that say what they are for.
fn new() -> Result<Zeroizing<String>, getrandom::Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes)?;
    Ok(Zeroizing::new(format!("sk-cp-{}", *Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_another_one_that_the_settings_take() {
        let (one, two) = (new().unwrap(), new().unwrap());
        assert_ne!(*one, *two);
        for key in [one, two] {
            assert_eq!(key.len(), "sk-cp-".len() + 43);
            assert!(crate::config::api_key(&key).is_ok());
        }
    }
}
