//! `codex-proxy login`

use std::io::{self, IsTerminal as _, Read as _};
use std::time::Duration;

use clap::Args;
use secrecy::SecretSlice;

use super::exit::{Exit, Failure};
use super::output;
use super::serve::{issuer, runtime, store};
use crate::config::{Config, LoginStore};
use crate::credentials::sign_in::{Browser, Device, PORTS};
use crate::credentials::{Location, Login, NewDocument, NewLogin, Store, Summary};
use crate::printable::printable_line;

/// As long as a code of the device flow is valid.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// The largest document that is read from standard input.
const MAX_KEY: u64 = 1 << 20;

/// How to sign in.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Use a code that you enter in a browser on another machine
    #[arg(long, conflicts_with_all = ["with_token", "no_browser"])]
    device: bool,
    /// Read an auth.json from another machine from standard input
    #[arg(long, conflicts_with = "no_browser")]
    with_token: bool,
    /// Print the address of the sign-in page instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// Replace another account's login without asking
    #[arg(long, short)]
    yes: bool,
    /// The port of the redirect URL, for services other than the real one
    #[arg(long, value_name = "PORT", hide = true)]
    port: Option<u16>,
    /// How long to wait for the user, in seconds
    #[arg(long, value_name = "SECONDS", hide = true)]
    timeout: Option<u64>,
}

/// What was got and is not written yet.
enum New {
    Login(NewLogin),
    Document(NewDocument),
}

/// Signs in.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let store = store(config, Location::of(&config.auth))?;
    runtime()?.block_on(sign_in(config, &store, arguments))
}

async fn sign_in(config: &Config, store: &Store, arguments: &Arguments) -> Result<(), Failure> {
    let old = store.status().await.ok().map(|status| status.login);
    let patience = arguments.timeout.map_or(SIGN_IN_TIMEOUT, Duration::from_secs);
    let new = if arguments.with_token {
        New::Document(read_document()?)
    } else if arguments.device {
        New::Login(with_code(config, patience).await?)
    } else {
        New::Login(with_browser(config, arguments, patience).await?)
    };
    let login = match &new {
        New::Login(new) => new.login(),
        New::Document(document) => document.login().clone(),
    };
    if let Some(old) = old.filter(|old| is_another(old, &login) && !arguments.yes)
        && !confirmed(&old, &login, arguments.with_token)
    {
        if let New::Login(new) = &new {
            store.discard(new).await;
        }
        let message = format!(
            "{} is already signed in and was kept; use --yes to replace it",
            described(&old)
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    match &new {
        New::Login(new) => store.save(new).await?,
        New::Document(document) => store.save_document(document).await?,
    }
    let shared = match store.location().keeper {
        LoginStore::Codex => ", shared with the Codex CLI",
        LoginStore::Own => "",
    };
    say(&format!(
        "Signed in as {} (in {}{shared}).",
        described(&login),
        store.location().path.display()
    ));
    Ok(())
}

async fn with_browser(
    config: &Config,
    arguments: &Arguments,
    patience: Duration,
) -> Result<NewLogin, Failure> {
    let ports = arguments.port.map_or_else(|| PORTS.to_vec(), |port| vec![port]);
    let browser = Browser::start(issuer(config)?, &ports).await?;
    let address = browser.address();
    let opened = !arguments.no_browser && {
        let address = address.clone();
        // Some launchers wait for the browser.
        let opening = tokio::task::spawn_blocking(move || webbrowser::open(address.as_str()));
        matches!(opening.await, Ok(Ok(())))
    };
    let open = if opened { "If your browser did not open, open" } else { "Open" };
    say(&format!("{open} this address to sign in:\n\n  {address}\n"));
    if !opened && !arguments.no_browser {
        say("On a machine without a browser use: codex-proxy login --device\n");
    }
    Ok(browser.finish(patience).await?)
}

async fn with_code(config: &Config, patience: Duration) -> Result<NewLogin, Failure> {
    let device = Device::start(issuer(config)?).await?;
    say(&format!(
        "Open {} on any machine and enter this code (valid for 15 minutes; never share it):\n\n  \
         {}\n",
        device.address(),
        device.user_code()
    ));
    Ok(device.finish(patience).await?)
}

fn read_document() -> Result<NewDocument, Failure> {
    let mut content = Vec::with_capacity(64 << 10);
    let read = io::stdin().lock().take(MAX_KEY).read_to_end(&mut content);
    let content = SecretSlice::from(content);
    read.map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot read standard input: {error}"))
    })?;
    Ok(NewDocument::new(content)?)
}

/// Whether both are known and differ.
fn is_another(old: &Login, new: &Login) -> bool {
    old.account_id.is_some() && new.account_id.is_some() && old.account_id != new.account_id
}

/// Whether the person agrees. Where nobody can be asked, nobody does.
fn confirmed(old: &Login, new: &Login, stdin_is_used: bool) -> bool {
    if stdin_is_used || !io::stdin().is_terminal() {
        return false;
    }
    let (old, new) = (described(old), described(new));
    output::say(&format!("{old} is signed in. Replace it with {new}? [y/N] "));
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).is_ok()
        && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

fn described(login: &Login) -> String {
    let summary = Summary::from(login);
    let email = summary.email.unwrap_or_else(|| "an account without an e-mail address".to_owned());
    let described = match summary.plan {
        Some(plan) => format!("{email}, plan {plan}"),
        None => email,
    };
    printable_line(&described).into_owned()
}

fn say(text: &str) {
    output::say(&format!("{text}\n"));
}
