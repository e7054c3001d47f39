//! The commands that run until they are told to stop.

use std::net::SocketAddr;

use tokio::runtime::{Builder, Runtime};

use super::exit::{Exit, Failure};
use crate::config::Config;

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

fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime
        .map_err(|error| Failure::new(Exit::Internal, format!("cannot start the runtime: {error}")))
}

/// PLACEHOLDER: calls the server once there is one.
#[expect(clippy::unused_async, reason = "the server is asynchronous")]
async fn serve_until_stopped(config: Config, backend: Backend) -> Result<(), Failure> {
    let address = config.server.listen;
    Err(Failure::new(Exit::Internal, format!("cannot serve {backend:?} on {address} yet")))
}

/// PLACEHOLDER: calls the simulator once there is one.
#[expect(clippy::unused_async, reason = "the simulator is asynchronous")]
async fn simulate_until_stopped(address: SocketAddr) -> Result<(), Failure> {
    Err(Failure::new(Exit::Internal, format!("cannot simulate on {address} yet")))
}
