//! A list of models and where it is from.

use std::sync::Arc;

use crate::responses::model::{ModelInfo, Visibility, parse_list, parse_public_list};

/// The models there are, at one moment.
#[derive(Debug, Clone)]
pub struct List {
    /// In the order of their priorities.
    models: Vec<Arc<ModelInfo>>,
    source: Source,
}

/// Where a list is from, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The backend.
    Backend,
    /// What the Codex CLI was told by the backend the last time it asked.
    Cache,
    /// This program: better than nothing, and ageing.
    Bundled,
}

impl List {
    /// A list of these models; `None` if people are offered none of them, which makes clients
    /// show nothing at all.
    pub fn new(mut models: Vec<ModelInfo>, source: Source) -> Option<Self> {
        models.sort_by_key(|model| model.priority.unwrap_or(i64::MAX));
        let list = Self { models: models.into_iter().map(Arc::new).collect(), source };
        list.first().is_some().then_some(list)
    }

    /// Reads a list in the backend's form, `{"models": […]}`, or in that of the public API, which
    /// says nothing of its models: what is known by heart of the same ones is taken for it.
    pub fn parse(body: &[u8], source: Source) -> Option<Self> {
        let models = parse_list(body).or_else(|_| {
            let known = Self::bundled();
            let more = |model: ModelInfo| match known.find(&model.slug) {
                Some(known) => ModelInfo::clone(known),
                None => model,
            };
            parse_public_list(body).map(|models| models.into_iter().map(more).collect())
        });
        Self::new(models.ok()?, source)
    }

    /// The list that this program knows by heart.
    pub(super) fn bundled() -> Self {
        let models = parse_list(include_bytes!("bundled.json")).unwrap_or_default();
        Self::new(models, Source::Bundled)
            .unwrap_or(Self { models: Vec::new(), source: Source::Bundled })
    }

    /// The models that people are offered, in order.
    pub fn listed(&self) -> impl Iterator<Item = &Arc<ModelInfo>> {
        self.models.iter().filter(|model| model.visibility == Visibility::List)
    }

    /// The first model that people are offered.
    pub fn first(&self) -> Option<&Arc<ModelInfo>> {
        self.listed().next()
    }

    /// The model with exactly this name, hidden or not.
    pub fn find(&self, slug: &str) -> Option<&Arc<ModelInfo>> {
        self.models.iter().find(|model| model.slug == slug)
    }

    /// Where the list is from.
    pub fn source(&self) -> Source {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effort::Effort;

    #[test]
    fn the_visible_models_are_listed_by_priority_and_the_hidden_ones_can_be_found() {
        let body = br#"{"models": [{"slug": "last", "visibility": "list"},
            {"slug": "second", "visibility": "list", "priority": 2},
            {"slug": "hidden", "visibility": "hide", "priority": 0},
            {"slug": "first", "visibility": "list", "priority": 1}]}"#;
        let list = List::parse(body, Source::Backend).unwrap();
        let slugs: Vec<_> = list.listed().map(|model| &*model.slug).collect();
        assert_eq!(slugs, ["first", "second", "last"]);
        assert!(list.find("hidden").is_some());
        assert!(list.find("none").is_none());
    }

    #[test]
    fn the_list_of_the_public_api_is_read_and_what_is_known_of_its_models_is_added() {
        let body = br#"{"object": "list", "data": [{"id": "whisper-1"}, {"id": "gpt-4o"},
            {"id": "gpt-5.5", "object": "model", "created": 1, "owned_by": "system"}]}"#;
        let list = List::parse(body, Source::Backend).unwrap();
        let slugs: Vec<_> = list.listed().map(|model| &*model.slug).collect();
        assert_eq!(slugs, ["gpt-5.5", "gpt-4o"], "those that are known come first");
        assert_eq!(list.find("gpt-5.5"), List::bundled().find("gpt-5.5"));
        assert!(list.find("whisper-1").is_some());
    }

    #[test]
    fn a_list_that_offers_nothing_is_none() {
        for body in ["{\"models\": []}", "{\"models\": [{\"slug\": \"a\"}]}", "no"] {
            assert!(List::parse(body.as_bytes(), Source::Cache).is_none(), "{body}");
        }
    }

    #[test]
    fn the_bundled_list_is_that_of_the_codex_cli() {
        let list = List::bundled();
        let listed: Vec<_> = list.listed().map(|model| &*model.slug).collect();
        let expected = "gpt-6.2-sol gpt-6.2-astra gpt-6.1-terra gpt-6.1-sol gpt-6-astra gpt-6-sol \
                        gpt-6-luna gpt-5.6-sol gpt-5.6-terra gpt-5.6-luna gpt-5.5";
        assert_eq!(listed.join(" "), expected);
        for (slug, ultra, window) in [
            ("gpt-6.2-sol", Some(Effort::Xhigh), 500_000),
            ("gpt-6-sol", None, 272_000),
            ("gpt-daybreak-red-latest", None, 372_000),
        ] {
            let model = list.find(slug).unwrap();
            assert_eq!((model.ultra, model.context_window), (ultra, Some(window)), "{slug}");
        }
        let luna = list.find("gpt-6-luna").unwrap();
        assert!(!luna.efforts.known().contains(&Effort::Ultra));
    }

    #[test]
    fn the_bundled_list_offers_models_with_their_efforts_and_windows() {
        let list = List::bundled();
        assert_eq!(list.source(), Source::Bundled);
        assert!(list.listed().count() >= 4);
        for model in list.listed() {
            let efforts = model.efforts.complete().unwrap_or_default();
            assert!(model.default_effort.is_some_and(|effort| efforts.contains(&effort)));
            assert!(model.context_window.is_some(), "{}", model.slug);
        }
    }
}
