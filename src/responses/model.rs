//! The catalogue of models, as the backend and the Codex CLI's cache write it.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::effort::Effort;

/// What is known of one model. Everything but the slug may be missing: fields come and go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ModelInfo {
    /// The name in requests.
    pub slug: String,
    /// The name for people.
    #[serde(default, deserialize_with = "lenient")]
    pub display_name: Option<String>,
    /// One sentence about it.
    #[serde(default, deserialize_with = "lenient")]
    pub description: Option<String>,
    /// Whether people are offered it.
    #[serde(default, deserialize_with = "lenient")]
    pub visibility: Visibility,
    /// Its place in lists, ascending; without one it comes last.
    #[serde(default, deserialize_with = "lenient")]
    pub priority: Option<i64>,
    /// How many tokens of input it takes by default.
    #[serde(default, deserialize_with = "lenient")]
    pub context_window: Option<u64>,
    /// How many tokens of input it takes at most.
    #[serde(default, deserialize_with = "lenient")]
    pub max_context_window: Option<u64>,
    /// The efforts it offers.
    #[serde(default, rename = "supported_reasoning_levels")]
    pub efforts: Efforts,
    /// The effort it uses when none is asked for.
    #[serde(default, rename = "default_reasoning_level", deserialize_with = "effort")]
    pub default_effort: Option<Effort>,
    /// What the Codex CLI sends to it in place of `ultra`, a word of its own.
    #[serde(default, rename = "multi_agent_reasoning_effort", deserialize_with = "effort")]
    pub ultra: Option<Effort>,
    /// Whether it can call several tools at once.
    #[serde(default, deserialize_with = "lenient")]
    pub supports_parallel_tool_calls: Option<bool>,
    /// Whether `text.verbosity` means something to it.
    #[serde(default, deserialize_with = "lenient")]
    pub support_verbosity: Option<bool>,
    /// What it can be shown: `text`, `image`, `audio`.
    #[serde(default, deserialize_with = "lenient")]
    pub input_modalities: Vec<String>,
    /// The service tiers it can be asked for, besides the default.
    #[serde(default, deserialize_with = "lenient")]
    pub service_tiers: Vec<OfferedTier>,
    /// Whether `reasoning.summary` may be sent; the Codex CLI takes absence as yes.
    #[serde(default, deserialize_with = "lenient")]
    pub supports_reasoning_summary_parameter: Option<bool>,
    /// The Codex CLI's version that is needed for it.
    #[serde(default, deserialize_with = "lenient")]
    pub minimal_client_version: Option<String>,
    /// Whether the Codex CLI uses its trimmed request form with it.
    #[serde(default, deserialize_with = "lenient")]
    pub use_responses_lite: bool,
}

/// The efforts that a model offers, of those that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Efforts {
    words: Vec<Effort>,
    /// Whether these are all: entries that make no sense may stand for others.
    are_all: bool,
}

impl Efforts {
    /// These, and no others.
    pub fn all(words: Vec<Effort>) -> Self {
        Self { words, are_all: true }
    }

    /// The ones that are known of, in the catalogue's order.
    pub fn known(&self) -> &[Effort] {
        &self.words
    }

    /// The ones there are to choose from; nothing if there may be others.
    pub fn complete(&self) -> Option<&[Effort]> {
        self.are_all.then_some(&*self.words)
    }

    /// Whether the model reasons, as far as that is known.
    pub fn may_reason(&self) -> bool {
        !self.are_all || !self.words.is_empty()
    }
}

/// Reads `[{"effort": "low"}, …]` entry by entry: a bad one does not lose the others.
impl<'de> Deserialize<'de> for Efforts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let Some(levels) = value.as_array() else { return Ok(Self::default()) };
        let names: Vec<_> = levels
            .iter()
            .map(|level| level.as_str().or_else(|| level.get("effort")?.as_str()))
            .collect();
        let words: Vec<_> = names.iter().flatten().copied().filter_map(Effort::parse).collect();
        // New words beside known ones are nothing that anybody can ask for here.
        let are_all = names.iter().all(Option::is_some) && (names.is_empty() || !words.is_empty());
        Ok(Self { words, are_all })
    }
}

/// Whether people are offered a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Yes.
    List,
    /// No: internal, retired, or of a kind that is not known.
    #[default]
    Hide,
}

/// A service tier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct OfferedTier {
    /// The value of `service_tier`.
    pub id: String,
    /// The name for people.
    #[serde(default, deserialize_with = "lenient")]
    pub name: Option<String>,
}

/// Reads `{"models": […]}`, skipping entries that are not models: one bad entry does not lose the
/// others.
pub fn parse_list(body: &[u8]) -> serde_json::Result<Vec<ModelInfo>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        models: Vec<&'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_slice(body)?;
    let models = answer.models.into_iter().filter_map(|raw| serde_json::from_str(raw.get()).ok());
    Ok(models.filter(|model: &ModelInfo| !model.slug.is_empty()).collect())
}

/// Reads the list of the platform's public API, `{"data": [{"id": …}]}`, which has nothing but
/// names, and those of all models: only what can hold a conversation is offered. Reasoning models
/// get the efforts that all of them have.
pub fn parse_public_list(body: &[u8]) -> serde_json::Result<Vec<ModelInfo>> {
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<serde_json::Value>,
    }
    let answer: Answer = serde_json::from_slice(body)?;
    let slugs = answer.data.iter().filter_map(|model| model["id"].as_str());
    Ok(slugs.filter(|slug| !slug.is_empty()).map(of_public_name).collect())
}

fn of_public_name(slug: &str) -> ModelInfo {
    // Fine-tuned models bear the name of their base.
    let name = slug.strip_prefix("ft:").unwrap_or(slug);
    let is_o =
        name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let starts = |starts: &[&str]| starts.iter().any(|start| name.starts_with(start));
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let talks = (is_o || starts(&["gpt-", "chatgpt-", "codex-"]))
        && !has(&["audio", "realtime", "image", "tts", "transcribe", "instruct", "search"]);
    let reasons = (is_o || starts(&["gpt-5", "codex-"])) && !has(&["chat"]);
    ModelInfo {
        slug: slug.to_owned(),
        visibility: if talks { Visibility::List } else { Visibility::Hide },
        efforts: Efforts::all(if reasons {
            vec![Effort::Low, Effort::Medium, Effort::High]
        } else {
            Vec::new()
        }),
        ..ModelInfo::default()
    }
}

/// A value of another type than expected counts as absent.
fn lenient<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned + Default,
{
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

fn effort<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Effort>, D::Error> {
    let word: Option<String> = lenient(deserializer)?;
    Ok(word.as_deref().and_then(Effort::parse))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_list_has_only_names_which_tell_what_can_talk_and_reason() {
        for (slug, talks, reasons) in [
            ("gpt-5.5", true, true),
            ("gpt-5-chat-latest", true, false),
            ("gpt-4o", true, false),
            ("ft:gpt-4o:org", true, false),
            ("o3-mini", true, true),
            ("omni-moderation-latest", false, false),
            ("gpt-4o-realtime-preview", false, false),
            ("gpt-image-1", false, false),
            ("gpt-3.5-turbo-instruct", false, false),
            ("text-embedding-3-small", false, false),
            ("whisper-1", false, false),
        ] {
            let body =
                format!(r#"{{"object":"list","data":[{{"id":"{slug}","object":"model"}}, 7]}}"#);
            let [model] = &*parse_public_list(body.as_bytes()).unwrap() else { panic!("{slug}") };
            assert_eq!(model.slug, slug);
            assert_eq!(model.visibility == Visibility::List, talks, "{slug}");
            assert_eq!(model.efforts.may_reason(), reasons, "{slug}");
        }
        assert!(parse_public_list(b"{\"models\": []}").is_err());
    }

    #[test]
    fn a_model_is_read_with_what_it_offers() {
        let body = br#"{"models": [{
            "slug": "gpt-9", "display_name": "GPT-9", "visibility": "list", "priority": 1,
            "context_window": 272000, "max_context_window": null, "default_reasoning_level": "low",
            "supported_reasoning_levels": [{"effort": "low", "description": "x"},
                {"effort": "max", "description": "y"}, {"effort": "ultra", "description": "z"}],
            "supports_parallel_tool_calls": true, "support_verbosity": false,
            "input_modalities": ["text", "image"], "minimal_client_version": "0.144.0",
            "service_tiers": [{"id": "priority", "name": "Fast", "description": "1.5x"}],
            "multi_agent_reasoning_effort": "xhigh",
            "base_instructions": "long", "from_the_future": {"a": 1}
        }]}"#;
        let models = parse_list(body).unwrap();
        let expected = ModelInfo {
            slug: "gpt-9".to_owned(),
            display_name: Some("GPT-9".to_owned()),
            visibility: Visibility::List,
            priority: Some(1),
            context_window: Some(272_000),
            efforts: Efforts::all(vec![Effort::Low, Effort::Max, Effort::Ultra]),
            default_effort: Some(Effort::Low),
            ultra: Some(Effort::Xhigh),
            supports_parallel_tool_calls: Some(true),
            support_verbosity: Some(false),
            input_modalities: vec!["text".to_owned(), "image".to_owned()],
            service_tiers: vec![OfferedTier {
                id: "priority".to_owned(),
                name: Some("Fast".to_owned()),
            }],
            minimal_client_version: Some("0.144.0".to_owned()),
            ..ModelInfo::default()
        };
        assert_eq!(models, [expected]);
    }

    #[test]
    fn a_bad_entry_does_not_lose_the_others_and_a_bad_field_not_its_entry() {
        let body = br#"{"models": [7, {"display_name": "nameless"}, {"slug": ""}, null,
            {"slug": "a", "priority": "first", "visibility": 3, "input_modalities": "text",
             "supported_reasoning_levels": {"low": true}, "context_window": -1},
            {"slug": "b", "visibility": "secret"}]}"#;
        let models = parse_list(body).unwrap();
        assert_eq!(models.iter().map(|model| &*model.slug).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(models[0], ModelInfo { slug: "a".to_owned(), ..ModelInfo::default() });
        assert_eq!(models[1].visibility, Visibility::Hide);
    }

    #[test]
    fn efforts_are_read_one_by_one() {
        use Effort::{High, Low, Medium};
        for (levels, known, complete, may_reason) in [
            (
                r#"[{"effort":"low"},{"effort":"high","description":"x"}]"#,
                vec![Low, High],
                true,
                true,
            ),
            (r#"["low","high"]"#, vec![Low, High], true, true),
            (
                r#"[{"effort":"low"},{"level":"medium"},{"effort":"high"}]"#,
                vec![Low, High],
                false,
                true,
            ),
            (r#"[{"effort":"low"},null,7,{"effort":3}]"#, vec![Low], false, true),
            // A word from the future.
            (r#"[{"effort":"hyper"},{"effort":"medium"}]"#, vec![Medium], true, true),
            (r#"[{"effort":"hyper"}]"#, vec![], false, true),
            (r#"{"low":true}"#, vec![], false, true),
            ("null", vec![], false, true),
            (r#""low""#, vec![], false, true),
            // It does not reason.
            ("[]", vec![], true, false),
        ] {
            let body = format!(
                r#"{{"models":[{{"slug":"a","supported_reasoning_levels":{levels}}},{{"slug":"b"}}]}}"#
            );
            let models = parse_list(body.as_bytes()).unwrap();
            let [a, b] = &*models else { panic!("{levels}") };
            assert_eq!(a.efforts.known(), known, "{levels}");
            assert_eq!(a.efforts.complete().is_some(), complete, "{levels}");
            assert_eq!(a.efforts.may_reason(), may_reason, "{levels}");
            assert_eq!((b.efforts.complete(), b.efforts.may_reason()), (None, true));
        }
    }

    #[test]
    fn what_is_not_a_list_of_models_is_an_error() {
        for body in ["", "{}", "[]", "{\"models\": 1}", "<html>"] {
            assert!(parse_list(body.as_bytes()).is_err(), "{body:?}");
        }
    }
}
