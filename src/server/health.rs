//! `GET /health`: whether the daemon runs, without asking the backend.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::App;

/// The answer.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    version: &'static str,
    /// Whether there is a login to use; the backend decides whether it is good.
    credentials: bool,
    simulated: bool,
}

pub(super) async fn health(State(app): State<App>) -> Json<Health> {
    let simulated = app.0.account.is_simulated();
    Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
        credentials: simulated || app.0.account.summary().signed_in,
        simulated,
    })
}
