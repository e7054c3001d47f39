//! CORS headers, so that pages of the allowed origins can read answers.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowHeaders, AllowOrigin, AllowPrivateNetwork, CorsLayer};

use crate::upstream::RATE_LIMITS;

/// The headers of answers that pages may read, besides those that they always may.
const EXPOSED: [HeaderName; 10] = [
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("retry-after"),
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("x-should-retry"),
    HeaderName::from_static("x-codex-proxy-dropped"),
    HeaderName::from_static("x-codex-proxy-emulated"),
    HeaderName::from_static("x-codex-proxy-simulated"),
    HeaderName::from_static("x-codex-proxy-upstream-model"),
    HeaderName::from_static("x-codex-proxy-upstream-request-id"),
];

/// How long browsers may cache a preflight; none caches it for longer.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The layer for these origins; `None` if there are none, so that no answer has CORS headers.
pub(super) fn layer(origins: &[HeaderValue]) -> Option<CorsLayer> {
    if origins.is_empty() {
        return None;
    }
    let allowed = origins.to_vec();
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins.iter().cloned()))
        .allow_methods([Method::GET, Method::POST, Method::OPTIONS])
        // The SDKs send their own headers, more with every version.
        .allow_headers(AllowHeaders::mirror_request())
        .allow_private_network(AllowPrivateNetwork::predicate(move |origin, _| {
            allowed.contains(origin)
        }))
        .expose_headers([&EXPOSED[..], &RATE_LIMITS].concat())
        .max_age(MAX_AGE);
    Some(layer)
}
