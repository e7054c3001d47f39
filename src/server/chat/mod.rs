//! `POST /v1/chat/completions`.

mod buffered;
mod choice;
mod coalesce;
mod cost;
mod streaming;

use std::borrow::Cow;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use uuid::Uuid;

use self::buffered::{Ended, Gathered};
use self::choice::{CallSpec, Choice, ReplayContext, RetryableBody, WithoutReplay};
use super::App;
use super::body::BodyBytes;
use super::capture::CaptureHandle;
use super::error::{ApiError, UPSTREAM_REQUEST_ID, is_printable};
use super::listen::Shutdown;
use super::models::PrefetchModels;
use super::record::{Record, RequestInfo};
use crate::capture::Recording;
use crate::chat;
use crate::chat::completion::{Completion, CompletionBuilder};
use crate::chat::delta::{Heading, ReasoningField, ServiceTier};
use crate::chat::usage::Usage;
use crate::conversation::{ReplaySource, Scope};
use crate::effort::Effort;
use crate::excerpt::excerpt;
use crate::json::{self, Value};
use crate::metrics::RequestMetrics;
use crate::models::Resolved;
use crate::responses::surrogates::repair_surrogates;
use crate::translate::plan::Plan;
use crate::translate::policy::{Policy, Reasoning};
use crate::translate::request::{self, FieldReport, Translated};
use crate::translate::response::{Reader, add_usage, get_ready_to_count, is_ready_to_count};
use crate::upstream::Permits;

/// How long the status of a streamed answer waits for the answer to begin. Until then a failure
/// can still be told with a status of its own.
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);

/// What ids of requests begin with.
const REQUEST_ID: &str = "req_";

/// The handler.
pub(super) async fn complete(
    State(app): State<App>,
    visit: RequestMetrics,
    closing: Shutdown,
    CaptureHandle(tape): CaptureHandle,
    _: PrefetchModels,
    body: Result<BodyBytes, ApiError>,
) -> Response {
    let request_id = format!("{REQUEST_ID}{}", Uuid::new_v4().simple());
    let record = Record::new(request_id.clone(), visit, closing.clone());
    let answer = tokio::select! {
        biased;
        answer = respond(&app, body, record, tape.clone(), &closing) => answer,
        () = closing.cut() => Err(ApiError::stopping()),
    };
    if let (Err(error), Some(tape)) = (&answer, &tape) {
        tape.error(error.json());
    }
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    insert(response.headers_mut(), "x-request-id", &request_id);
    if let Some(tape) = &tape {
        tape.answer(response.status(), response.headers());
    }
    response
}

/// A request that is translated.
struct Prepared {
    order: CallSpec,
    draft: RetryableBody,
    notes: FieldReport,
}

async fn respond(
    app: &App,
    body: Result<BodyBytes, ApiError>,
    mut record: Record,
    tape: Option<Recording>,
    closing: &Shutdown,
) -> Result<Response, ApiError> {
    if let (Ok(BodyBytes(body)), Some(tape)) = (&body, &tape) {
        tape.body(body);
    }
    let prepared = match body {
        Ok(BodyBytes(body)) => prepare(app, body, &mut record, tape).await,
        Err(error) => Err(error),
    };
    match prepared {
        Ok((ordered, places)) => answer(app, ordered, places, record, closing).await,
        Err(error) => {
            record.failed(&error);
            Err(error)
        }
    }
}

async fn answer(
    app: &App,
    Prepared { order, draft, notes }: Prepared,
    places: Arc<Permits>,
    record: Record,
    closing: &Shutdown,
) -> Result<Response, ApiError> {
    let order = Arc::new(order);
    let identity = Identity::new(&order.plan, &record.request_id);
    let mut response = if order.plan.stream {
        streamed(app, order, draft, &places, identity, record, closing).await
    } else {
        whole(app, &order, &draft, &places, &identity, record).await
    }?;
    let headers = response.headers_mut();
    if let Some(dropped) = notes.dropped() {
        insert(headers, "x-codex-proxy-dropped", &dropped);
    }
    if let Some(emulated) = notes.emulated() {
        insert(headers, "x-codex-proxy-emulated", &emulated);
    }
    Ok(response)
}

/// Translates the client's request and waits for its turn.
async fn prepare(
    app: &App,
    body: Bytes,
    record: &mut Record,
    tape: Option<Recording>,
) -> Result<(Prepared, Arc<Permits>), ApiError> {
    let ordered = if cost::is_offloaded(&body) {
        let (outcome, asked) = elsewhere(app.clone(), body.clone(), tape).await?;
        record.asked = asked;
        outcome?
    } else {
        translate(app, &body, &mut record.asked, tape, &Client::stays()).await?
    };
    // Requests that wait are kept in one form only.
    drop(body);
    if ordered.order.plan.max_tokens.is_some() && !is_ready_to_count() {
        // If it fails, the answer itself will say so.
        let _ = spawn_blocking(get_ready_to_count).await;
    }
    let places = app.0.upstream.acquire_permits(ordered.order.plan.choices).await?;
    Ok((ordered, places))
}

/// [`translate`] where long work is nobody's concern: on this thread no other answer would go on
/// meanwhile.
async fn elsewhere(
    app: App,
    body: Bytes,
    tape: Option<Recording>,
) -> Result<(Result<Prepared, ApiError>, RequestInfo), ApiError> {
    let runtime = Handle::current();
    // Dropped together with this future, which is when the client leaves.
    let waiting = Arc::new(());
    let client = Client(Some(Arc::downgrade(&waiting)));
    let work = move || {
        let mut asked = RequestInfo::default();
        let outcome = runtime.block_on(async {
            // Beside the body and what is made of it: a request never waits for its own memory.
            let room = cost::memory(&body);
            let _room = app.0.budget.reserve_beside(room, 2 * body.len()).await?;
            translate(&app, &body, &mut asked, tape, &client).await
        });
        (outcome, asked)
    };
    let outcome = spawn_blocking(work).await;
    drop(waiting);
    outcome.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        // It has not begun, and will not any more.
        Err(_) => ApiError::stopping(),
    })
}

/// Whether the client of long work still waits for it. What runs on a thread of its own cannot be
/// cancelled from outside.
struct Client(Option<Weak<()>>);

impl Client {
    /// A client that takes the work with it when it leaves.
    fn stays() -> Self {
        Self(None)
    }

    /// Ends the work if its client has left. Nobody gets to see the error.
    fn still_waits(&self) -> Result<(), ApiError> {
        match &self.0 {
            Some(waiting) if waiting.strong_count() == 0 => Err(ApiError::stopping()),
            _ => Ok(()),
        }
    }
}

/// Reads and translates the client's request.
async fn translate(
    app: &App,
    body: &Bytes,
    asked: &mut RequestInfo,
    tape: Option<Recording>,
    client: &Client,
) -> Result<Prepared, ApiError> {
    client.still_waits()?;
    let whole = with_whole_characters(body);
    let value: Value<'_> = parse(&whole)?;
    client.still_waits()?;
    let chat = chat::request::Request::read(&value)?;
    // It goes into logs and figures.
    asked.model = excerpt(chat.model).into_owned();
    asked.stream = chat.stream;
    // Once, for all that follows: what one account has sealed is not sent with another's token.
    let login = app.1.login().await?;
    let model = model(&app.resolve(chat.model).await?);
    asked.slug = Some(model.slug.clone());
    let policy = app.0.config.policy(login.platform);
    // Of several answers the client goes on with one, and there is no telling which.
    let memory = app.0.memory.as_ref().filter(|_| chat.n == 1 && model.reasons);
    let scope = match memory {
        Some(_) => Scope::new(&login.owner(), &model.slug),
        None => Scope::default(),
    };
    let past = match memory {
        Some(memory) => ReplaySource { scope: scope.clone(), memory },
        None => ReplaySource::unknown(),
    };
    client.still_waits()?;
    let translated = request::translate(&chat, &model, policy, &past)?;
    client.still_waits()?;
    let Translated { request, conversation, plan, notes, recollection } = translated;
    let plainly =
        (!recollection.recalled.is_empty()).then(|| plainly(body.clone(), model.clone(), policy));
    let continuation = memory.map(|memory| {
        asked.recalled = Some((recollection.recalled.len(), recollection.turns));
        ReplayContext {
            memory: memory.clone(),
            scope: scope.clone(),
            history: recollection.history,
            recalled: recollection.recalled,
        }
    });
    let body = app.0.budget.overdraw(serde_json::to_vec(&request).map_err(ApiError::internal)?);
    let order = CallSpec {
        client: app.1.clone(),
        login,
        metrics: app.0.metrics.clone(),
        prompt_bytes: body.len(),
        conversation,
        turn_state: recollection.turn_state,
        plan: Arc::new(plan),
        continuation,
        tape,
    };
    Ok(Prepared { order, draft: RetryableBody { body: body.into(), plainly }, notes })
}

/// Translates a request again, without the memory of turns. The client's body is kept until then
/// rather than a second translation, which is needed once in a blue moon.
fn plainly(body: Bytes, model: request::Model, policy: Policy) -> WithoutReplay {
    let is_long = cost::is_offloaded(&body);
    let again = Arc::new(move || -> Option<Bytes> {
        let whole = with_whole_characters(&body);
        let value: Value<'_> = parse(&whole).ok()?;
        let chat = chat::request::Request::read(&value).ok()?;
        let plain = request::translate(&chat, &model, policy, &ReplaySource::unknown()).ok()?;
        Some(serde_json::to_vec(&plain.request).ok()?.into())
    });
    Arc::new(move || {
        let again = Arc::clone(&again);
        async move {
            if is_long { spawn_blocking(move || again()).await.ok().flatten() } else { again() }
        }
        .boxed()
    })
}

/// The body, with halves of characters replaced if there are any: clients cut strings in the
/// middle of an emoji, and no JSON reader takes what they make of it.
fn with_whole_characters(body: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memmem::find(body, b"\\u").is_none() {
        return Cow::Borrowed(body);
    }
    let repaired = std::str::from_utf8(body).ok().and_then(repair_surrogates);
    repaired.map_or(Cow::Borrowed(body), |text| Cow::Owned(text.into_bytes()))
}

fn parse(body: &[u8]) -> Result<Value<'_>, ApiError> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    json::parse(body).map_err(|error| {
        ApiError::invalid_request(format!(
            "We could not parse the JSON body of your request: {error}. The OpenAI API expects a \
             JSON payload."
        ))
    })
}

/// What the translation has to know of a model.
fn model(resolved: &Resolved) -> request::Model {
    let info = resolved.info.as_ref();
    request::Model {
        slug: resolved.slug.clone(),
        efforts: info.and_then(|info| info.efforts.complete()).unwrap_or_default().to_vec(),
        effort: resolved.effort,
        ultra: info.and_then(|info| info.ultra).unwrap_or(Effort::Max),
        reasons: info.is_none_or(|info| info.efforts.may_reason()),
        summaries: info.is_none_or(|info| info.supports_reasoning_summary_parameter != Some(false)),
        verbosity: info.is_none_or(|info| info.support_verbosity != Some(false)),
    }
}

async fn streamed(
    app: &App,
    order: Arc<CallSpec>,
    draft: RetryableBody,
    places: &Arc<Permits>,
    identity: Identity,
    record: Record,
    closing: &Shutdown,
) -> Result<Response, ApiError> {
    let mut answer = streaming::ChatStream::new(order, &draft, places, identity, record, closing);
    // It is kept by those only that may have to send it again.
    drop(draft);
    let begun = poll_fn(|cx| answer.poll_begun(cx));
    // Past the deadline the answer goes out as it is, with comments that keep the client waiting.
    if let Ok(Err(failure)) = timeout(COMMIT_DEADLINE, begun).await {
        let error = ApiError::of_call(failure, answer.paths());
        answer.record().failed(&error);
        return Err(error);
    }
    let upstream_request_id =
        answer.choices().first().and_then(|choice| choice.head().request_id.clone());
    answer.record().upstream_request_id(upstream_request_id.as_deref());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    describe(app, answer.choices().first(), &mut headers);
    Ok((headers, Body::from_stream(answer)).into_response())
}

async fn whole(
    app: &App,
    order: &Arc<CallSpec>,
    draft: &RetryableBody,
    places: &Arc<Permits>,
    identity: &Identity,
    mut record: Record,
) -> Result<Response, ApiError> {
    let answer = buffered::collect(order, draft, places, &app.0.budget).await.map_err(|ended| {
        let error = match ended {
            Ended::Failed(failure) => ApiError::of_call(failure, &order.plan.paths),
            Ended::Exhausted(exhausted) => exhausted.into(),
        };
        record.failed(&error);
        error
    })?;
    let Gathered { choices, size, reservation } = answer;
    let (choices, gathered): (Vec<Choice>, Vec<CompletionBuilder>) = choices.into_iter().unzip();
    let usage = total_usage(choices.iter().map(Choice::reader), order.prompt_bytes);
    let tier = choices.first().map_or(ServiceTier::Default, |c| c.reader().service_tier());
    let heading = identity.heading(tier);
    let completion = Completion::new(&heading, &gathered, usage, reasoning_field(&order.plan));
    // For most texts this is enough.
    let mut json = Vec::with_capacity(size + size / 16 + 1024);
    serde_json::to_writer(&mut json, &completion).map_err(ApiError::internal)?;
    json.push(b'\n');
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    insert(&mut headers, "openai-processing-ms", &record.elapsed().as_millis().to_string());
    describe(app, choices.first(), &mut headers);
    let head = choices.first().map(Choice::head);
    record.upstream_request_id(head.and_then(|head| head.request_id.as_deref()));
    record.first_token();
    record.answered(usage);
    drop(gathered);
    Ok((headers, reservation.hold_fitting(json)).into_response())
}

/// What the backend said of the answer, in headers of our own.
fn describe(app: &App, choice: Option<&Choice>, headers: &mut HeaderMap) {
    let Some(choice) = choice else { return };
    let head = choice.head();
    if let Some(etag) = &head.models_etag {
        app.0.catalogue.observe_etag(etag);
    }
    let model = head.model.as_deref().or(choice.reader().upstream_model());
    if let Some(model) = model.filter(|model| is_printable(model)) {
        insert(headers, "x-codex-proxy-upstream-model", model);
    }
    if let Some(id) = head.request_id.as_deref().filter(|id| is_printable(id))
        && let Ok(id) = HeaderValue::from_str(id)
    {
        headers.insert(UPSTREAM_REQUEST_ID, id);
    }
    // The public API's own. Of a plan nothing can be told by these: they count requests and tokens,
    // and a plan has only percentages, which `GET /v1/usage` tells.
    headers.extend(head.rate_limits.clone());
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn reasoning_field(plan: &Plan) -> ReasoningField {
    match plan.reasoning {
        Reasoning::Reasoning => ReasoningField::Reasoning,
        _ => ReasoningField::ReasoningContent,
    }
}

fn total_usage<'r>(mut readers: impl Iterator<Item = &'r Reader>, prompt_bytes: usize) -> Usage {
    let Some(first) = readers.next() else { return Usage::default() };
    readers.fold(first.usage(prompt_bytes), |total, reader| {
        add_usage(total, &reader.usage(prompt_bytes))
    })
}

/// What distinguishes one answer from any other.
#[derive(Debug)]
pub(super) struct Identity {
    id: String,
    created: u64,
    model: String,
}

impl Identity {
    /// An answer goes by the random part of its request's id.
    fn new(plan: &Plan, request_id: &str) -> Self {
        let random = request_id.strip_prefix(REQUEST_ID).unwrap_or(request_id);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { id: format!("chatcmpl-{random}"), created: now.as_secs(), model: plan.model.clone() }
    }

    fn heading(&self, service_tier: ServiceTier) -> Heading {
        Heading {
            id: self.id.clone(),
            created: self.created,
            model: self.model.clone(),
            service_tier,
        }
    }
}
