//! `codex-proxy health`

use clap::Args;
use serde_json::{Value, json};

use super::daemon::{Daemon, Health, Place};
use super::exit::{Exit, Failure};
use super::output;
use super::serve::runtime;
use crate::config::Config;

/// How to say it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Asks the daemon whether it runs, and says so in one line.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let daemon = Daemon::of(&config.server)?;
    let health = runtime()?.block_on(daemon.health()).map_err(Failure::from);
    let line = match (&health, arguments.json) {
        (Ok(health), false) => text(daemon.place(), health),
        (Ok(health), true) => to_json(daemon.place(), health).to_string(),
        (Err(failure), true) => {
            json!({ "running": false, "error": failure.to_string() }).to_string()
        }
        (Err(_), false) => String::new(),
    };
    if !line.is_empty() {
        output::say(&format!("{line}\n"));
    }
    match health?.details.and_then(|details| details.login_error) {
        // It runs, and no request can be answered. All has been said.
        Some(_) => Err(Failure::silent(Exit::NotSignedIn)),
        None => Ok(()),
    }
}

fn text(place: &Place, health: &Health) -> String {
    let Some(details) = &health.details else {
        return format!("a daemon answers at {place} but rejects the key of these settings");
    };
    let state = match (details.simulated, details.credentials, &details.login_error) {
        (true, ..) => "simulated",
        (false, _, Some(error)) => error,
        (false, true, None) => "signed in",
        (false, false, None) => "not signed in",
    };
    format!("codex-proxy {} answers at {place}, {state}", details.version)
}

fn to_json(place: &Place, health: &Health) -> Value {
    // The daemon's own words, and two more.
    let mut json = json!(health);
    json["running"] = true.into();
    json["address"] = place.to_string().into();
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::daemon::Details;

    #[test]
    fn one_line_says_how_it_is() {
        let place = Place::Tcp(([127, 0, 0, 1], 1).into());
        let health = |details: Option<(bool, bool)>| Health {
            status: "ok".to_owned(),
            details: details.map(|(credentials, simulated)| Details {
                version: "1.2.3".to_owned(),
                credentials,
                simulated,
                login_error: None,
            }),
        };
        let mut ended = health(Some((false, false)));
        ended.details.as_mut().unwrap().login_error = Some("the login has ended".to_owned());
        let expected = "codex-proxy 1.2.3 answers at http://127.0.0.1:1, the login has ended";
        assert_eq!(text(&place, &ended), expected);
        assert_eq!(to_json(&place, &ended)["login_error"], "the login has ended");
        for (details, expected) in [
            (Some((true, true)), "codex-proxy 1.2.3 answers at http://127.0.0.1:1, simulated"),
            (Some((true, false)), "codex-proxy 1.2.3 answers at http://127.0.0.1:1, signed in"),
            (
                Some((false, false)),
                "codex-proxy 1.2.3 answers at http://127.0.0.1:1, not signed in",
            ),
            (None, "a daemon answers at http://127.0.0.1:1 but rejects the key of these settings"),
        ] {
            assert_eq!(text(&place, &health(details)), expected);
        }
        let json = to_json(&place, &health(Some((true, false))));
        let expected = json!({"running": true, "address": "http://127.0.0.1:1", "status": "ok",
            "version": "1.2.3", "credentials": true, "simulated": false});
        assert_eq!(json, expected);
        assert_eq!(to_json(&place, &health(None)).get("version"), None);
    }
}
