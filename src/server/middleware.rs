//! The middleware of every request: access control, routing, and metrics.
//!
//! It is one function rather than a layer for each step: each layer costs memory per request, and a
//! call per event of an answer.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use tower::{Layer as _, Service, ServiceExt as _};

use super::guard::{Guard, GuardError, refuse};
use super::not_found;
use super::paths::{self, Target};
use crate::metrics::Metrics;

/// The service in front of the routes. Clones are cheap.
#[derive(Debug, Clone)]
pub(super) struct Middleware(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    guard: Arc<Guard>,
    metrics: Metrics,
    /// Whether answers are marked as simulated.
    is_simulated: bool,
    routes: Router,
}

impl Middleware {
    pub(super) fn new(
        guard: Arc<Guard>,
        metrics: Metrics,
        is_simulated: bool,
        routes: Router,
    ) -> Self {
        Self(Arc::new(Shared { guard, metrics, is_simulated, routes }))
    }

    async fn answer(self, request: Request) -> Response {
        let guard = &self.0.guard;
        let (parts, body) = request.into_parts();
        if let Err(refusal) = guard.check_source(&parts) {
            return self.refuse(refusal);
        }
        // The CORS layer answers preflights, which browsers send without keys, and lets allowed
        // pages read why a request was rejected.
        let cors = guard.cors(&parts);
        let request = Request::from_parts(parts, body);
        match cors {
            None => self.admit(request).await,
            Some(cors) => {
                let inner = tower::service_fn(|request| {
                    self.clone().admit(request).map(Ok::<_, Infallible>)
                });
                cors.layer(inner).oneshot(request).unwrap_or_else(|never| match never {}).await
            }
        }
    }

    /// Turns a request away before it comes to an endpoint.
    fn refuse(&self, error: GuardError) -> Response {
        let response = refuse(error);
        self.0.metrics.refused(response.status());
        response
    }

    async fn admit(self, request: Request) -> Response {
        let Shared { guard, metrics, is_simulated, routes } = &*self.0;
        let (mut parts, body) = request.into_parts();
        match guard.check_caller(&parts) {
            Ok(caller) => parts.extensions.insert(caller),
            Err(refusal) => return self.refuse(refusal),
        };
        let request_metrics = metrics.request();
        parts.extensions.insert(request_metrics.clone());
        let path = match paths::target(parts.uri.path()) {
            Target::Path(Cow::Borrowed(_)) => Some(None),
            Target::Path(Cow::Owned(path)) => Some(Some(path)),
            Target::Misplaced => None,
        };
        let mut response = if let Some(path) = path {
            if let Some(path) = path {
                set_path(&mut parts.uri, &path);
            }
            let answer = routes.clone().oneshot(Request::from_parts(parts, body));
            answer.unwrap_or_else(|never| match never {}).await
        } else {
            not_found(parts.method, parts.uri, parts.headers).await.into_response()
        };
        request_metrics.answered(response.status());
        if *is_simulated {
            let yes = HeaderValue::from_static("true");
            response.headers_mut().insert("x-codex-proxy-simulated", yes);
        }
        response
    }
}

impl Service<Request> for Middleware {
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let answer = self.clone().answer(request);
        async { Ok(answer.await) }.boxed()
    }
}

/// Replaces the path of a URI.
fn set_path(uri: &mut Uri, path: &str) {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // A valid path with its query stays valid without some of its segments.
    if let Ok(changed) = format!("{path}{query}").parse() {
        *uri = changed;
    }
}
