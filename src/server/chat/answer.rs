//! What both forms of an answer have: its id, its headers, its usage.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::REQUEST_ID;
use super::reader::Choice;
use crate::chat::delta::{Heading, ReasoningField, ServiceTier};
use crate::chat::usage::Usage;
use crate::printable::is_plain_name;
use crate::server::App;
use crate::server::error::UPSTREAM_REQUEST_ID;
use crate::translate::plan::Plan;
use crate::translate::policy::Reasoning;
use crate::translate::response::{Reader, add_usage};

/// The backend's headers of the answer, as our own headers.
pub(super) fn describe(app: &App, choice: Option<&Choice>, headers: &mut HeaderMap) {
    let Some(choice) = choice else { return };
    let head = choice.head();
    if let Some(etag) = &head.models_etag {
        app.0.catalogue.observe_etag(etag);
    }
    let model = head.model.as_deref().or(choice.reader().upstream_model());
    if let Some(model) = model.filter(|model| is_plain_name(model)) {
        insert(headers, "x-codex-proxy-upstream-model", model);
    }
    if let Some(id) = head.request_id.as_deref().filter(|id| is_plain_name(id))
        && let Ok(id) = HeaderValue::from_str(id)
    {
        headers.insert(UPSTREAM_REQUEST_ID, id);
    }
    // The public API's own. They cannot express a plan's limits: they count requests and tokens,
    // and a plan has only percentages, which `GET /v1/usage` reports.
    headers.extend(head.rate_limits.clone());
}

pub(super) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

pub(super) fn reasoning_field(plan: &Plan) -> ReasoningField {
    match plan.reasoning {
        Reasoning::Reasoning => ReasoningField::Reasoning,
        _ => ReasoningField::ReasoningContent,
    }
}

pub(super) fn total_usage<'r>(
    mut readers: impl Iterator<Item = &'r Reader>,
    prompt_bytes: usize,
) -> Usage {
    let Some(first) = readers.next() else { return Usage::default() };
    readers.fold(first.usage(prompt_bytes), |total, reader| {
        add_usage(total, &reader.usage(prompt_bytes))
    })
}

/// The identity of an answer.
#[derive(Debug)]
pub(super) struct Identity {
    id: String,
    created: u64,
    model: String,
}

impl Identity {
    /// The random part is that of the request's id.
    pub(super) fn new(plan: &Plan, request_id: &str) -> Self {
        let random = request_id.strip_prefix(REQUEST_ID).unwrap_or(request_id);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { id: format!("chatcmpl-{random}"), created: now.as_secs(), model: plan.model.clone() }
    }

    pub(super) fn heading(&self, service_tier: ServiceTier) -> Heading {
        Heading {
            id: self.id.clone(),
            created: self.created,
            model: self.model.clone(),
            service_tier,
        }
    }
}
