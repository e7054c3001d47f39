//! Fields that the platform's public API takes: forwarded there, dropped where Codex answers.

use super::field_report::FieldReport;
use crate::chat::invalid_request::InvalidRequest;
use crate::chat::request::Request;
use crate::platform::Platform;
use crate::responses::request as wire;
use crate::service_tier::ServiceTier;
use crate::translate::policy::{MaxTokens, Policy};

/// The least that the public API takes for `max_output_tokens`.
const MIN_OUTPUT_TOKENS: usize = 16;

/// What the public API gets besides, if it is the one that answers. All other fields that the
/// Codex backend has no counterpart for are noted.
pub(super) fn translate<'v>(
    chat: &Request<'v>,
    policy: Policy,
    notes: &mut FieldReport,
) -> Result<Option<wire::PlatformOnly<'v>>, InvalidRequest> {
    let is_public = policy.platform == Platform::OpenAiApi;
    for field in &chat.unsupported_fields {
        if !(is_public && chat.public.has(field)) {
            notes.dropped_field(field)?;
        }
    }
    if !is_public {
        return Ok(None);
    }
    let limit = chat.max_tokens.filter(|_| policy.max_tokens == MaxTokens::Visible);
    let given = &chat.public;
    Ok(Some(wire::PlatformOnly {
        max_output_tokens: limit.map(|limit| limit.tokens.max(MIN_OUTPUT_TOKENS)),
        temperature: given.temperature,
        top_p: given.top_p,
        metadata: given.metadata,
        user: given.user,
        safety_identifier: given.safety_identifier,
        prompt_cache_retention: given.prompt_cache_retention,
    }))
}

/// The tier, where there is such a thing.
pub(super) fn service_tier(
    wanted: Option<ServiceTier>,
    platform: Platform,
    notes: &mut FieldReport,
) -> Result<Option<ServiceTier>, InvalidRequest> {
    Ok(match (wanted, platform) {
        // The default is what the Codex backend does anyway.
        (Some(ServiceTier::Default), Platform::Codex) => None,
        (Some(ServiceTier::Flex | ServiceTier::Scale), Platform::Codex) => {
            notes.dropped_field("service_tier")?;
            None
        }
        (wanted, _) => wanted,
    })
}
