//! The commands that run until they are told to stop.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::exit::{Exit, Failure};
use crate::config::{Config, Listen, Mode};
use crate::credentials::{Issuer, Location, Login, Store, api_key};
use crate::platform::Platform;
use crate::server::{self, Account, App};
use crate::simulator::Simulator;
use crate::telemetry::{self, Banner};
use crate::upstream::{Client, Logins, http_client};

/// Who answers the daemon's calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The Codex backend.
    Codex,
    /// The simulated one, in this process.
    Simulated,
}

/// Runs the daemon.
pub(super) fn serve(config: Config, backend: Backend) -> Result<(), Failure> {
    runtime()?.block_on(serve_until_stopped(config, backend))
}

/// Runs the simulated backend.
pub(super) fn simulate(address: SocketAddr) -> Result<(), Failure> {
    runtime()?.block_on(simulate_until_stopped(address))
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot start the runtime: {error}")))
}

async fn serve_until_stopped(mut config: Config, backend: Backend) -> Result<(), Failure> {
    let Listen::Tcp(address) = config.server.listen else {
        return Err(Failure::new(Exit::Config, "Unix sockets are not supported yet"));
    };
    let listener = bind(address, "change `[server] listen` or use --listen").await?;
    let address = local_address(&listener)?;
    let (logins, account): (Arc<dyn Logins>, Account) = match (backend, &config.upstream.mode) {
        (Backend::Codex, Mode::ApiKey { variable, file }) => {
            let (value, auth) = (std::env::var_os(variable), Location::of(&config.auth).path);
            let login = api_key(variable, value, file.as_deref(), &auth)
                .map_err(|error| Failure::new(Exit::NotSignedIn, error))?;
            (Arc::new(login), Account::ApiKey)
        }
        (Backend::Codex, Mode::ChatGpt) => {
            let store = Arc::new(store(&config, Location::of(&config.auth))?);
            (store.clone(), Account::SignedIn(store))
        }
        (Backend::Simulated, _) => {
            config.upstream.base_url = start_simulator().await?;
            // Nothing of a real login is read, not even the list of models beside it.
            config.auth.codex_home = PathBuf::new();
            (Arc::new(Arc::new(simulated_login())), Account::Simulated)
        }
    };
    let client =
        Client::new(&config.upstream, logins).map_err(|error| Failure::new(Exit::Config, error))?;
    let login = account.summary();
    let signed_in = account.clone();
    let simulated = account.is_simulated();
    let needs_key = config.server.needs_key();
    let router = App::new(config, client, account)?.router();
    telemetry::banner(&Banner { address, login: &login, simulated, needs_key });
    server::serve(listener, router, stopped()).await;
    if let Account::SignedIn(store) = signed_in {
        store.settle().await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// A client of the sign-in service of the settings.
pub(super) fn issuer(config: &Config) -> Result<Issuer, Failure> {
    let Config { upstream, auth, .. } = config;
    let http =
        http_client(upstream, &auth.issuer).map_err(|error| Failure::new(Exit::Config, error))?;
    Ok(Issuer::new(http, &auth.issuer, &upstream.originator, &upstream.user_agent))
}

/// The login at a place, renewed by the sign-in service of the settings.
pub(super) fn store(config: &Config, location: Location) -> Result<Store, Failure> {
    Ok(Store::new(location, issuer(config)?))
}

async fn simulate_until_stopped(address: SocketAddr) -> Result<(), Failure> {
    let listener = bind(address, "use --listen with another address").await?;
    let address = local_address(&listener)?;
    tracing::info!(%address, "the simulated Codex backend is listening: its answers are made up");
    Simulator::default()
        .serve(listener, stopped())
        .await
        .map_err(|error| Failure::new(Exit::Internal, error))
}

/// Starts the simulated backend within this process and gives its address.
async fn start_simulator() -> Result<reqwest::Url, Failure> {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "try again").await?;
    let address = local_address(&listener)?;
    tokio::spawn(Simulator::default().serve(listener, std::future::pending()));
    reqwest::Url::parse(&format!("http://{address}/backend-api/codex"))
        .map_err(|error| Failure::new(Exit::Internal, error))
}

/// The simulated backend takes any login.
fn simulated_login() -> Login {
    Login {
        platform: Platform::Codex,
        access_token: "simulated".into(),
        account_id: Some("simulated".to_owned()),
        plan: None,
        email: None,
        fedramp: false,
        expires_at: None,
    }
}

async fn bind(address: SocketAddr, advice: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Exit::Unavailable, format!("cannot listen on {address}: {error}; {advice}"))
    })
}

fn local_address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    listener.local_addr().map_err(|error| Failure::new(Exit::Internal, error))
}

/// Ready once the process is told to stop.
async fn stopped() {
    let interrupted = async {
        // Without the signal there is nothing to wait for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    tokio::select! {
        () = interrupted => {}
        () = terminated => {}
    }
}
