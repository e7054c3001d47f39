//! The backend's addresses.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Settings;
use super::catalogue::{Catalogue, Version, with_models};
use super::directive::{Directives, Fault, FaultKind};
use super::encrypted_content::Owner;
use super::ids::{Ids, digest};
use super::log::{Log, Outcome, Running};
use super::refusal::{Content, Refusal};
use super::replay::Replay;
use super::request::Request;
use super::timeline::{Scene, Timeline};
use super::usage::{self, PromptCache};
use super::{answer_plan, body_stream, failure, limits, timeline, validate, zstd};

/// What all requests share.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) catalogue: Catalogue,
    complete_output_empty: bool,
    takes_zstd: bool,
    replay: Option<Arc<Replay>>,
    pub(super) log: Log,
    prompts: PromptCache,
    /// How often a prompt with a fault of limited `times` has been seen.
    tries: Mutex<HashMap<String, usize>>,
    pub(super) closing: watch::Sender<bool>,
}

impl Backend {
    pub(super) fn new(settings: Settings) -> Self {
        let recorded = settings.replay.as_ref().map(|replay| replay.models()).unwrap_or_default();
        Self {
            catalogue: Catalogue::new(with_models(settings.models, recorded)),
            complete_output_empty: settings.complete_output_empty,
            takes_zstd: settings.takes_zstd,
            replay: settings.replay,
            log: Log::new(settings.kept_exchanges),
            prompts: PromptCache::default(),
            tries: Mutex::default(),
            closing: watch::Sender::new(false),
        }
    }

    /// The fault that this request is to meet, if its turn has come.
    fn due(&self, fault: Option<&Fault>, prompt: &str) -> Option<FaultKind> {
        let fault = fault?;
        if let Some(times) = fault.times {
            let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
            let seen = tries.entry(digest(prompt)).or_default();
            *seen += 1;
            if *seen > times {
                return None;
            }
        }
        Some(fault.kind.clone())
    }
}

/// The real paths under `/backend-api`, and the same at the root for a short base URL.
pub(super) fn router(backend: Arc<Backend>) -> Router {
    let mut router = Router::new();
    for prefix in ["", "/backend-api/codex"] {
        router = router
            .route(&format!("{prefix}/responses"), post(respond))
            .route(&format!("{prefix}/models"), get(models))
            .route(&format!("{prefix}/usage"), get(usage_limits));
    }
    router
        .route("/backend-api/wham/usage", get(usage_limits))
        .route("/backend-api/wham/accounts/check", get(accounts))
        .route("/simulator/log", get(show_log))
        .route("/simulator/reset", post(reset))
        .fallback(async || Refusal::gateway(StatusCode::NOT_FOUND, "Not Found"))
        .method_not_allowed_fallback(async || {
            Refusal::gateway(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        })
        .layer(DefaultBodyLimit::disable())
        .with_state(backend)
}

async fn show_log(State(backend): State<Arc<Backend>>) -> Response {
    axum::Json(backend.log.to_json()).into_response()
}

async fn reset(State(backend): State<Arc<Backend>>) -> StatusCode {
    backend.log.clear();
    backend.prompts.clear();
    backend.tries.lock().unwrap_or_else(PoisonError::into_inner).clear();
    StatusCode::NO_CONTENT
}

/// What the backend says of the login's account: it is free to be served anywhere.
async fn accounts(headers: HeaderMap) -> Result<axum::Json<Value>, Refusal> {
    validate::authorize(&headers)?;
    let account = validate::account(&headers);
    Ok(axum::Json(json!({
        "account_ordering": [account],
        "default_account_id": account,
        "accounts": [{
            "id": account,
            "structure": "personal",
            "plan_type": limits::PLAN,
            "account_user_role": "account-owner",
            "can_access_with_session": true,
            "is_deactivated": false,
            "workspace_backend_origin": null,
            "account_routing_override": "NO_CONSTRAINT",
        }],
    })))
}

async fn usage_limits(headers: HeaderMap) -> Result<axum::Json<Value>, Refusal> {
    validate::authorize(&headers)?;
    Ok(axum::Json(limits::usage()))
}

async fn models(
    State(backend): State<Arc<Backend>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    backend.log.models_were_read();
    validate::authorize(&headers)?;
    let version = query.get("client_version").and_then(|text| text.parse::<Version>().ok());
    let version = version.ok_or_else(|| Refusal::detail("client_version is required"))?;
    let mut response = axum::Json(backend.catalogue.listing(version)).into_response();
    set(response.headers_mut(), "etag", backend.catalogue.etag());
    Ok(response)
}

async fn respond(State(backend): State<Arc<Backend>>, headers: HeaderMap, body: Bytes) -> Response {
    let body = match zstd::unpacked(&headers, body, backend.takes_zstd) {
        Ok(body) => body,
        Err(refusal) => {
            let mut running = backend.log.open(Value::Null, shown(&headers));
            return end(&mut running, Outcome::Refused, refusal);
        }
    };
    if let Some(replay) = &backend.replay {
        // What was accepted then is accepted now.
        return replay.respond(&body);
    }
    let parsed = serde_json::from_slice::<Value>(&body);
    let request = parsed.as_ref().map_or(Value::Null, Clone::clone);
    let mut running = backend.log.open(request, shown(&headers));
    let checked = validate::authorize(&headers)
        .and_then(|()| parsed.map_err(|_| Refusal::detail("The request body is not valid JSON")));
    let answer = checked.and_then(|body| answer(&backend, &headers, &body, running.number()));
    match answer {
        Ok(Answer::Stream { script, directives, slug }) => {
            let number = running.number();
            let body = body_stream::body(script, &directives, running, backend.closing.subscribe());
            stream(&backend, &headers, number, &slug, body)
        }
        Ok(Answer::Failure(refusal)) => end(&mut running, Outcome::Failed, refusal),
        Err(refusal) => end(&mut running, Outcome::Refused, refusal),
    }
}

fn end(running: &mut Running, outcome: Outcome, refusal: Refusal) -> Response {
    running.close(outcome, refusal.status.as_u16());
    let mut response = refusal.into_response();
    set(response.headers_mut(), "x-oai-request-id", &request_id(running.number()));
    response
}

/// What a valid request is answered with.
enum Answer {
    Stream {
        script: Timeline,
        directives: Box<Directives>,
        slug: String,
    },
    /// Not a stream, because a directive asked for that.
    Failure(Refusal),
}

fn answer(
    backend: &Backend,
    headers: &HeaderMap,
    body: &Value,
    number: u64,
) -> Result<Answer, Refusal> {
    let model = validate::check(body, headers, &backend.catalogue)?;
    let owner = Owner { account: validate::account(headers), family: model.family() };
    let request = Request { body, model, owner: &owner };
    let (directives, prompt) = directives(headers, &request.prompt())?;

    let rendered = usage::render(body);
    let fault = backend.due(directives.fault.as_ref(), &rendered);
    match &fault {
        Some(FaultKind::Status { status, code }) => {
            return Ok(Answer::Failure(failure::http(*status, code.as_deref())));
        }
        Some(FaultKind::Html) => {
            let content = Content::Html(failure::PAGE);
            let page = Refusal { status: StatusCode::OK, headers: Vec::new(), content };
            return Ok(Answer::Failure(page));
        }
        Some(FaultKind::Json) => {
            let mut refusal = failure::http(StatusCode::INTERNAL_SERVER_ERROR, None);
            refusal.status = StatusCode::OK;
            return Ok(Answer::Failure(refusal));
        }
        _ => {}
    }

    let input_tokens = usage::tokens(&rendered);
    let scene = Scene {
        request,
        directives: &directives,
        input_tokens,
        cached_tokens: backend.prompts.lookup(body["prompt_cache_key"].as_str(), &rendered),
        complete_output_empty: backend.complete_output_empty,
    };
    let mut ids = Ids::new(number);
    let script = if validate::is_blocked(body) {
        timeline::blocked(&scene, "invalid_prompt", &mut ids)
    } else if input_tokens > model.context_window {
        timeline::blocked(&scene, "context_length_exceeded", &mut ids)
    } else {
        let items = answer_plan::plan(request, &prompt, &directives);
        timeline::write(&scene, &items, fault.as_ref(), &mut ids)
    };
    Ok(Answer::Stream { script, directives: Box::new(directives), slug: model.slug.clone() })
}

/// The directives of the prompt, or those of the header if there are any.
fn directives(headers: &HeaderMap, prompt: &str) -> Result<(Directives, String), Refusal> {
    let unreadable = |error: super::directive::DirectiveError| Refusal::detail(error.to_string());
    let (mut directives, prompt) = Directives::read(prompt).map_err(unreadable)?;
    if let Some(value) = headers.get("x-simulate") {
        let value = value.to_str().unwrap_or_default();
        directives = Directives::read_header(value).map_err(unreadable)?;
    }
    Ok((directives, prompt))
}

/// A 200. Like the real one it has no content type.
fn stream(backend: &Backend, asked: &HeaderMap, number: u64, slug: &str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in limits::headers(12) {
        set(headers, name, &value);
    }
    set(headers, "x-oai-request-id", &request_id(number));
    set(headers, "x-models-etag", backend.catalogue.etag());
    set(headers, "openai-model", slug);
    if ["session-id", "session_id", "conversation_id"].iter().any(|name| asked.contains_key(*name))
    {
        set(headers, "x-codex-turn-state", &format!("simulated-turn-{number}"));
    }
    response
}

fn request_id(number: u64) -> String {
    format!("req_{number:016x}")
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The headers for the log: a bearer has no place there.
fn shown(headers: &HeaderMap) -> BTreeMap<String, String> {
    let visible = headers.iter().filter(|(name, _)| *name != header::AUTHORIZATION);
    visible
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
        .collect()
}
