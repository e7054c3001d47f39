//! `/v1/capture`: starting and stopping a capture, and recording a request while it is on.
//!
//! Only programs on this machine may control it, and only those of the daemon's own user, which
//! prove that with a secret in a file of that user, see [`capture`](crate::capture).

use std::convert::Infallible;

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::header::{FORWARDED, HeaderName, ORIGIN, VIA};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::App;
use super::body::BodyBytes;
use super::error::ApiError;
use super::peer_info::PeerInfo;
use crate::capture::{Proof, Recording, StartError, StartOptions, Status};

/// Headers added by proxies, besides all that begin with [`FORWARDED_PREFIX`].
const PASSED_ON: [HeaderName; 17] = [
    FORWARDED,
    VIA,
    HeaderName::from_static("cdn-loop"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("cf-ray"),
    HeaderName::from_static("client-ip"),
    HeaderName::from_static("fastly-client-ip"),
    HeaderName::from_static("fly-client-ip"),
    HeaderName::from_static("ngrok-auth-user-email"),
    HeaderName::from_static("tailscale-user-login"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("x-client-ip"),
    HeaderName::from_static("x-cluster-client-ip"),
    HeaderName::from_static("x-envoy-external-address"),
    HeaderName::from_static("x-original-forwarded-for"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-real-ip"),
];

/// `x-forwarded-for`, `-host`, `-proto`, `-port`, `-server`, and similar ones.
const FORWARDED_PREFIX: &str = "x-forwarded";

fn is_passed_on(headers: &HeaderMap) -> bool {
    headers
        .keys()
        .any(|name| name.as_str().starts_with(FORWARDED_PREFIX) || PASSED_ON.contains(name))
}

/// The body of a `POST`.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
enum CaptureRequest {
    On(StartOptions),
    Off(Proof),
}

/// `GET`: the status.
pub(super) async fn status(_: Local, State(app): State<App>) -> Json<Status> {
    Json(app.0.capture.status())
}

/// `POST`: on or off.
pub(super) async fn switch(
    _: Local,
    State(app): State<App>,
    body: Result<BodyBytes, ApiError>,
) -> Result<Json<Status>, ApiError> {
    let request: CaptureRequest = serde_json::from_slice(&body?.0)
        .map_err(|error| ApiError::invalid_request(format!("Invalid capture request: {error}.")))?;
    let capture = app.0.capture.clone();
    // It opens a file, which may block.
    let turned = tokio::task::spawn_blocking(move || match request {
        CaptureRequest::Off(proof) => capture.stop_by(&proof).map_err(StartError::from),
        CaptureRequest::On(wanted) => capture.start(&wanted),
    });
    let status = turned.await.map_err(ApiError::internal)?;
    status.map(Json).map_err(|error| {
        let (status, code) = match &error {
            StartError::AlreadyOn { .. } => (StatusCode::CONFLICT, "capture_already_on"),
            StartError::Limits | StartError::File(_) => {
                (StatusCode::BAD_REQUEST, "capture_not_possible")
            }
            StartError::Unwritable(_) | StartError::Thread(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "capture_not_possible")
            }
        };
        ApiError::new(status, "invalid_request_error", error.to_string()).code(code)
    })
}

/// Extractor: the request comes from a program on this machine, not from a page or through a proxy.
pub(super) struct Local;

impl<S: Sync> FromRequestParts<S> for Local {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let is_passed_on = is_passed_on(&parts.headers);
        if is_near(parts.extensions.get()) && !is_passed_on && !is_page(parts) {
            return Ok(Self);
        }
        let message = "Only programs on the daemon's own machine may control captures: use \
                       `codex-proxy capture` there.";
        Err(ApiError::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
            .code("not_on_this_machine"))
    }
}

fn is_near(arrival: Option<&PeerInfo>) -> bool {
    match arrival {
        None => false,
        Some(PeerInfo::Unix) => true,
        Some(PeerInfo::Tcp { local, peer }) => {
            let (local, peer) = (local.ip().to_canonical(), peer.ip().to_canonical());
            peer.is_loopback() || peer == local
        }
    }
}

/// Pages of allowed origins may use the API, but not this endpoint.
fn is_page(parts: &Parts) -> bool {
    parts.headers.contains_key(ORIGIN) || parts.headers.contains_key("sec-fetch-site")
}

/// The recording of the request; `None` while capture is off.
pub(super) struct CaptureHandle(pub(super) Option<Recording>);

impl FromRequestParts<App> for CaptureHandle {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let capture = &app.0.capture;
        if !capture.is_on() {
            return Ok(Self(None));
        }
        let recording = capture.begin(app.0.account.secrets().await);
        if let Some(recording) = &recording {
            recording.head(&parts.headers);
        }
        Ok(Self(recording))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    /// Over what a request came, with what headers, and whether it may.
    type Case<'c> = (Option<PeerInfo>, &'c [(&'c str, &'c str)], bool);

    #[tokio::test]
    async fn only_programs_of_this_machine_are_near() {
        let tcp = |local: &str, peer: &str| {
            let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
            Some(PeerInfo::Tcp { local, peer })
        };
        let near = tcp("127.0.0.1:1", "127.0.0.1:2");
        let cases: [Case<'_>; 16] = [
            (near, &[], true),
            (near, &[("authorization", "Bearer k")], true),
            (Some(PeerInfo::Unix), &[], true),
            (tcp("[::1]:1", "[::1]:2"), &[], true),
            (tcp("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:2"), &[], true),
            (tcp("192.168.1.5:1", "192.168.1.5:2"), &[], true),
            (tcp("192.168.1.5:1", "192.168.1.6:2"), &[], false),
            (tcp("[::1]:1", "[fd00::7]:2"), &[], false),
            (None, &[], false),
            (near, &[("x-forwarded-for", "10.0.0.1")], false),
            (near, &[("x-forwarded-proto", "https")], false),
            (near, &[("X-Forwarded-Port", "443")], false),
            (near, &[("true-client-ip", "10.0.0.1")], false),
            (near, &[("cdn-loop", "cloudflare")], false),
            (near, &[("origin", "app://obsidian.md")], false),
            (near, &[("sec-fetch-site", "same-origin")], false),
        ];
        for (arrival, headers, expected) in cases {
            let mut request = Request::builder();
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(arrival) = arrival {
                request = request.extension(arrival);
            }
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let local = Local::from_request_parts(&mut parts, &()).await;
            assert_eq!(local.is_ok(), expected, "{arrival:?} {headers:?}");
        }
    }
}
