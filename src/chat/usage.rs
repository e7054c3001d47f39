//! The usage of an answer, in the form of chat completions.

use serde::Serialize;

/// The usage of an answer, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// All of the input.
    pub prompt_tokens: u64,
    /// All of the output, reasoning included.
    pub completion_tokens: u64,
    /// The sum.
    pub total_tokens: u64,
    /// The input in parts.
    pub prompt_tokens_details: PromptDetails,
    /// The output in parts.
    pub completion_tokens_details: CompletionDetails,
}

/// The input in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    /// Tokens from the cache.
    pub cached_tokens: u64,
    /// Always 0: there is no audio.
    pub audio_tokens: u64,
    /// Tokens written to the cache, if the backend reports them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_tokens: Option<u64>,
}

/// The output in parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CompletionDetails {
    /// Tokens for reasoning.
    pub reasoning_tokens: u64,
    /// Always 0: there is no audio.
    pub audio_tokens: u64,
    /// Always 0: there are no predictions.
    pub accepted_prediction_tokens: u64,
    /// Always 0: there are no predictions.
    pub rejected_prediction_tokens: u64,
}
