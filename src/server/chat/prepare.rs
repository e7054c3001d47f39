//! From the body of a request to a call that may be made: parsed, translated and admitted.

use std::borrow::Cow;
use std::panic::resume_unwind;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::cost;
use crate::capture::Recording;
use crate::chat;
use crate::conversation::{ReplaySource, Scope};
use crate::effort::Effort;
use crate::excerpt::excerpt;
use crate::exchange::{CallSpec, ReplayContext, RetryableBody, WithoutReplay};
use crate::json::{self, Value};
use crate::models::Resolved;
use crate::responses::surrogates::repair_surrogates;
use crate::server::App;
use crate::server::error::ApiError;
use crate::server::record::{Record, RequestInfo};
use crate::translate::plan::Plan;
use crate::translate::policy::Policy;
use crate::translate::request::{self, FieldReport, Translated};
use crate::translate::response::{get_ready_to_count, is_ready_to_count};
use crate::upstream::Permits;

/// A call that may be made.
pub(super) struct Call {
    pub(super) spec: Arc<CallSpec>,
    /// The required form of the answer.
    pub(super) plan: Arc<Plan>,
    pub(super) body: RetryableBody,
    pub(super) permits: Arc<Permits>,
}

/// A translated request.
struct Prepared {
    spec: CallSpec,
    plan: Arc<Plan>,
    body: RetryableBody,
    fields: FieldReport,
}

/// Translates the client's request and waits for permits.
pub(super) async fn prepare(
    app: &App,
    body: Bytes,
    record: &mut Record,
    recording: Option<Recording>,
) -> Result<(Call, FieldReport), ApiError> {
    let prepared = if cost::is_offloaded(&body) {
        let (outcome, asked) = elsewhere(app.clone(), body.clone(), recording).await?;
        record.asked = asked;
        outcome?
    } else {
        translate(app, &body, &mut record.asked, recording, &Client::stays()).await?
    };
    // Queued requests are kept in one form only.
    drop(body);
    let Prepared { spec, plan, body, fields } = prepared;
    if plan.max_tokens.is_some() && !is_ready_to_count() {
        // If it fails, the answer itself will say so.
        let _ = spawn_blocking(get_ready_to_count).await;
    }
    let permits = app.0.upstream.acquire_permits(plan.choices).await?;
    Ok((Call { spec: Arc::new(spec), plan, body, permits }, fields))
}

/// [`translate`] on a blocking thread: long work would block the other answers on this thread.
async fn elsewhere(
    app: App,
    body: Bytes,
    recording: Option<Recording>,
) -> Result<(Result<Prepared, ApiError>, RequestInfo), ApiError> {
    let runtime = Handle::current();
    // Dropped together with this future, which is when the client leaves.
    let waiting = Arc::new(());
    let client = Client(Some(Arc::downgrade(&waiting)));
    let work = move || {
        let mut asked = RequestInfo::default();
        let outcome = runtime.block_on(async {
            // In addition to the body: a request never waits for its own memory.
            let room = cost::memory(&body);
            let _room = app.0.budget.reserve_beside(room, 2 * body.len()).await?;
            translate(&app, &body, &mut asked, recording, &client).await
        });
        (outcome, asked)
    };
    let outcome = spawn_blocking(work).await;
    drop(waiting);
    outcome.map_err(|error| match error.try_into_panic() {
        Ok(panic) => resume_unwind(panic),
        // It was cancelled before it began.
        Err(_) => ApiError::stopping(),
    })
}

/// Whether the client of long work still waits for it. What runs on a thread of its own cannot be
/// cancelled from outside.
struct Client(Option<Weak<()>>);

impl Client {
    /// A client whose disconnect cancels the work anyway.
    fn stays() -> Self {
        Self(None)
    }

    /// Ends the work if its client has left. Nobody sees the error.
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
    recording: Option<Recording>,
    client: &Client,
) -> Result<Prepared, ApiError> {
    client.still_waits()?;
    let whole = with_whole_characters(body);
    let value: Value<'_> = parse(&whole)?;
    client.still_waits()?;
    let chat = chat::request::Request::read(&value)?;
    // It goes into logs and metrics.
    asked.model = excerpt(chat.model).into_owned();
    asked.stream = chat.stream;
    // Once, for everything below: items encrypted for one account are not sent with another
    // account's token.
    let login = app.1.login().await?;
    let model = model(&app.resolve(chat.model).await?);
    asked.slug = Some(model.slug.clone());
    let policy = app.0.config.policy(login.platform);
    // Of several answers the client continues with one, and which one is not known.
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
    let Translated { request, conversation, plan, fields, replay: report } = translated;
    let without_replay =
        (!report.recalled.is_empty()).then(|| without_replay(body.clone(), model.clone(), policy));
    let replay = memory.map(|memory| {
        asked.recalled = Some((report.recalled.len(), report.turns));
        ReplayContext {
            memory: memory.clone(),
            scope: scope.clone(),
            history: report.history,
            recalled: report.recalled,
        }
    });
    let body = app.0.budget.overdraw(serde_json::to_vec(&request).map_err(ApiError::internal)?);
    let spec = CallSpec {
        client: app.1.clone(),
        login,
        metrics: app.0.metrics.clone(),
        prompt_bytes: body.len(),
        conversation,
        turn_state: report.turn_state,
        replay,
        recording,
    };
    let body = RetryableBody { body: body.into(), without_replay };
    Ok(Prepared { spec, plan: Arc::new(plan), body, fields })
}

/// Translates a request again, without the memory of turns. The client's body is kept for that
/// instead of a second translation, which is rarely needed.
fn without_replay(body: Bytes, model: request::Model, policy: Policy) -> WithoutReplay {
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

/// The body, with lone surrogates replaced: clients cut strings in the middle of an emoji, and JSON
/// parsers reject the result.
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

/// What the translation needs to know of a model.
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
