//! `codex-proxy logout`

use clap::Args;

use super::exit::{Exit, Failure};
use super::output;
use super::serve::{runtime, store};
use crate::config::{Config, LoginStore};
use crate::credentials::Location;

/// What to sign out.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Also remove a shared login: this signs out the Codex CLI too
    #[arg(long)]
    shared: bool,
}

/// Signs out.
pub(super) fn run(config: &Config, arguments: &Arguments) -> Result<(), Failure> {
    let store = store(config, Location::of(&config.auth))?;
    let path = store.location().path.display().to_string();
    if store.location().keeper == LoginStore::Codex && !arguments.shared {
        let message = format!(
            "the login in {path} is shared with the Codex CLI; use --shared to sign out both"
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let complaint = runtime()?.block_on(store.sign_out())?;
    if let Some(error) = complaint {
        tracing::warn!(%error, "the login was removed here, but the service did not confirm it");
    }
    output::say(&format!("Signed out: {path} was removed.\n"));
    Ok(())
}
