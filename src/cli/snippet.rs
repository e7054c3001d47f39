//! `codex-proxy snippet`: what to tell a client.

use std::fmt::Write as _;
use std::io::IsTerminal as _;

use clap::Args;
use clap::builder::PossibleValuesParser;
use secrecy::{ExposeSecret as _, SecretString};

use super::daemon::Place;
use super::exit::{Exit, Failure};
use super::output;
use crate::clients::{self, ANY, Client, PLACEHOLDER};
use crate::config::Config;

/// For whom.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The client; without it, all clients are listed
    #[arg(value_parser = names(), hide_possible_values = true)]
    client: Option<String>,
    /// The model to use [default: `default`, the daemon's default model]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Print a key from the settings instead of a placeholder
    #[arg(long)]
    show_key: bool,
}

/// Prints the settings for a client, or which clients there are.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let Some(client) = arguments.client.as_deref().and_then(clients::find) else {
        return output::print(&list());
    };
    let place = Place::of(&config.server.listen).ok_or_else(|| {
        let message = "the settings let the system choose the daemon's port; set it with --listen";
        Failure::new(Exit::Usage, message)
    })?;
    let model = arguments.model.as_deref().unwrap_or("default");
    if !is_plain(model) {
        let message = "the model name contains invalid characters";
        return Err(Failure::new(Exit::Usage, message));
    }
    let key = key(config, arguments.show_key)?;
    let text = render(client, &place, key.expose_secret(), model)?;
    output::print(&text)?;
    let mut notes = client.note.to_owned();
    if key.expose_secret() == PLACEHOLDER && client.text.contains("<KEY>") {
        let _ = write!(notes, "\n{PLACEHOLDER} is one of the daemon's API keys (--show-key).");
    }
    if std::io::stderr().is_terminal() && !notes.trim().is_empty() {
        output::warn(&format!("\n{}", notes.trim()));
    }
    Ok(())
}

/// Those that there is something for: the shell completes them, too.
fn names() -> PossibleValuesParser {
    clients::all().map(|client| client.name).collect::<Vec<_>>().into()
}

fn list() -> String {
    let width = clients::all().map(|client| client.name.len()).max().unwrap_or_default();
    clients::all().fold(String::new(), |mut text, client| {
        // Writing to a `String` does not fail.
        let _ = writeln!(text, "{:<width$}  {}", client.name, client.title);
        text
    })
}

/// The key to print.
fn key(config: &Config, show: bool) -> Result<SecretString, Failure> {
    if !config.server.needs_key() {
        return Ok(ANY.into());
    }
    if !show {
        return Ok(PLACEHOLDER.into());
    }
    let daemon = super::daemon::Daemon::of(&config.server)?;
    let key = daemon.key().map_err(|error| Failure::new(Exit::Config, error))?;
    let key = key.cloned().unwrap_or_else(|| ANY.into());
    if !is_plain(key.expose_secret()) {
        let message = "the key contains characters that need quoting; copy it from the settings, \
                       or create another one with `codex-proxy key new`";
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(key)
}

/// Whether a text means itself in shells, JSON, YAML strings and programs.
fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:/+=@() ".contains(c);
    !text.is_empty() && text.chars().all(is_plain)
}

fn render(client: &Client, place: &Place, key: &str, model: &str) -> Result<String, Failure> {
    let template = match (place, client.by_socket) {
        (Place::Tcp(_), _) => client.text.to_owned(),
        (Place::Unix(path), Some(text)) => match path.to_str().filter(|path| is_plain(path)) {
            Some(path) => text.replace("<SOCKET>", path),
            None => return Err(no_socket(client)),
        },
        (Place::Unix(_), None) => return Err(no_socket(client)),
    };
    Ok(clients::fill(&template, &place.base_url(), key, model))
}

fn no_socket(client: &Client) -> Failure {
    let message = format!(
        "{} cannot use the Unix socket of `[server] listen`; let the daemon listen on a TCP \
         address",
        client.title
    );
    Failure::new(Exit::Usage, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_is_put_in() {
        let place = Place::Tcp(([127, 0, 0, 1], 10455).into());
        let text = |name| render(clients::find(name).unwrap(), &place, "the-key", "it").unwrap();
        let expected = "\
curl http://127.0.0.1:10455/v1/chat/completions \\
  -H 'authorization: Bearer the-key' -H 'content-type: application/json' \\
  -d '{\"model\": \"it\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello!\"}]}'
";
        assert_eq!(text("curl"), expected);
        let expected = "\
export GOOSE_PROVIDER=openai
export GOOSE_MODEL='it'
export OPENAI_HOST='http://127.0.0.1:10455'
export OPENAI_BASE_PATH=chat/completions
export OPENAI_API_KEY='the-key'
";
        assert_eq!(text("goose"), expected);
    }

    #[test]
    fn a_socket_is_for_those_who_can_use_one() {
        let socket = Place::Unix("/run/api.sock".into());
        for client in clients::all() {
            match render(client, &socket, "k", "m") {
                Ok(text) => assert!(text.contains("/run/api.sock"), "{text}"),
                Err(failure) => assert_eq!(failure.exit, Exit::Usage, "{}", client.name),
            }
        }
        assert!(render(clients::find("curl").unwrap(), &socket, "k", "m").is_ok());
        let odd = Place::Unix("/run/a'b".into());
        assert!(render(clients::find("curl").unwrap(), &odd, "k", "m").is_err());
    }

    #[test]
    fn keys_show_only_if_asked_for() {
        let config = |toml: &str| Config::from_toml(toml).unwrap();
        let open = config("");
        let closed = config("[server]\napi_keys = [\"kx3-09Zqv_T1bWm4RsYd7A\"]");
        for (config, show, expected) in [
            (&open, false, ANY),
            (&open, true, ANY),
            (&closed, false, PLACEHOLDER),
            (&closed, true, "kx3-09Zqv_T1bWm4RsYd7A"),
        ] {
            assert_eq!(key(config, show).unwrap().expose_secret(), expected);
        }
        let quoted = config("[server]\napi_keys = [\"kx3-09Zqv'T1bWm4RsYd7A\"]");
        assert_eq!(key(&quoted, true).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn only_what_means_itself_is_put_into_snippets() {
        for (text, expected) in [
            ("gpt-5.5", true),
            ("openai/gpt-5.5:high", true),
            ("gpt-5.5 (high)", true),
            ("", false),
            ("a\"b", false),
            ("a'b", false),
            ("a$b", false),
            ("a\nb", false),
            ("a\\b", false),
        ] {
            assert_eq!(is_plain(text), expected, "{text:?}");
        }
    }
}
