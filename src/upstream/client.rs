//! The client: calls, the catalogue, and what happens when the login is not accepted.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use reqwest::header::{CONTENT_ENCODING, ETAG, HeaderValue};
use reqwest::{Request, Response, Url};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;
use uuid::Uuid;

use crate::capture::{CallRecording, Recording};
use crate::config;
use crate::credentials::{self, Login, Store};
use crate::limits::{self, Limits, Reporter, Source};
use crate::platform::Platform;

use super::admission::Admission;
use super::body::MAX_ERROR_BODY;
use super::circuit::CircuitBreakerLayer;
use super::compression::{Compressor, ZSTD};
use super::events::text;
use super::pool::{ConnectionPool, Lease};
use super::request::RequestHeaders;
use super::response::{Accepted, accepted, read_up_to};
use super::routing::{self, Route, Routing};
use super::{
    AdmissionError, BuildError, Events, Permits, RATE_LIMITS, RequestBody, RetryState, Tls,
    UpstreamError, Waiting, transport,
};

/// The timeout for the catalogue, as in the Codex CLI.
const MODELS_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest catalogue that is read.
const MAX_MODELS: usize = 8 << 20;

/// The source of the login for every request.
pub trait CredentialProvider: Send + Sync {
    /// The login that is valid now.
    fn login(&self) -> BoxFuture<'_, Result<Arc<Login>, credentials::Error>>;

    /// The login for a request that was made for `prepared`: the current one of the same account,
    /// `prepared` itself if another account has signed in meanwhile.
    fn login_for<'a>(
        &'a self,
        prepared: &'a Arc<Login>,
    ) -> BoxFuture<'a, Result<Arc<Login>, credentials::Error>> {
        std::future::ready(Ok(Arc::clone(prepared))).boxed()
    }

    /// The login to use after the backend has rejected this one; the same one if there is no other.
    fn on_unauthorized<'a>(
        &'a self,
        _refused: &'a Arc<Login>,
    ) -> BoxFuture<'a, Result<Arc<Login>, credentials::Error>> {
        self.login()
    }
}

impl CredentialProvider for Store {
    fn login(&self) -> BoxFuture<'_, Result<Arc<Login>, credentials::Error>> {
        Store::login(self).boxed()
    }

    fn login_for<'a>(
        &'a self,
        prepared: &'a Arc<Login>,
    ) -> BoxFuture<'a, Result<Arc<Login>, credentials::Error>> {
        Store::login_for(self, prepared).boxed()
    }

    fn on_unauthorized<'a>(
        &'a self,
        refused: &'a Arc<Login>,
    ) -> BoxFuture<'a, Result<Arc<Login>, credentials::Error>> {
        Store::on_unauthorized(self, refused).boxed()
    }
}

/// A login that never changes, for a backend that needs none, such as the simulated one.
impl CredentialProvider for Arc<Login> {
    fn login(&self) -> BoxFuture<'_, Result<Arc<Login>, credentials::Error>> {
        std::future::ready(Ok(Arc::clone(self))).boxed()
    }
}

/// How to retry after the backend has rejected a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AuthRetry {
    /// Renew it.
    Renew,
    /// Use another one if there is one. `/models` rejects logins that `/responses` accepts, so
    /// renewing because of it would never end.
    Reread,
}

/// A client of the Codex backend, or of the public API for logins that are keys; clones share their
/// connections and the limit of concurrent calls.
#[derive(Clone)]
pub struct Client {
    pool: Arc<ConnectionPool>,
    admission: Arc<Admission>,
    logins: Arc<dyn CredentialProvider>,
    requests: Arc<RequestHeaders>,
    compressor: Arc<Compressor>,
    limits: limits::Store,
    routing: Routing,
    max_retries: u32,
    connect_timeout: Duration,
    idle_timeout: Duration,
}

/// A call that is sent.
struct Outgoing<'a> {
    /// The login that the body was made for.
    login: &'a Arc<Login>,
    body: &'a RequestBody,
    conversation: Uuid,
    turn_state: Option<&'a str>,
    lease: Lease,
    recording: Option<CallRecording>,
}

/// The catalogue as the backend sent it.
#[derive(Debug, Clone)]
pub struct ModelsAnswer {
    /// The JSON text.
    pub body: Bytes,
    /// The version of the catalogue.
    pub etag: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("requests", &self.requests).finish_non_exhaustive()
    }
}

impl Client {
    /// A client that trusts the platform's certificates, and those that `CODEX_CA_CERTIFICATE` or
    /// `SSL_CERT_FILE` name.
    pub fn new(
        settings: &config::Upstream,
        logins: Arc<dyn CredentialProvider>,
    ) -> Result<Self, BuildError> {
        Self::over(settings, logins, Tls::of_environment()?)
    }

    /// A client that trusts the platform's certificates, and those in the PEM file `extra_roots`.
    pub fn with_extra_roots(
        settings: &config::Upstream,
        logins: Arc<dyn CredentialProvider>,
        extra_roots: Option<&Path>,
    ) -> Result<Self, BuildError> {
        Self::over(settings, logins, Tls::with_extra_roots(extra_roots)?)
    }

    /// A client that shares the state of other clients.
    pub fn over(
        settings: &config::Upstream,
        logins: Arc<dyn CredentialProvider>,
        tls: Tls,
    ) -> Result<Self, BuildError> {
        let breaker = CircuitBreakerLayer::new(settings.connect_timeout);
        let service = settings.base_url.clone();
        let pool = ConnectionPool::new(settings.max_in_flight, move || {
            transport::client(&service, &tls, &breaker)
        })?;
        Ok(Self {
            pool: Arc::new(pool),
            admission: Arc::new(Admission::new(settings)),
            logins,
            requests: Arc::new(RequestHeaders::new(settings)?),
            compressor: Arc::new(Compressor::new(settings)),
            limits: limits::Store::default(),
            routing: Routing::default(),
            max_retries: settings.max_retries,
            connect_timeout: settings.connect_timeout,
            idle_timeout: settings.idle_timeout,
        })
    }

    /// The same client with connections of its own for calls. A connection belongs to the thread
    /// that opened it.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        Self { pool: Arc::new(self.pool.for_worker()), ..self.clone() }
    }

    /// Waits for the permits for so many calls of one request. Dropping the future leaves the
    /// queue.
    pub async fn acquire_permits(&self, calls: u32) -> Result<Arc<Permits>, AdmissionError> {
        self.admission.enter(calls).await
    }

    /// How many requests wait in [`Client::acquire_permits`].
    pub fn waiting(&self) -> usize {
        self.admission.waiting()
    }

    /// The known limits of the plan: every answer reports them, and every error response.
    pub fn limits(&self) -> &limits::Store {
        &self.limits
    }

    /// The retry state of a new call.
    pub fn retry_state(&self) -> RetryState {
        RetryState::new(self.max_retries)
    }

    /// Sends `body`, a Responses request, and gives its answer once the backend has accepted it.
    ///
    /// `conversation` goes into the session headers. It must be the same for all requests of one
    /// conversation, or they miss the backend's prompt cache.
    ///
    /// `turn_state` is what the backend gave with the answer that `body` continues, within one
    /// loop of tool calls.
    pub async fn respond(
        &self,
        body: Bytes,
        conversation: Uuid,
        turn_state: Option<&str>,
    ) -> Result<Events, UpstreamError> {
        let login = self.login().await?;
        self.respond_recorded(&login, &body.into(), conversation, turn_state, None).await
    }

    /// The login that is valid now. A request is made for one login, and sent with that or a newer
    /// one of the same account.
    pub async fn login(&self) -> Result<Arc<Login>, UpstreamError> {
        Ok(self.logins.login().await?)
    }

    /// The same for a `body` that was made for this login, perhaps a while ago. The request and the
    /// answer are added to the `recording`.
    pub async fn respond_recorded(
        &self,
        login: &Arc<Login>,
        body: &RequestBody,
        conversation: Uuid,
        turn_state: Option<&str>,
        recording: Option<&Recording>,
    ) -> Result<Events, UpstreamError> {
        let call = Outgoing {
            login,
            body,
            conversation,
            turn_state,
            lease: self.pool.take(),
            recording: recording.map(Recording::call),
        };
        let answer = self.call(&call).await;
        if let (Err(failure), Some(recording)) = (&answer, &call.recording) {
            recording.failed(failure.log_reason());
        }
        let (response, reporter) = answer?;
        Ok(Events::new(response, reporter, self.idle_timeout, call.lease, call.recording))
    }

    /// Sends a call: compressed, if that pays, and once more uncompressed if the backend does not
    /// support compression.
    async fn call(&self, call: &Outgoing<'_>) -> Result<(Response, Reporter), UpstreamError> {
        let login = self.logins.login_for(call.login).await?;
        let route = self.route(&login).await;
        let compressed = self.compressor.pack(call.body, &login).await;
        let answer = self.send_encoded(call, compressed.as_ref(), login, &route).await;
        match &answer {
            Err(failure)
                if compressed.is_some() && self.compressor.disable_if_unsupported(failure) =>
            {
                let login = self.logins.login_for(call.login).await?;
                self.send_encoded(call, None, login, &route).await
            }
            _ => answer,
        }
    }

    /// The routing of the login's calls, as far as it is known. The backend is asked if that was
    /// not done yet.
    async fn route(&self, login: &Arc<Login>) -> Arc<Route> {
        let Some(url) = &self.requests.accounts else { return Arc::default() };
        if login.platform != Platform::Codex {
            return Arc::default();
        }
        let ask = || {
            let (client, login, url) = (self.clone(), Arc::clone(login), url.clone());
            async move {
                let answer = client.account(&login, url).await;
                answer.map_err(|failure| failure.log_reason())
            }
        };
        self.routing.of(login, ask).await
    }

    /// Gets the routing of the account's calls. A login that is rejected here is not renewed: calls
    /// do that.
    async fn account(&self, login: &Login, url: Url) -> Result<Vec<u8>, UpstreamError> {
        let mut request = Request::new(reqwest::Method::GET, url);
        *request.headers_mut() = self.requests.account(login)?;
        let response = within(routing::TIMEOUT, self.pool.first().execute(request))
            .await?
            .map_err(|error| UpstreamError::sending(error, self.connect_timeout))?;
        match accepted(response).await? {
            Accepted::Yes(response) => {
                read_up_to(response, MAX_ERROR_BODY).await.map_err(UpstreamError::reading)
            }
            Accepted::No(refused) => Err(refused.noted(None)),
        }
    }

    async fn send_encoded(
        &self,
        call: &Outgoing<'_>,
        compressed: Option<&Bytes>,
        login: Arc<Login>,
        route: &Route,
    ) -> Result<(Response, Reporter), UpstreamError> {
        let request = |login: &Login| {
            let url = self.requests.responses(login, route);
            let mut request = Request::new(reqwest::Method::POST, url);
            let mut headers =
                self.requests.call(login, route, call.conversation, call.turn_state)?;
            // The login that replaces the first one may be an API key.
            let compressed = compressed.filter(|_| login.platform == Platform::Codex);
            if compressed.is_some() {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static(ZSTD));
            }
            *request.headers_mut() = headers;
            if let Some(recording) = &call.recording {
                // For people, and for the same request that is sent as it is.
                recording.sent(request.headers(), call.body.json());
            }
            *request.body_mut() = Some(compressed.unwrap_or(call.body.json()).clone().into());
            Ok(request)
        };
        let (http, recording) = (call.lease.http(), call.recording.as_ref());
        self.send_authenticated(
            http,
            self.idle_timeout,
            AuthRetry::Renew,
            recording,
            login,
            request,
        )
        .await
    }

    /// Fetches the catalogue of models.
    pub async fn models(&self) -> Result<ModelsAnswer, UpstreamError> {
        let fetch = async {
            let (http, login) = (self.pool.first(), self.logins.login().await?);
            let (response, _) = self
                .send_authenticated(http, MODELS_TIMEOUT, AuthRetry::Reread, None, login, |login| {
                    let url = self.requests.models(login, &self.routing.known(login));
                    let mut request = Request::new(reqwest::Method::GET, url);
                    *request.headers_mut() = self.requests.catalogue(login)?;
                    Ok(request)
                })
                .await?;
            let etag = text(response.headers(), ETAG.as_str())
                .or_else(|| text(response.headers(), "x-models-etag"));
            let body =
                read_up_to(response, MAX_MODELS + 1).await.map_err(UpstreamError::reading)?;
            if body.len() > MAX_MODELS {
                return Err(UpstreamError::Malformed(
                    "the model catalogue is too large".to_owned(),
                ));
            }
            Ok(ModelsAnswer { body: body.into(), etag })
        };
        within(MODELS_TIMEOUT, fetch).await?
    }

    /// Fetches the plan's limits, and returns all that is known of them.
    pub async fn usage(&self) -> Result<Limits, UpstreamError> {
        let fetch = async {
            let (http, login) = (self.pool.first(), self.logins.login().await?);
            let (response, reporter) = self
                .send_authenticated(http, MODELS_TIMEOUT, AuthRetry::Renew, None, login, |login| {
                    // An API key must not be sent to the endpoint for plans.
                    if login.platform == Platform::OpenAiApi {
                        return Err(UpstreamError::NoPlan);
                    }
                    let mut request =
                        Request::new(reqwest::Method::GET, self.requests.usage.clone());
                    *request.headers_mut() = self.requests.plan(login)?;
                    Ok(request)
                })
                .await?;
            let body =
                read_up_to(response, MAX_ERROR_BODY).await.map_err(UpstreamError::reading)?;
            let now = Timestamp::now().as_second();
            let update = limits::document::usage(&body, now).ok_or_else(|| {
                UpstreamError::Malformed("the plan's limits cannot be parsed".to_owned())
            })?;
            reporter.note(update, Source::Usage, now);
            Ok(self.limits.current(now))
        };
        within(MODELS_TIMEOUT * 2, fetch).await?
    }

    /// Sends a request with the current `login`. If the backend rejects that login and the
    /// `AuthRetry` gives another one, sends the request once more.
    ///
    /// The limits in the answer are stored; the reporter is for further ones in its events.
    async fn send_authenticated(
        &self,
        http: &reqwest::Client,
        patience: Duration,
        remedy: AuthRetry,
        recording: Option<&CallRecording>,
        login: Arc<Login>,
        request: impl Fn(&Login) -> Result<Request, UpstreamError>,
    ) -> Result<(Response, Reporter), UpstreamError> {
        let (response, reporter) = self.send(http, patience, &login, request(&login)?).await?;
        let refused = match accepted(response).await? {
            Accepted::Yes(response) => {
                note(recording, &response);
                return Ok((response, reporter));
            }
            Accepted::No(refused) => refused,
        };
        if !refused.is_of_the_login() {
            return Err(refused.noted(recording));
        }
        let fresh = match remedy {
            AuthRetry::Renew => self.logins.on_unauthorized(&login).await?,
            AuthRetry::Reread => self.logins.login().await?,
        };
        if fresh.access_token.expose_secret() == login.access_token.expose_secret() {
            return Err(refused.noted(recording));
        }
        let (response, reporter) = self.send(http, patience, &fresh, request(&fresh)?).await?;
        match accepted(response).await? {
            Accepted::Yes(response) => {
                note(recording, &response);
                Ok((response, reporter))
            }
            Accepted::No(refused) => Err(refused.noted(recording)),
        }
    }

    async fn send(
        &self,
        http: &reqwest::Client,
        patience: Duration,
        login: &Login,
        request: Request,
    ) -> Result<(Response, Reporter), UpstreamError> {
        let mut response = within(patience, http.execute(request))
            .await?
            .map_err(|error| UpstreamError::sending(error, self.connect_timeout))?;
        if login.platform == Platform::Codex {
            // They would not be what clients take them for.
            for name in &RATE_LIMITS {
                response.headers_mut().remove(name);
            }
        }
        let reporter = self.limits.reporter(login.account_id.as_deref());
        let headers = response.headers().iter();
        let texts = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let now = Timestamp::now().as_second();
        reporter.note(limits::headers::read(texts, now), Source::Headers, now);
        Ok((response, reporter))
    }
}

fn note(recording: Option<&CallRecording>, response: &Response) {
    if let Some(recording) = recording {
        recording.head(response.status(), response.headers());
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, UpstreamError> {
    let waiting = Waiting::Answer;
    timeout(limit, work).await.map_err(|_| UpstreamError::TimedOut { waiting, limit })
}

#[cfg(test)]
mod tests;
