//! How a request is processed.

use serde::Serialize;

/// A service tier, as requests ask for it and answers tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// As usual: `default`.
    Default,
    /// Slower, at a lower cost: `flex`.
    Flex,
    /// Bought in advance: `scale`.
    Scale,
    /// Faster, at a higher cost to the plan: `priority`. The Codex backend takes no other.
    Priority,
}

impl ServiceTier {
    /// The tier of this name. Clients with closed sets fail on names they do not know, so unknown
    /// ones are the default; so is `auto`, which the first events contain before it is decided.
    pub fn from_upstream(name: Option<&str>) -> Self {
        match name {
            Some("priority" | "fast" | "ultrafast") => Self::Priority,
            Some("flex") => Self::Flex,
            Some("scale") => Self::Scale,
            _ => Self::Default,
        }
    }
}
