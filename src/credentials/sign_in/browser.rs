//! The flow with a browser on this machine: authorization code with PKCE, ending at a small server
//! on a port that the sign-in service knows.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use reqwest::Url;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::proof::Proof;
use super::{Error, pages, redeem};
use crate::credentials::issuer::{CLIENT_ID, Issuer};
use crate::credentials::save::NewLogin;

/// The ports that the service sends browsers back to, in the Codex CLI's order.
pub const PORTS: [u16; 2] = [1455, 1457];

const SCOPE: &str = "openid profile email offline_access api.connectors.read api.connectors.invoke";

/// How often and how long a sign-in that holds the port is asked to go, as by the Codex CLI.
const CANCEL_TRIES: usize = 10;
const CANCEL_PAUSE: Duration = Duration::from_millis(200);

/// How long the last page may take to reach the browser.
const GOODBYE: Duration = Duration::from_secs(2);

/// A sign-in that waits for the browser.
#[derive(Debug)]
pub struct Browser {
    issuer: Issuer,
    listener: TcpListener,
    redirect_uri: String,
    proof: Proof,
}

/// What the browser brings, and where the page to show it goes.
struct Callback {
    outcome: Result<SecretString, Error>,
    page: oneshot::Sender<Response>,
}

struct CallbackState {
    proof: Proof,
    callbacks: mpsc::Sender<Callback>,
}

impl Browser {
    /// Begins a sign-in: listens on the first of the `ports` that can be had.
    pub async fn start(issuer: Issuer, ports: &[u16]) -> Result<Self, Error> {
        let listener = listen(ports).await?;
        let port = listener
            .local_addr()
            .map_err(|source| Error::PortTaken { ports: ports.to_vec(), source })?
            .port();
        let redirect_uri = format!("http://localhost:{port}/auth/callback");
        Ok(Self { issuer, listener, redirect_uri, proof: Proof::new()? })
    }

    /// The page to open.
    pub fn address(&self) -> Url {
        let mut url = self.issuer.address("/oauth/authorize");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", CLIENT_ID)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("code_challenge", &self.proof.challenge())
            .append_pair("code_challenge_method", "S256")
            .append_pair("id_token_add_organizations", "true")
            .append_pair("codex_cli_simplified_flow", "true")
            .append_pair("state", self.proof.state())
            .append_pair("originator", self.issuer.originator());
        url
    }

    /// Waits for the browser and gets the login.
    pub async fn finish(self, limit: Duration) -> Result<NewLogin, Error> {
        let verifier = self.proof.verifier.clone();
        let (callbacks, mut received) = mpsc::channel(1);
        let state = Arc::new(CallbackState { proof: self.proof, callbacks });
        let router = Router::new()
            .route("/auth/callback", get(callback))
            .route("/cancel", get(cancel))
            .fallback(async || pages::not_found())
            .with_state(state);
        let (stop, stopped) = oneshot::channel::<()>();
        let server = axum::serve(self.listener, router).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let server = tokio::spawn(server.into_future());

        let callback = timeout(limit, received.recv()).await;
        let outcome = match callback {
            Err(_) | Ok(None) => Err(Error::TimedOut { after: limit }),
            Ok(Some(Callback { outcome, page })) => {
                let outcome = match outcome {
                    Ok(code) => redeem(&self.issuer, &code, &verifier, &self.redirect_uri).await,
                    Err(error) => Err(error),
                };
                let _ = page.send(match &outcome {
                    Ok(_) => pages::success(),
                    Err(error) => pages::failure(&error.to_string()),
                });
                outcome
            }
        };
        drop(received);
        drop(stop);
        let _ = timeout(GOODBYE, server).await;
        outcome
    }
}

async fn callback(
    State(state): State<Arc<CallbackState>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    let field = |name: &str| query.get(name).map_or("", String::as_str);
    let outcome = if !state.proof.is_state(field("state")) {
        Err(Error::WrongState)
    } else if !field("error").is_empty() {
        Err(declined(field("error"), field("error_description")))
    } else if field("code").is_empty() {
        Err(Error::NoCode)
    } else {
        Ok(SecretString::from(field("code")))
    };
    deliver(&state, outcome).await
}

async fn cancel(State(state): State<Arc<CallbackState>>) -> Response {
    deliver(&state, Err(Error::Cancelled)).await
}

async fn deliver(state: &CallbackState, outcome: Result<SecretString, Error>) -> Response {
    let (page, answer) = oneshot::channel();
    let over = || pages::failure("This sign-in is over.");
    if state.callbacks.send(Callback { outcome, page }).await.is_err() {
        return over();
    }
    answer.await.unwrap_or_else(|_| over())
}

fn declined(error: &str, description: &str) -> Error {
    if error == "access_denied" && description.contains("missing_codex_entitlement") {
        return Error::NoEntitlement;
    }
    let message = if description.is_empty() { error } else { description };
    let message = message.chars().filter(|c| !c.is_control()).take(300).collect();
    Error::Denied { message }
}

/// Listens on the first port that can be had. A sign-in that holds the first one, ours or the
/// Codex CLI's, is asked to go, since the service may accept no other.
async fn listen(ports: &[u16]) -> Result<TcpListener, Error> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for (index, port) in ports.iter().enumerate() {
        let retries = if index == 0 { CANCEL_TRIES } else { 0 };
        for attempt in 0..=retries {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            match TcpListener::bind(address).await {
                Ok(listener) => return Ok(listener),
                Err(error) => last = error,
            }
            if last.kind() != io::ErrorKind::AddrInUse || attempt == retries {
                break;
            }
            let _ = tokio::task::spawn_blocking(move || ask_to_go(address)).await;
            sleep(CANCEL_PAUSE).await;
        }
    }
    Err(Error::PortTaken { ports: ports.to_vec(), source: last })
}

/// `GET /cancel`; what comes back does not matter.
fn ask_to_go(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, CANCEL_PAUSE)?;
    stream.set_read_timeout(Some(CANCEL_PAUSE))?;
    stream.set_write_timeout(Some(CANCEL_PAUSE))?;
    let request = format!("GET /cancel HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let _ = stream.read(&mut [0; 256])?;
    Ok(())
}
