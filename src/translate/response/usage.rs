//! The usage of an answer.

use crate::chat::usage::{CompletionDetails, PromptDetails, Usage};
use crate::responses::event::TokenUsage;

/// The backend's usage in the form of chat completions.
pub(super) fn translate(usage: &TokenUsage) -> Usage {
    Usage {
        prompt_tokens: usage.input,
        completion_tokens: usage.output,
        total_tokens: usage.total.unwrap_or(usage.input.saturating_add(usage.output)),
        prompt_tokens_details: PromptDetails {
            cached_tokens: usage.cached,
            audio_tokens: 0,
            cache_write_tokens: usage.cache_write,
        },
        completion_tokens_details: CompletionDetails {
            reasoning_tokens: usage.reasoning,
            ..CompletionDetails::default()
        },
    }
}

/// An estimate for an answer that was truncated here, without usage from the backend: four bytes
/// per token.
pub(super) fn estimate(prompt_bytes: usize, completion_tokens: u64) -> Usage {
    let prompt_tokens = (prompt_bytes as u64 / 4).max(1);
    Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
        ..Usage::default()
    }
}

/// The total usage of several choices: the prompt counts once, as with OpenAI.
pub fn add(total: Usage, next: &Usage) -> Usage {
    let completion_tokens = total.completion_tokens.saturating_add(next.completion_tokens);
    Usage {
        completion_tokens,
        total_tokens: total.prompt_tokens.saturating_add(completion_tokens),
        completion_tokens_details: CompletionDetails {
            reasoning_tokens: total
                .completion_tokens_details
                .reasoning_tokens
                .saturating_add(next.completion_tokens_details.reasoning_tokens),
            ..total.completion_tokens_details
        },
        ..total
    }
}
