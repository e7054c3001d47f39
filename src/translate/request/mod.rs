//! Builds a Responses request from a chat completion request.
//!
//! The request is built from the recognized fields only: nothing of the client's object is
//! forwarded unchecked. The same client request always gives the same bytes, or prompt caching is
//! lost.

mod aliases;
mod cache_key;
mod field_report;
mod format;
mod messages;
pub(super) mod paths;
mod platform;
mod schema;
mod tool_outputs;
mod tools;

use std::borrow::Cow;
use std::collections::BTreeSet;

use uuid::Uuid;

use self::messages::Converted;
use super::plan::Plan;
use super::policy::{MaxTokens, Policy, Reasoning};
use crate::chat;
use crate::chat::invalid_request::{Code, InvalidRequest};
use crate::chat::request::{EffortRequest, Summary};
use crate::conversation::ReplaySource;
use crate::effort::Effort;
use crate::platform::Platform;
use crate::responses::request as wire;

pub use field_report::FieldReport;
pub use messages::ReplayReport;
pub use paths::ClientPaths;

/// The most choices one request may ask for; each is a separate call and uses the plan.
pub const MAX_CHOICES: u32 = 8;

/// The properties of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name upstream.
    pub slug: String,
    /// The efforts it offers; empty if it is not known which.
    pub efforts: Vec<Effort>,
    /// The value sent for [`Effort::Ultra`], which only the Codex CLI knows.
    pub ultra: Effort,
    /// The effort that the client's spelling of the model asked for.
    pub effort: Option<Effort>,
    /// Whether it reasons at all.
    pub reasons: bool,
    /// Whether it supports `reasoning.summary`.
    pub summaries: bool,
    /// Whether it supports `text.verbosity`.
    pub verbosity: bool,
}

/// A translated request.
#[derive(Debug)]
pub struct Translated<'v> {
    /// What to send.
    pub request: wire::Request<'v>,
    /// The conversation's id, for the session headers.
    pub conversation: Uuid,
    /// The required form of the answer.
    pub plan: Plan,
    /// What was dropped and what is emulated.
    pub fields: FieldReport,
    /// The turns found in the memory.
    pub replay: ReplayReport,
}

/// Translates `chat` for `model`, with what is remembered of the conversation.
pub fn translate<'v>(
    chat: &chat::request::Request<'v>,
    model: &Model,
    policy: Policy,
    past: &ReplaySource<'_>,
) -> Result<Translated<'v>, InvalidRequest> {
    let mut fields = FieldReport::new(policy.strict);
    let public = platform::translate(chat, policy, &mut fields)?;
    let choices = check_choices(chat.n, &mut fields)?;
    if !chat.stop.is_empty() {
        fields.emulated_field("stop");
    }
    let is_capped = public.as_ref().is_some_and(|public| public.max_output_tokens.is_some());
    let max_tokens = match (chat.max_tokens, policy.max_tokens) {
        (None, _) => None,
        (Some(_), _) if is_capped => None,
        (Some(limit), MaxTokens::Visible) => {
            fields.emulated_field(limit.field);
            Some(limit.tokens)
        }
        (Some(limit), MaxTokens::Ignore) => {
            fields.dropped_field(limit.field)?;
            None
        }
    };

    let mut names = aliases::ToolAliases::default();
    let declared = tools::translate(chat, &mut names, &mut fields)?;
    let tool_choice = tools::translate_choice(chat, &declared, &mut names)?;
    let converted = messages::convert(&chat.messages, &mut names, past);
    let Converted { leading, items, has_names, sources, replay } = converted;
    if has_names {
        fields.emulated_field("messages.name");
    }
    let leading_count = leading.len();
    let placed = format::place_system(leading, items, chat.response_format.as_ref(), &mut fields)?;
    let mut origins = Vec::with_capacity(placed.input.len());
    origins.extend(placed.has_hint.then_some(None));
    origins.extend_from_slice(&sources[leading_count - placed.leading..]);
    let paths = ClientPaths::new(chat, declared.places, &placed.input, &origins);

    let service_tier = platform::service_tier(chat.service_tier, policy.platform, &mut fields)?;
    let verbosity = match chat.verbosity {
        Some(_) if !model.verbosity => {
            fields.dropped_field("verbosity")?;
            None
        }
        verbosity => verbosity.map(chat::request::Verbosity::as_str),
    };
    let format = format::translate(chat.response_format.as_ref());
    let reasoning_shown = if chat.reasoning.hidden { Reasoning::None } else { policy.reasoning };

    let mut request = wire::Request {
        model: Cow::Owned(model.slug.clone()),
        instructions: placed.instructions,
        parallel_tool_calls: parallel_tool_calls(chat, &declared.tools),
        tools: declared.tools,
        tool_choice,
        reasoning: reasoning(chat, model, reasoning_shown, policy.platform, &mut fields)?,
        text: (format.is_some() || verbosity.is_some()).then_some(wire::Text { format, verbosity }),
        service_tier,
        public,
        prompt_cache_key: Cow::Borrowed(""),
        include: if model.reasons { &[wire::Include::EncryptedReasoning] } else { &[] },
        store: wire::False,
        stream: wire::True,
        input: placed.input,
    };
    let key = cache_key::derive(&request, chat.prompt_cache_key, chat.user);
    request.prompt_cache_key = key.prompt_cache_key;

    let plan = Plan {
        model: chat.model.to_owned(),
        stream: chat.stream,
        include_usage: chat.include_usage,
        choices,
        stops: chat.stop.iter().map(|&stop| stop.to_owned()).collect(),
        max_tokens,
        legacy_functions: chat.legacy_functions,
        json: chat.response_format.is_some(),
        reasoning: reasoning_shown,
        commentary: policy.commentary,
        originals: names.into_originals(),
        custom_tools: owned(declared.custom),
        functions: owned(declared.functions),
        reasoning_details: policy.reasoning_details || chat.include_encrypted_reasoning,
        paths,
    };
    Ok(Translated { request, conversation: key.conversation, plan, fields, replay })
}

fn owned(names: BTreeSet<&str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

fn check_choices(n: u32, fields: &mut FieldReport) -> Result<u32, InvalidRequest> {
    if n > MAX_CHOICES {
        let message = format!(
            "Invalid 'n': integer above maximum value. Expected a value <= {MAX_CHOICES}, but \
             got {n} instead. Each choice is a separate call and counts against the plan."
        );
        return Err(InvalidRequest::new("n", Code::AboveMaximum, message));
    }
    if n > 1 {
        fields.emulated_field("n");
    }
    Ok(n)
}

/// The deprecated form can carry one call only.
fn parallel_tool_calls(
    chat: &chat::request::Request<'_>,
    tools: &[wire::Tool<'_>],
) -> Option<bool> {
    if tools.is_empty() {
        None
    } else if chat.legacy_functions {
        Some(false)
    } else {
        chat.parallel_tool_calls
    }
}

fn reasoning(
    chat: &chat::request::Request<'_>,
    model: &Model,
    shown: Reasoning,
    platform: Platform,
    fields: &mut FieldReport,
) -> Result<Option<wire::Reasoning>, InvalidRequest> {
    if !model.reasons {
        let asked = match chat.reasoning.effort {
            Some(EffortRequest::Effort(effort)) => Some(effort),
            // It is what such a model does.
            Some(EffortRequest::Least) => None,
            None => model.effort,
        };
        if asked.is_some_and(|effort| effort != Effort::None) {
            fields.dropped_field("reasoning_effort")?;
        }
        return Ok(None);
    }
    let effort = match chat.reasoning.effort {
        Some(EffortRequest::Effort(effort)) => Some(effort),
        // Where nothing is known of what the model offers, this one is offered by all.
        Some(EffortRequest::Least) if model.efforts.is_empty() => Some(Effort::Low),
        Some(EffortRequest::Least) => Some(Effort::None),
        None => model.effort,
    };
    let effort = effort.map(|effort| match effort {
        Effort::Ultra => model.ultra.clamp_to(&model.efforts),
        effort => effort.clamp_to(&model.efforts),
    });
    // The public API refuses it to organisations that are not verified: only if asked for.
    let is_wanted = platform == Platform::Codex || chat.reasoning.summary.is_some();
    let summary = (shown != Reasoning::None && model.summaries && is_wanted).then_some(match chat
        .reasoning
        .summary
    {
        None | Some(Summary::Auto) => "auto",
        Some(Summary::Concise) => "concise",
        Some(Summary::Detailed) => "detailed",
    });
    let is_said = effort.is_some() || summary.is_some();
    Ok(is_said.then_some(wire::Reasoning { effort, summary }))
}

#[cfg(test)]
mod tests;
