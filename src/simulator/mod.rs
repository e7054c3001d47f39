//! A stand-in for the Codex backend, as strict as the real one.
//!
//! It answers `POST …/responses` with streams of the real shape, refuses what the backend
//! refuses with the backend's texts, and fails in the backend's ways when it is told to. It
//! needs no account, and nothing it does leaves the machine.
//!
//! | address | |
//! |---|---|
//! | `POST /responses` | an answer as a stream of events |
//! | `GET /models?client_version=0.144.0` | the models, without those that the client is too old for |
//! | `GET /usage` | the plan's limits |
//! | `GET /simulator/log` | `{"exchanges": […], "models_requests": n}`, see [`Exchange`] |
//! | `POST /simulator/reset` | forgets the log, the prompt cache, and what `times=` counted |
//!
//! The first three are under `/backend-api/codex` too, the usage at `/backend-api/wham/usage`, and
//! what is said of the login's account at `/backend-api/wham/accounts/check`. The sign-in service is on the same port, see [`issuer`]; tokens of its own that have ended are
//! refused.
//!
//! # Answers
//!
//! A plain prompt is answered with a short sentence that quotes it. A prompt that names a
//! function or custom tool (or a `tool_choice` that demands one) is answered with a call whose
//! arguments satisfy the tool's schema; when the outputs are there, with a text that repeats
//! them. A `text.format` is satisfied. With `web_search` on offer, a prompt with the word
//! "search" gets an answer with a citation; with `image_generation`, one with "draw" gets a
//! picture. Reasoning comes first unless the effort is the least that the model offers, with a
//! summary if the request asks for one, and sealed if `include` asks for that.
//!
//! Requests may be compressed with zstd, as the Codex CLI sends them.
//!
//! Tokens are a quarter of the bytes. `cached_tokens` is the longest beginning shared with an
//! earlier prompt of the same `prompt_cache_key`, however short (the real cache starts at about
//! a thousand tokens).
//!
//! # Directives
//!
//! `[[simulate: NAME …]]` in the last message of the user changes the answer; several may stand
//! there. The header `x-simulate` holds the same (without brackets if it is only one) and goes
//! before the prompt. Texts are quoted as in JSON; single words need no quotes. A directive that
//! cannot be read is refused with 400.
//!
//! | directive | effect |
//! |---|---|
//! | `text "…"` | this text is the answer |
//! | `deltas N` | texts and arguments in N deltas; without `text`, a text of N words |
//! | `pace MS` | a pause before each event (with `split`, before each piece) |
//! | `delay MS` | a pause before the first event |
//! | `reasoning "…"`, `no-reasoning` | a summary with this text; none |
//! | `commentary "…"` | a message of that phase before the calls or the answer |
//! | `call NAME {…}` | calls this function; several make parallel calls. Without arguments they are made up; a quoted text is sent as it is |
//! | `custom NAME "…"` | calls this custom tool |
//! | `wrapper` | puts the calls into the undeclared `multi_tool_use.parallel` |
//! | `done-only` | arguments stand in `output_item.done` only |
//! | `interleave` | the deltas of parallel calls take turns |
//! | `refusal "…"` | declines |
//! | `length [after=N]`, `content-filter [after=N]` | `response.incomplete`, the last item with N deltas only |
//! | `cite` | cites a page |
//! | `image` | a generated picture before the answer |
//! | `two-messages` | the final message twice |
//! | `keepalive`, `unknown` | `keepalive` events; events that no client knows |
//! | `rate-limits-first` | `codex.rate_limits` before `response.created` |
//! | `split N`, `crlf` | the body in pieces of N bytes; line ends as on Windows |
//! | `error STATUS [CODE]` | an error status (see below) |
//! | `fail CODE [SHAPE] [first] [after=N]` | an error in the stream after N deltas of text or arguments (0); with `first` in place of `response.created`. Shapes: `pair` (`error`, then `response.failed`), `failed` (only that), `null` (that without an error), `flat`, `nested`, `string` (only an `error` event, so shaped) |
//! | `cut [after=N]` | the connection breaks after N deltas (1; 0 is before the first item) |
//! | `end [after=N]` | the stream ends there without a terminal event |
//! | `stall [after=N]` | silence from there on, until the client leaves |
//! | `html`, `json` | a 200 with a page, with a JSON error |
//!
//! Of `error`, `fail`, `cut`, `end`, `stall`, `html` and `json` the last one counts; `times=K`
//! with one of them spares all but the first K requests of the same prompt. Calls are made only
//! before their outputs are there, so that a conversation comes to its end.
//!
//! `error` knows these codes; any other gives an error object with that code.
//!
//! | status | codes (the first is what no code means) |
//! |---|---|
//! | 400 | any, such as `context_length_exceeded`, `cyber_policy` |
//! | 401 | `token_expired`, `token_invalidated`, `token_revoked`, `unauthorized`, `unparseable` |
//! | 402 | `deactivated_workspace` |
//! | 403 | `html` (a Cloudflare challenge), any other as a detail |
//! | 404 | `empty`, `model` |
//! | 429 | none (burst protection), `usage_limit_reached` (with its headers), `usage_not_included` |
//! | 503 | `server_is_overloaded`, `slow_down`, `html` |
//! | other | any, `html`, `empty` |
//!
//! A bearer that contains `simulate-expired` or `simulate-invalidated` is refused with 401.

mod answer_plan;
mod body_stream;
mod catalogue;
mod deltas;
mod directive;
mod encrypted_content;
mod envelope;
mod failure;
mod ids;
pub mod issuer;
mod item_events;
mod limits;
mod log;
mod refusal;
mod replay;
mod request;
mod routes;
mod schema;
#[cfg(test)]
mod tests;
mod timeline;
mod usage;
mod validate;
mod zstd;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::serve::ListenerExt as _;
use serde_json::Value;
use tokio::net::TcpListener;

pub use catalogue::{Effort, Model, NotAVersion, Version, default_models};
pub use issuer::SignInService;
pub use log::{Exchange, Log, Outcome};
pub use replay::Replay;

/// How the simulator is set up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The models on offer.
    pub models: Vec<Model>,
    /// Whether `response.completed` has an empty `output`, as the backend now has it; otherwise
    /// it repeats the items.
    pub complete_output_empty: bool,
    /// Whether request bodies may be compressed.
    pub takes_zstd: bool,
    /// How many exchanges the log keeps.
    pub kept_exchanges: usize,
    /// What to answer from, instead of making answers up.
    pub replay: Option<Arc<Replay>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            models: default_models(),
            complete_output_empty: true,
            takes_zstd: true,
            kept_exchanges: 256,
            replay: None,
        }
    }
}

/// A simulated backend. Clones share their state.
#[derive(Debug, Clone)]
pub struct Simulator {
    backend: Arc<routes::Backend>,
    issuer: SignInService,
}

impl Simulator {
    /// Sets one up.
    pub fn new(settings: Settings) -> Self {
        let backend = Arc::new(routes::Backend::new(settings));
        Self { backend, issuer: SignInService::default() }
    }

    /// Its addresses, for a server of one's own. Stalled answers then end with their connection.
    pub fn router(&self) -> Router {
        let backend = routes::router(Arc::clone(&self.backend));
        self.issuer.guard(backend).merge(self.issuer.router())
    }

    /// The sign-in service on the same port.
    pub fn issuer(&self) -> &SignInService {
        &self.issuer
    }

    /// What it has been asked so far.
    pub fn log(&self) -> Log {
        self.backend.log.clone()
    }

    /// What the backend has against `body` as a request to `/responses`: the status and the JSON
    /// of its refusal, or nothing. The client is taken to be new enough for every model.
    pub fn refuses(&self, body: &Value) -> Option<(StatusCode, Value)> {
        let version = HeaderValue::from_static("9999.0.0");
        let headers = HeaderMap::from_iter([(HeaderName::from_static("version"), version)]);
        let refusal = validate::check(body, &headers, &self.backend.catalogue).err()?;
        let json = match refusal.content {
            refusal::Content::Json(json) => json,
            refusal::Content::Html(_) | refusal::Content::Empty => Value::Null,
        };
        Some((refusal.status, json))
    }

    /// Serves HTTP until `shutdown`; answers in progress are finished, stalled ones are dropped.
    ///
    /// # Errors
    ///
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let backend = Arc::clone(&self.backend);
        let closing = async move {
            shutdown.await;
            backend.closing.send_replace(true);
        };
        // Events are small and urgent.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, self.router()).with_graceful_shutdown(closing).await
    }
}

impl Default for Simulator {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}
