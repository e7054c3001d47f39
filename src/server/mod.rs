//! The daemon: routes, streaming bodies, error objects.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the application and its routes |
//! | `chat/` | `POST /v1/chat/completions` |
//! | `models.rs`, `health.rs`, `capture.rs` | the other endpoints |
//! | `page/` | the page at `/` |
//! | `error.rs` | the one place where failures become OpenAI error objects |
//! | `middleware.rs` | the middleware of every request |
//! | `paths.rs` | normalization of request paths |
//! | `guard/` | access control |
//! | `body.rs` | the body of a request, within limits |
//! | `budget.rs` | the memory budget shared by bodies and answers |
//! | `listen/` | connections, from accept to shutdown |
//! | `peer_info.rs` | what is known of a request's connection |
//! | `record.rs` | what is logged and counted of a model request when it ends |
//! | `metrics.rs` | the endpoints for activity and metrics |
//! | `usage.rs` | the limits of the plan |

mod body;
mod budget;
mod capture;
mod chat;
pub mod error;
mod guard;
mod health;
mod listen;
mod metrics;
mod middleware;
mod models;
mod page;
mod paths;
mod peer_info;
mod record;
mod usage;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::http::header::HOST;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::capture::{Capture, Secrets};
use crate::config::Config;
use crate::conversation::TurnMemory;
use crate::credentials::{Renewals, Summary};
use crate::excerpt::excerpt;
use crate::metrics::Metrics;
use crate::models::Catalogue;
use crate::platform::Platform;
use crate::upstream;
use budget::Budget;
use error::ApiError;
use guard::Guard;
use middleware::Middleware;
use paths::Target;
use usage::UsageRefresher;

pub use guard::{GuardError, KeyFileError};
#[cfg(unix)]
pub use listen::InheritedListener;
pub use listen::{
    BindError, Limits, Listener, Threads, WorkerPool, raise_descriptor_limit, serve, serve_on,
};
pub use peer_info::PeerInfo;

/// The state shared by all requests, and the client for their calls. Clones are cheap.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>, upstream::Client);

#[derive(Debug)]
struct Shared {
    config: Config,
    guard: Arc<Guard>,
    upstream: upstream::Client,
    catalogue: Catalogue,
    account: Account,
    /// `None` if turns are not remembered.
    memory: Option<TurnMemory>,
    metrics: Metrics,
    inquiry: UsageRefresher,
    capture: Capture,
    budget: Budget,
}

/// Whose plan answers.
#[derive(Clone)]
pub enum Account {
    /// None: the backend is simulated.
    Simulated,
    /// An API key of the OpenAI platform, which is read once.
    ApiKey,
    /// The account that is signed in, looked up each time.
    SignedIn(Arc<crate::credentials::Store>),
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Simulated => "Simulated",
            Self::ApiKey => "ApiKey",
            Self::SignedIn(_) => "SignedIn",
        })
    }
}

impl Account {
    /// What may be shown of the account.
    pub async fn summary(&self) -> Summary {
        match self {
            Self::Simulated => Summary::default(),
            Self::ApiKey => Summary { signed_in: true, ..Summary::default() },
            Self::SignedIn(store) => store.summary().await,
        }
    }

    /// Whether the backend can be called at once, and a prefetch is useful.
    async fn is_ready(&self) -> bool {
        match self {
            Self::Simulated => false,
            Self::ApiKey => true,
            // A login that must be renewed first is left to a request.
            Self::SignedIn(store) => store.is_fresh().await,
        }
    }

    /// How often the login was renewed.
    fn renewals(&self) -> Renewals {
        match self {
            Self::Simulated | Self::ApiKey => Renewals::default(),
            Self::SignedIn(store) => store.renewals(),
        }
    }

    /// The account's values that are never written to a capture, besides those recognized as
    /// secrets.
    async fn secrets(&self) -> Secrets {
        use secrecy::ExposeSecret as _;

        let Self::SignedIn(store) = self else { return Secrets::default() };
        let Ok(login) = store.login().await else { return Secrets::default() };
        Secrets::default()
            .with(Some(login.access_token.expose_secret()), "token")
            .with(login.account_id.as_deref(), "account id")
            .with(login.email.as_deref(), "e-mail address")
    }

    /// Which API answers.
    pub async fn platform(&self) -> Platform {
        match self {
            Self::Simulated => Platform::Codex,
            Self::ApiKey => Platform::OpenAiApi,
            Self::SignedIn(store) => store.platform().await,
        }
    }

    /// Whether the backend is simulated.
    pub fn is_simulated(&self) -> bool {
        matches!(self, Self::Simulated)
    }
}

impl App {
    /// The application over a client of the backend. Fails if the key file is invalid.
    pub fn new(
        mut config: Config,
        upstream: upstream::Client,
        account: Account,
    ) -> Result<Self, KeyFileError> {
        let guard = Arc::new(Guard::new(&config.server)?);
        // Only the guard needs them, as digests.
        config.server.api_keys.clear();
        let fetching = upstream.clone();
        let catalogue = Catalogue::new(&config.auth.codex_home, move || {
            let upstream = fetching.clone();
            // It is only logged.
            async move { upstream.models().await.map_err(|failure| failure.log_reason()) }
        });
        let memory = {
            let crate::config::Continuity { enabled, max_bytes, ttl } = config.continuity;
            enabled.then(|| TurnMemory::new(max_bytes, ttl))
        };
        let budget = Budget::new(config.server.max_body_total_bytes);
        let (figures, inquiry) = (Metrics::new(), UsageRefresher::default());
        let calls = upstream.clone();
        let shared = Arc::new(Shared {
            config,
            guard,
            upstream,
            catalogue,
            account,
            memory,
            metrics: figures,
            inquiry,
            capture: Capture::default(),
            budget,
        });
        Ok(Self(shared, calls))
    }

    /// The same application for another thread, with its own connections for calls.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self(Arc::clone(&self.0), self.1.for_worker())
    }

    /// Prefetches, if enabled, what the first request needs: the list of models, and thereby an
    /// open connection. Does not wait for it.
    pub async fn prefetch(&self) {
        if self.may_prefetch().await {
            self.0.catalogue.prepare();
        }
    }

    async fn may_prefetch(&self) -> bool {
        let Shared { config, catalogue, account, .. } = &*self.0;
        config.upstream.prewarm && !catalogue.is_fresh() && account.is_ready().await
    }

    /// The API's index. Other prefixes than `/v1` were normalized before, see `paths.rs`.
    pub fn router(self) -> Router {
        let api = Router::new()
            .route("/chat/completions", post(chat::complete))
            .route("/models", get(models::list))
            .route("/models/{*id}", get(models::retrieve))
            .route("/usage", get(usage::usage))
            .route("/activity", get(metrics::activity));
        let (guard, figures) = (Arc::clone(&self.0.guard), self.0.metrics.clone());
        let is_simulated = self.0.account.is_simulated();
        let routes = Router::new()
            .nest("/v1", api)
            .route("/health", get(health::health))
            .route("/v1/capture", get(capture::status).post(capture::switch))
            .route("/metrics", get(metrics::metrics))
            .merge(page::routes())
            .fallback(not_found)
            .method_not_allowed_fallback(not_allowed)
            .with_state(self)
            // A panic fails only its request.
            .layer(CatchPanicLayer::custom(panicked))
            // A layer of the router runs after routing.
            .layer(MapRequestLayer::new(metrics::note_endpoint));
        Router::new().fallback_service(Middleware::new(guard, figures, is_simulated, routes))
    }
}

async fn not_found(method: Method, uri: Uri, headers: HeaderMap) -> ApiError {
    let endpoint = paths::endpoint(uri.path());
    let hint = match endpoint.as_str() {
        "/responses" => " Use POST /v1/chat/completions; in the SDK, `chat.completions.create`.",
        "/completions" => " Use POST /v1/chat/completions; text completion is not offered.",
        "/embeddings" | "/moderations" | "/files" | "/batches" => {
            " The backend has no such endpoint."
        }
        other if other.starts_with("/audio") || other.starts_with("/images") => {
            " The backend has no such endpoint."
        }
        _ => "",
    };
    let base_url = match paths::target(uri.path()) {
        Target::Misplaced => format!(" {}", base_url_hint(&headers)),
        Target::Path(_) => String::new(),
    };
    let path = excerpt(uri.path());
    let method = excerpt(method.as_str());
    ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        format!("Invalid URL ({method} {path}).{hint}{base_url}"),
    )
}

/// The base URL that the client should use, with its Host, which was checked.
fn base_url_hint(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let is_behind_tls = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let scheme = if is_behind_tls { "https" } else { "http" };
    format!("Set the client's base URL to {scheme}://{host}/v1.")
}

async fn not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        format!("Not allowed to {} on {}.", excerpt(method.as_str()), excerpt(uri.path())),
    )
    .code("method_not_supported")
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    tracing::error!("a request handler panicked; this is a bug in codex-proxy");
    ApiError::internal("a request handler panicked").into_response()
}
