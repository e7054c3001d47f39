//! Getting a new login from the sign-in service: in a browser on this machine ([`Browser`]), or
//! with a code that is typed in on another one ([`Device`]).

mod browser;
mod device;
mod pages;
mod proof;

use std::time::Duration;

use secrecy::SecretString;

use super::issuer::{self, Issuer};
use super::save::NewLogin;

pub use self::browser::{Browser, PORTS};
pub use self::device::Device;

/// Why a sign-in came to nothing. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The service did not do its part.
    #[error("{0}")]
    Issuer(#[from] issuer::Error),
    /// The ports that the service sends browsers back to are not free.
    #[error(
        "cannot listen on 127.0.0.1:{} ({source}), where the sign-in page sends the browser; \
         stop the program that uses the port (another sign-in?), or use --device",
        ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ")
    )]
    PortTaken {
        /// The ports.
        ports: Vec<u16>,
        /// What the system says about the last of them.
        source: std::io::Error,
    },
    /// The person declined, or may not sign in.
    #[error("the sign-in was declined: {message}; run `codex-proxy login` to try again")]
    Denied {
        /// What the service says.
        message: String,
    },
    /// The account may not use Codex.
    #[error(
        "this account may not use Codex (missing_codex_entitlement): choose another workspace or \
         plan, or ask the workspace's administrator"
    )]
    NoEntitlement,
    /// The browser came back from a sign-in that was not begun here.
    #[error(
        "the browser returned a wrong state: the answer belongs to another sign-in; run \
         `codex-proxy login` again and use only the newest page"
    )]
    WrongState,
    /// The browser came back with nothing.
    #[error("the browser returned without a code; run `codex-proxy login` again")]
    NoCode,
    /// Another sign-in on this machine took over.
    #[error("another sign-in on this machine cancelled this one")]
    Cancelled,
    /// Nobody finished it.
    #[error(
        "the sign-in was not finished within {} minutes; run it again",
        after.as_secs().div_ceil(60)
    )]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// The device flow is switched off.
    #[error(
        "the sign-in service has currently disabled device codes; sign in with a browser, or \
         copy auth.json from another machine: `codex-proxy login --with-token < auth.json`"
    )]
    DeviceFlowOff,
    /// No randomness.
    #[error("the system provides no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Redeems the code that a sign-in ended with.
async fn redeem(
    issuer: &Issuer,
    code: &SecretString,
    verifier: &SecretString,
    redirect_uri: &str,
) -> Result<NewLogin, Error> {
    let tokens = issuer.exchange(code, verifier, redirect_uri).await?;
    // The Codex CLI asks for it too, and few accounts get one.
    let api_key = match &tokens.id_token {
        Some(id_token) => issuer.api_key(id_token).await.ok(),
        None => None,
    };
    Ok(NewLogin { tokens, api_key })
}
