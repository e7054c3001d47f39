//! The commands that run until a signal stops them.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::exit::{Exit, Failure};
use super::notify;
use super::signals::Signals;
use crate::capture;
use crate::config::{self, Billing, Config};
use crate::credentials::{Issuer, Location, Login, Store, api_key};
use crate::platform::Platform;
use crate::server::{self, Account, App, BindError, Limits, Listener, WorkerPool};
use crate::simulator::{Replay, Settings, Simulator};
use crate::telemetry::{self, Banner};
use crate::upstream::{Client, CredentialProvider, Tls, http_client_over};

/// The backend of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// The Codex backend.
    Codex,
    /// The simulated one, in this process.
    Simulated {
        /// The capture that it answers from.
        replay: Option<PathBuf>,
    },
}

/// Runs the daemon.
pub(super) fn serve(config: Config, backend: Backend) -> Result<(), Failure> {
    let listening = listening(&config.server)?;
    run(serve_until_stopped(listening, config, backend))
}

/// What is listened on, once there is a runtime. Sockets that a service manager hands over go before
/// the address of the settings; they are taken now, while there are no other threads.
fn listening(
    server: &config::Server,
) -> Result<BoxFuture<'static, Result<Listener, BindError>>, BindError> {
    #[cfg(unix)]
    if let Some(handed) = server::InheritedListener::take(server.needs_key())? {
        return Ok(async { Listener::inherit(handed) }.boxed());
    }
    let listen = server.listen.clone();
    Ok(async move { Listener::bind(&listen).await }.boxed())
}

/// Runs the simulated backend.
pub(super) fn simulate(address: SocketAddr) -> Result<(), Failure> {
    run(simulate_until_stopped(address))
}

fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let result = runtime.block_on(command);
    // What still waits for the system, such as for a name to be looked up, is not waited for.
    runtime.shutdown_background();
    result
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    // The daemon has further threads of its own; see `server::WorkerPool`.
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot start the runtime: {error}")))
}

async fn serve_until_stopped(
    listening: impl Future<Output = Result<Listener, BindError>>,
    mut config: Config,
    backend: Backend,
) -> Result<(), Failure> {
    let simulator = match &backend {
        Backend::Codex => None,
        Backend::Simulated { replay } => Some(simulator(replay.as_deref())?),
    };
    // Signals are handled from here on, before the daemon becomes visible.
    let mut signals = install_signals()?;
    server::raise_descriptor_limit(config.server.max_connections);
    let listener = listening.await?;
    let places = listener.places().map_err(|error| Failure::new(Exit::Internal, error))?;
    let tls = tls()?;
    let (logins, account): (Arc<dyn CredentialProvider>, Account) =
        match (simulator, &config.upstream.mode) {
            (None, Billing::ApiKey { variable, file }) => {
                let (value, auth) = (std::env::var_os(variable), Location::of(&config.auth).path);
                let login = api_key(variable, value, file.as_deref(), &auth)
                    .map_err(|error| Failure::new(Exit::NotSignedIn, error))?;
                (Arc::new(login), Account::ApiKey)
            }
            (None, Billing::ChatGpt) => {
                let issuer = issuer_over(&config, &tls)?;
                let store = Arc::new(Store::new(Location::of(&config.auth), issuer));
                (store.clone(), Account::SignedIn(store))
            }
            (Some(simulator), _) => {
                config.upstream.base_url = start_simulator(simulator).await?;
                // Nothing of a real login is read, not even the list of models beside it.
                config.auth.codex_home = PathBuf::new();
                (Arc::new(Arc::new(simulated_login())), Account::Simulated)
            }
        };
    let client = Client::over(&config.upstream, logins, tls)
        .map_err(|error| Failure::new(Exit::Config, error))?;
    let login = account.summary().await;
    let signed_in = account.clone();
    let simulated = account.is_simulated();
    let limits = limits(&config.server);
    let needs_key = config.server.needs_key();
    let app = App::new(config, client, account)?;
    for address in &places {
        telemetry::banner(&Banner { address, login: &login, simulated, needs_key });
    }
    let beside = app.clone();
    let mut workers = WorkerPool::new(WorkerPool::sensible(), move || beside.for_worker().router());
    notify::watchdog(workers.threads());
    notify::ready(&places);
    app.prefetch().await;
    let served = signals
        .stop(|stop| {
            let stop = stop.inspect(|()| notify::stopping(limits.drain + limits.farewell));
            server::serve_on(&mut workers, listener, app.router(), limits, stop)
        })
        .await;
    if served.is_none() {
        tracing::warn!("second signal: exiting immediately");
    }
    if let Account::SignedIn(store) = signed_in {
        settle(&store).await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn limits(server: &config::Server) -> Limits {
    Limits {
        connections: server.max_connections,
        body_total: server.body_timeout,
        send: server.send_timeout,
        drain: server.shutdown,
        ..Limits::default()
    }
}

/// Waits for a login renewal in progress, regardless of signals: interrupting it can require a new
/// sign-in.
async fn settle(store: &Store) {
    let mut settling = std::pin::pin!(store.settle());
    if settling.as_mut().now_or_never().is_none() {
        tracing::info!("waiting for the login renewal to finish, so that the login is not lost");
        settling.await;
    }
}

/// Does what may renew the login, in a command that ends by itself. Neither a signal nor the end of
/// the command cuts a renewal off; a signal ends the process when that is over.
pub(super) async fn keeping_renewals<T>(
    store: &Store,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut signals = install_signals()?;
    let done = tokio::select! {
        done = work => Some(done),
        () = signals.next() => None,
    };
    settle(store).await;
    // From here on a signal would have no effect, as it has been taken.
    done.ok_or_else(|| std::process::exit(Exit::Interrupted as i32))
}

fn install_signals() -> Result<Signals, Failure> {
    Signals::install().map_err(|error| {
        Failure::new(Exit::Internal, format!("cannot listen for signals: {error}"))
    })
}

/// The trusted certificates of this process's clients.
fn tls() -> Result<Tls, Failure> {
    Tls::of_environment().map_err(|error| Failure::new(Exit::Config, error))
}

/// A client of the sign-in service of the settings.
pub(super) fn issuer(config: &Config) -> Result<Issuer, Failure> {
    issuer_over(config, &tls()?)
}

fn issuer_over(config: &Config, tls: &Tls) -> Result<Issuer, Failure> {
    let Config { upstream, auth, .. } = config;
    let http = http_client_over(upstream, &auth.issuer, tls)
        .map_err(|error| Failure::new(Exit::Config, error))?;
    Ok(Issuer::new(http, &auth.issuer, &upstream.originator, &upstream.user_agent))
}

/// The login at a place, renewed by the sign-in service of the settings.
pub(super) fn store(config: &Config, location: Location) -> Result<Store, Failure> {
    Ok(Store::new(location, issuer(config)?))
}

async fn simulate_until_stopped(address: SocketAddr) -> Result<(), Failure> {
    let mut signals = install_signals()?;
    let listener = bind(address, "use --listen with another address").await?;
    let address = local_address(&listener)?;
    tracing::info!(%address, "the simulated Codex backend is listening: its answers are not real");
    let served = signals.stop(|stop| Simulator::default().serve(listener, stop)).await;
    served.unwrap_or(Ok(())).map_err(|error| Failure::new(Exit::Internal, error))
}

/// The simulated backend, which answers from a capture if there is one.
fn simulator(replay: Option<&Path>) -> Result<Simulator, Failure> {
    let Some(file) = replay else { return Ok(Simulator::default()) };
    let exchanges = capture::read(file).map_err(|error| Failure::new(Exit::Usage, error))?;
    let replay = Replay::new(exchanges).ok_or_else(|| {
        let file = file.display();
        Failure::new(Exit::Usage, format!("no exchange in {file} contains an answer of a backend"))
    })?;
    Ok(Simulator::new(Settings { replay: Some(Arc::new(replay)), ..Settings::default() }))
}

/// Starts the simulated backend within this process and gives its address.
async fn start_simulator(simulator: Simulator) -> Result<reqwest::Url, Failure> {
    let listener = bind((Ipv4Addr::LOCALHOST, 0).into(), "try again").await?;
    let address = local_address(&listener)?;
    tokio::spawn(simulator.serve(listener, std::future::pending()));
    reqwest::Url::parse(&format!("http://{address}/backend-api/codex"))
        .map_err(|error| Failure::new(Exit::Internal, error))
}

/// The simulated backend takes any login.
fn simulated_login() -> Login {
    Login {
        platform: Platform::Codex,
        account_id: Some("simulated".to_owned()),
        ..Login::api_key("simulated".into())
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
