//! Which API answers.

/// Which API answers. Both speak the Responses protocol; they accept different requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Platform {
    /// The Codex backend, paid by a ChatGPT plan.
    #[default]
    Codex,
    /// The OpenAI platform's public API, paid by the token with a key.
    OpenAiApi,
}
