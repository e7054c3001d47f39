//! The simulated backend and its sign-in service, in the process of the test.

use codex_proxy::simulator::Simulator;
use tokio::net::TcpListener;

/// Both on one port, and the address. The backend is at `/backend-api/codex`.
pub async fn simulator() -> (Simulator, String) {
    let simulator = Simulator::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(simulator.clone().serve(listener, std::future::pending()));
    (simulator, base)
}
