//! The daemon: routes, streaming bodies, error objects.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the application and its routes |
//! | `chat.rs`, `chat/` | `POST /v1/chat/completions` |
//! | `models.rs`, `health.rs`, `capture.rs` | the other endpoints |
//! | `page/` | the page at `/` |
//! | `error.rs` | the one place where failures become OpenAI error objects |
//! | `gate.rs` | the way of every request in and out |
//! | `paths.rs` | what a path means, however it was put together |
//! | `guard/` | who gets in |
//! | `body.rs` | the body of a request, within limits |
//! | `budget.rs` | the memory that bodies and answers may take up together |
//! | `listen/` | connections, from accepting them to letting them end |
//! | `arrival.rs` | what is known of the connection that a request came over |
//! | `record.rs` | what is told of a request to a model when it ends |
//! | `metrics.rs` | what goes on: activity and metrics |
//! | `usage.rs` | what is left of the plan |

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

/// What all requests share, and the client whose connections carry their calls. Clones are cheap.
#[derive(Debug, Clone)]
pub struct App(Arc<Shared>, upstream::Client);

#[derive(Debug)]
struct Shared {
    config: Config,
    guard: Arc<Guard>,
    upstream: upstream::Client,
    catalogue: Catalogue,
    account: Account,
    /// Nothing if turns are not to be remembered.
    memory: Option<TurnMemory>,
    metrics: Metrics,
    inquiry: UsageRefresher,
    capture: Capture,
    budget: Budget,
}

/// Whose plan answers.
#[derive(Clone)]
pub enum Account {
    /// Nobody's: the backend is simulated.
    Simulated,
    /// That of a key of the OpenAI platform, which is read once.
    ApiKey,
    /// The one that is signed in, asked for each time.
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

    /// Whether the backend can be asked at once, and there is something to gain by it.
    async fn is_ready(&self) -> bool {
        match self {
            Self::Simulated => false,
            Self::ApiKey => true,
            // One that has to be renewed first is left to a request.
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

    /// What of the account is never written, besides what says itself that it is secret.
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
    /// The application over a client of the backend. Fails if the keys of those who may ask are in
    /// a file that makes no sense.
    pub fn new(
        mut config: Config,
        upstream: upstream::Client,
        account: Account,
    ) -> Result<Self, KeyFileError> {
        let guard = Arc::new(Guard::new(&config.server)?);
        // The guard has their digests, and nobody else needs them.
        config.server.api_keys.clear();
        let fetching = upstream.clone();
        let catalogue = Catalogue::new(&config.auth.codex_home, move || {
            let upstream = fetching.clone();
            // It is told in the log only.
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

    /// The same application for another thread, with connections of its own for calls.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self(Arc::clone(&self.0), self.1.for_worker())
    }

    /// If it may, fetches what the first request needs: the list of models, and with it an open
    /// connection. Does not wait for that.
    pub async fn prefetch(&self) {
        if self.may_prefetch().await {
            self.0.catalogue.prepare();
        }
    }

    async fn may_prefetch(&self) -> bool {
        let Shared { config, catalogue, account, .. } = &*self.0;
        config.upstream.prewarm && !catalogue.is_fresh() && account.is_ready().await
    }

    /// The API's index. What clients put before an endpoint in other ways than `/v1` is brought
    /// into this form before, see `paths.rs`.
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
            // One panic is one request's failure.
            .layer(CatchPanicLayer::custom(panicked))
            // A layer of the router runs when it has chosen the route.
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

/// The base URL that a client should have been given, by the name that it calls the daemon by. That
/// name was checked.
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
