//! Fields that the platform's public API takes and the Codex backend does not.

use crate::chat::json::Node;
use crate::json::Value;

/// Fields that the platform's public API takes and the Codex backend does not. Values of other
/// types than documented, and those that ask for what happens anyway, are absent.
#[derive(Debug, Default)]
pub struct PlatformOnly<'v> {
    /// From 0 to 2, not 1.
    pub temperature: Option<f64>,
    /// From 0 to 1, not 1.
    pub top_p: Option<f64>,
    /// An object, not empty.
    pub metadata: Option<&'v Value<'v>>,
    /// The end user, in the field that came first.
    pub user: Option<&'v str>,
    /// The end user.
    pub safety_identifier: Option<&'v str>,
    /// How long prompts are kept for caching.
    pub prompt_cache_retention: Option<&'v str>,
}

impl<'v> PlatformOnly<'v> {
    /// The fields that are read here.
    pub(super) const NAMES: &'static [&'static str] = &[
        "temperature",
        "top_p",
        "metadata",
        "user",
        "safety_identifier",
        "prompt_cache_retention",
    ];

    /// Reads those of the fields that `given` names. Their ranges are checked by then.
    pub(super) fn read(root: &Node<'_, 'v>, given: &[&'v str]) -> Self {
        let value = |name: &'v str| {
            given.contains(&name).then(|| root.get(name)).flatten().map(|node| node.value())
        };
        let text = |name: &'v str| value(name).and_then(Value::as_str);
        let number = |name: &'v str| value(name).and_then(Value::as_f64);
        Self {
            temperature: number("temperature"),
            top_p: number("top_p"),
            metadata: value("metadata"),
            user: text("user"),
            safety_identifier: text("safety_identifier"),
            prompt_cache_retention: text("prompt_cache_retention"),
        }
    }

    /// Whether the field of this name is here.
    pub fn has(&self, name: &str) -> bool {
        match name {
            "temperature" => self.temperature.is_some(),
            "top_p" => self.top_p.is_some(),
            "metadata" => self.metadata.is_some(),
            "user" => self.user.is_some(),
            "safety_identifier" => self.safety_identifier.is_some(),
            "prompt_cache_retention" => self.prompt_cache_retention.is_some(),
            _ => false,
        }
    }
}
