//! `GET /health`: whether the daemon runs, without asking the backend.

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;

use super::App;
use super::guard::Caller;
use crate::capture::Status;

/// The answer.
#[derive(Serialize)]
pub(super) struct Health {
    status: &'static str,
    /// Nothing for strangers.
    #[serde(flatten)]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    version: &'static str,
    /// Whether there is a login to use; the backend decides whether it is good.
    credentials: bool,
    simulated: bool,
    /// Why the login is of no more use, and what to do, if that has been found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    login_error: Option<String>,
    /// Content is being written, where, and until when; nothing if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    capture: Option<Status>,
}

pub(super) async fn health(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
) -> Json<Health> {
    let details = match caller {
        Caller::Anonymous => None,
        Caller::Authenticated => {
            let (simulated, login) = (app.0.account.is_simulated(), app.0.account.summary().await);
            Some(Details {
                version: env!("CARGO_PKG_VERSION"),
                credentials: simulated || login.signed_in,
                simulated,
                login_error: login.ended,
                capture: Some(app.0.capture.status()).filter(|status| *status != Status::Off),
            })
        }
    };
    Json(Health { status: "ok", details })
}
