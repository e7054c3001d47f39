//! The models on offer, in the shape of the backend's `/models`.

use std::str::FromStr;

use serde::Serialize;
use serde_json::{Value, json};

use super::ids::digest;

/// How hard a model thinks, from least to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the backend's own")]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    Xhigh,
    Max,
    /// In the catalogue only: clients send it as `max`.
    Ultra,
}

impl Effort {
    /// The value on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
            Self::Ultra => "ultra",
        }
    }

    /// The effort of a request, if the API has one of that name at all.
    pub(super) fn from_wire(text: &str) -> Option<Self> {
        Self::ON_THE_WIRE.into_iter().find(|effort| effort.as_str() == text)
    }

    /// Every effort that a request may name.
    pub(super) const ON_THE_WIRE: [Self; 7] =
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];
}

/// A released version of the Codex CLI. Anything after the third number is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The text is not `MAJOR.MINOR.PATCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version has the form MAJOR.MINOR.PATCH, for example 0.144.0")]
pub struct NotAVersion;

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let core = text.split(['-', '+']).next().unwrap_or_default();
        let numbers: Result<Vec<u32>, _> = core.split('.').map(str::parse).collect();
        match numbers.as_deref() {
            Ok([major, minor, patch]) => Ok(Self(*major, *minor, *patch)),
            _ => Err(NotAVersion),
        }
    }
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The name in requests.
    pub slug: String,
    /// Its place in a picker; smaller is earlier.
    pub priority: u32,
    /// Whether pickers show it. Hidden models answer all the same.
    pub listed: bool,
    /// What is used when a request names no effort.
    pub default_effort: Effort,
    /// What a request may name.
    pub efforts: Vec<Effort>,
    /// The oldest client that may use it.
    pub minimal_client_version: Version,
    /// Tokens that fit into one request.
    pub context_window: u64,
}

impl Model {
    /// Encrypted reasoning is sealed to this: `gpt-5.6-sol` and `gpt-5.6-luna` share `gpt-5.6`.
    pub(super) fn family(&self) -> String {
        self.slug.splitn(3, '-').take(2).collect::<Vec<_>>().join("-")
    }

    /// Efforts that a request may name, as the backend lists them.
    pub(super) fn wire_efforts(&self) -> Vec<&'static str> {
        self.efforts
            .iter()
            .filter(|effort| **effort != Effort::Ultra)
            .map(|effort| effort.as_str())
            .collect()
    }

    /// The least effort on offer: with it the model answers without thinking first.
    pub(super) fn least_effort(&self) -> Effort {
        self.efforts.iter().copied().min().unwrap_or(Effort::None)
    }

    fn to_json(&self) -> Value {
        let levels: Vec<Value> = self
            .efforts
            .iter()
            .map(|effort| json!({ "effort": effort, "description": format!("{} effort", effort.as_str()) }))
            .collect();
        json!({
            "slug": self.slug,
            "display_name": self.slug.replacen("gpt", "GPT", 1),
            "description": "A simulated model.",
            "default_reasoning_level": self.default_effort,
            "supported_reasoning_levels": levels,
            "shell_type": "shell_command",
            "visibility": if self.listed { "list" } else { "hide" },
            "minimal_client_version": self.minimal_client_version.to_string(),
            "supported_in_api": true,
            "priority": self.priority,
            "upgrade": null,
            "additional_speed_tiers": ["fast"],
            "service_tiers": [{ "id": "priority", "name": "Fast", "description": "Faster answers" }],
            "default_service_tier": null,
            "supports_reasoning_summaries": true,
            "default_reasoning_summary": "none",
            "support_verbosity": true,
            "default_verbosity": "low",
            "supports_parallel_tool_calls": true,
            "supports_search_tool": true,
            "web_search_tool_type": "text_and_image",
            "input_modalities": ["text", "image"],
            "context_window": self.context_window,
            "max_context_window": self.context_window,
            "auto_compact_token_limit": null,
            "truncation_policy": { "mode": "tokens", "limit": 10_000 },
            "experimental_supported_tools": [],
            "prefer_websockets": true,
        })
    }
}

/// The models that [`Settings::default`](super::Settings) offers: three that need a newer
/// client, two long-standing ones, one hidden.
pub fn default_models() -> Vec<Model> {
    use Effort::{High, Low, Max, Medium, Ultra, Xhigh};
    let model = |slug: &str, priority, default_effort, efforts: &[Effort], version| Model {
        slug: slug.to_owned(),
        priority,
        listed: true,
        default_effort,
        efforts: efforts.to_vec(),
        minimal_client_version: version,
        context_window: 272_000,
    };
    let newest = Version(0, 144, 0);
    let four = [Low, Medium, High, Xhigh];
    let six = [Low, Medium, High, Xhigh, Max, Ultra];
    vec![
        model("gpt-5.6-sol", 1, Low, &six, newest),
        model("gpt-5.6-terra", 2, Medium, &six, newest),
        model("gpt-5.6-luna", 3, Medium, &six[..5], newest),
        model("gpt-5.5", 7, Medium, &four, Version(0, 124, 0)),
        Model { listed: false, ..model("gpt-5.4", 16, Medium, &four, Version(0, 98, 0)) },
        model("gpt-5.2", 29, Medium, &four, Version(0, 0, 1)),
    ]
}

/// The models with those of these names that are missing, each like the first one.
pub(super) fn with_models<'n>(
    mut models: Vec<Model>,
    names: impl IntoIterator<Item = &'n str>,
) -> Vec<Model> {
    for name in names {
        if !models.iter().any(|model| model.slug == name)
            && let Some(like) = models.first()
        {
            let slug = name.to_owned();
            models.push(Model { slug, minimal_client_version: Version(0, 0, 1), ..like.clone() });
        }
    }
    models
}

/// All models, and the tag of that list.
#[derive(Debug)]
pub(super) struct Catalogue {
    models: Vec<Model>,
    etag: String,
}

impl Catalogue {
    pub(super) fn new(models: Vec<Model>) -> Self {
        let list: Vec<Value> = models.iter().map(Model::to_json).collect();
        let tag = digest(&Value::from(list).to_string());
        Self { models, etag: format!("W/\"{tag}\"") }
    }

    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    pub(super) fn find(&self, slug: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.slug == slug)
    }

    /// The `/models` body for a client: what it is too old for is left out.
    pub(super) fn listing(&self, client: Version) -> Value {
        let models: Vec<Value> = self
            .models
            .iter()
            .filter(|model| model.minimal_client_version <= client)
            .map(Model::to_json)
            .collect();
        json!({ "models": models })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_three_numbers() {
        assert_eq!("0.144.0".parse(), Ok(Version(0, 144, 0)));
        assert_eq!("0.144.0-alpha.2".parse(), Ok(Version(0, 144, 0)));
        assert_eq!("1.0".parse::<Version>(), Err(NotAVersion));
        assert_eq!("".parse::<Version>(), Err(NotAVersion));
    }

    #[test]
    fn old_clients_are_not_shown_new_models() {
        let catalogue = Catalogue::new(default_models());
        let slugs = |version| -> Vec<String> {
            let listing = catalogue.listing(version);
            let models = listing["models"].as_array().unwrap();
            models.iter().map(|model| model["slug"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(slugs(Version(0, 124, 0)), ["gpt-5.5", "gpt-5.4", "gpt-5.2"]);
        assert_eq!(slugs(Version(1, 0, 0)).len(), 6);
    }

    #[test]
    fn a_family_is_the_first_two_parts_of_the_name() {
        let family = |slug| Catalogue::new(default_models()).find(slug).unwrap().family();
        assert_eq!(family("gpt-5.6-luna"), "gpt-5.6");
        assert_eq!(family("gpt-5.5"), "gpt-5.5");
    }
}
