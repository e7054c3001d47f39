//! Settings of the translation.

use crate::platform::Platform;

/// What `max_completion_tokens` and `max_tokens` do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokens {
    /// They limit the visible text; with the public API they keep their meaning there.
    Visible,
    /// They are dropped.
    Ignore,
}

/// Where reasoning summaries go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reasoning {
    /// `reasoning_content`, as `DeepSeek` has it.
    ReasoningContent,
    /// `reasoning`, as `OpenRouter` has it.
    Reasoning,
    /// `<think>…</think>` at the start of the content.
    Think,
    /// Nowhere.
    None,
}

/// Where the model's preambles before tool calls go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commentary {
    /// Into the content.
    Content,
    /// Where reasoning goes.
    Reasoning,
}

/// All choices together, and which API they are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which API answers.
    pub platform: Platform,
    /// Reject fields with 400 that would be dropped.
    pub strict: bool,
    /// What `max_completion_tokens` and `max_tokens` do.
    pub max_tokens: MaxTokens,
    /// Where reasoning summaries go.
    pub reasoning: Reasoning,
    /// Where the model's preambles before tool calls go.
    pub commentary: Commentary,
    /// Whether encrypted reasoning is sent to clients, and accepted from them.
    pub reasoning_details: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            platform: Platform::Codex,
            strict: false,
            max_tokens: MaxTokens::Visible,
            reasoning: Reasoning::ReasoningContent,
            commentary: Commentary::Content,
            reasoning_details: false,
        }
    }
}
