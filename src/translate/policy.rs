//! What the owner of the daemon may choose about the translation.

use crate::platform::Platform;

/// What `max_completion_tokens` and `max_tokens` do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxTokens {
    /// They cap the visible text; where the public API answers, they cap what they cap there.
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
    /// Refuse with 400 what would be dropped.
    pub strict: bool,
    /// What `max_completion_tokens` and `max_tokens` do.
    pub max_tokens: MaxTokens,
    /// Where reasoning summaries go.
    pub reasoning: Reasoning,
    /// Where the model's preambles before tool calls go.
    pub commentary: Commentary,
    /// Whether sealed reasoning is given to clients, and taken back.
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
