//! Which model a client means. Pure.

use std::sync::Arc;

use super::list::List;
use crate::config::{Models, UnknownModel as Policy};
use crate::dated::without_date;
use crate::effort::Effort;
use crate::excerpt::excerpt;
use crate::responses::model::ModelInfo;

/// The name that stands for whatever the person uses by default.
const DEFAULT: &str = "default";

/// The longest name that can stand for a model that is not listed: every chunk of the answer
/// repeats it.
const MAX_NAME: usize = 256;

/// Families of names that clients put before ours.
const PREFIXES: [&str; 2] = ["openai/", "codex/"];

/// The model that a client means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The name for the backend.
    pub slug: String,
    /// The effort that the client's name for the model asks for.
    pub effort: Option<Effort>,
    /// What is known of the model; nothing if the list lacks it.
    pub info: Option<Arc<ModelInfo>>,
    /// Whether it is meant only for being the first one of the list, which another list may not
    /// have.
    pub by_place: bool,
}

/// No model goes by this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "The model '{}' does not exist. Available models: {}.", excerpt(name), available.join(", ")
)]
pub struct UnknownModel {
    /// What the client asked for.
    pub name: String,
    /// What it could have asked for.
    pub available: Vec<String>,
}

/// Finds the model that a client calls `name`: a configured alias, a model's own name (after the
/// prefixes `openai/` and `codex/`), `default`, or one of these with an effort behind it, as in
/// `gpt-5.5-high`, `gpt-5.5:high` and `gpt-5.5 (high)`. A model whose own name ends like that wins.
/// Behind a model's name there may be a tag or a date, as in `gpt-5.5:latest` and
/// `gpt-5.5-2026-04-23`.
///
/// `codex_default` gives the `model` of the Codex CLI's settings, where it is needed. It is what `default` means, even if
/// the list lacks it; without it, that is the first model listed.
pub fn find(
    name: &str,
    list: &List,
    settings: &Models,
    codex_default: &dyn Fn() -> Option<String>,
) -> Option<Resolved> {
    let names = Names { list, settings, codex_default, takes_unlisted: false };
    let name = name.trim();
    names
        .direct(name)
        .or_else(|| names.with_effort(name))
        .or_else(|| names.with_effort(without_version(name)?))
}

/// The same, and what is to become of a name that is not found: it is the default model's, or an
/// unknown one, as `[models] unknown` says.
///
/// Only a list that `is_current`, the backend's own and a fresh one, turns a name down. Past any
/// other there are newer models, and the backend judges.
pub fn resolve(
    name: &str,
    list: &List,
    is_current: bool,
    settings: &Models,
    codex_default: &dyn Fn() -> Option<String>,
) -> Result<Resolved, UnknownModel> {
    let name = name.trim();
    let names = Names { list, settings, codex_default, takes_unlisted: !is_current };
    // No name of the backend's ends like that.
    let untagged = name.strip_suffix(LATEST).unwrap_or(name);
    find(name, list, settings, codex_default)
        .or_else(|| {
            let stands_for_any = settings.unknown == Policy::Default && name.len() <= MAX_NAME;
            stands_for_any.then(|| names.default_model())?
        })
        .or_else(|| names.with_effort(untagged))
        .or_else(|| names.direct(untagged))
        .ok_or_else(|| UnknownModel {
            name: name.to_owned(),
            available: list.listed().map(|model| model.slug.clone()).collect(),
        })
}

struct Names<'a> {
    list: &'a List,
    settings: &'a Models,
    codex_default: &'a dyn Fn() -> Option<String>,
    /// Whether what the list lacks may be a model all the same.
    takes_unlisted: bool,
}

impl Names<'_> {
    /// An alias, or what has the name itself.
    fn direct(&self, name: &str) -> Option<Resolved> {
        let plain = without_prefix(name);
        let aliases = &self.settings.aliases;
        match aliases.get(name).or_else(|| aliases.get(plain)) {
            // What an alias stands for is not looked up as an alias again: no chains, no loops.
            Some(target) => {
                let target = without_prefix(target);
                let with_effort = || {
                    let (base, effort) = split_effort(target)?;
                    self.own(base).map(|model| Resolved { effort: Some(effort), ..model })
                };
                self.listed(target).or_else(with_effort).or_else(|| self.own(target))
            }
            // A model whose own name has such a prefix wins.
            None => self.listed(name).or_else(|| self.own(plain)),
        }
        .or_else(|| self.direct(without_version(name)?))
    }

    /// A name with an effort behind it; it overrides that of an alias.
    fn with_effort(&self, name: &str) -> Option<Resolved> {
        let (base, effort) = split_effort(name)?;
        self.direct(base).map(|model| Resolved { effort: Some(effort), ..model })
    }

    fn own(&self, slug: &str) -> Option<Resolved> {
        self.listed(slug).or_else(|| {
            let is_taken = self.takes_unlisted && is_name(slug);
            is_taken.then(|| Resolved {
                slug: slug.to_owned(),
                effort: None,
                info: None,
                by_place: false,
            })
        })
    }

    fn listed(&self, slug: &str) -> Option<Resolved> {
        let found = self.list.find(slug).map(|info| Resolved {
            slug: info.slug.clone(),
            effort: None,
            info: Some(Arc::clone(info)),
            by_place: false,
        });
        found.or_else(|| (slug == DEFAULT).then(|| self.default_model())?)
    }

    fn default_model(&self) -> Option<Resolved> {
        let named = (self.codex_default)();
        let by_place = named.is_none();
        let slug = named.or_else(|| Some(self.list.first()?.slug.clone()))?;
        let info = self.list.find(&slug).map(Arc::clone);
        Some(Resolved { slug, effort: None, info, by_place })
    }
}

fn without_prefix(name: &str) -> &str {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name)
}

/// The tag that Ollama's clients put behind every name.
const LATEST: &str = ":latest";

/// The name without the tag `:latest`, which Ollama's clients put behind every name, or without the
/// date of a snapshot, which the backend does not know; nothing if there is neither.
fn without_version(name: &str) -> Option<&str> {
    let plain = name.strip_suffix(LATEST).unwrap_or_else(|| without_date(name, '-'));
    (plain.len() < name.len() && !plain.is_empty()).then_some(plain)
}

/// Whether it could be the name of a model: nothing else is asked of the backend.
fn is_name(slug: &str) -> bool {
    slug.len() <= MAX_NAME
        && slug.starts_with(|c: char| c.is_ascii_alphanumeric())
        && slug.bytes().all(|b| b.is_ascii_graphic())
}

/// `base-effort`, `base:effort` or `base (effort)`.
fn split_effort(name: &str) -> Option<(&str, Effort)> {
    let (base, word) = match name.strip_suffix(')') {
        Some(open) => open.rsplit_once('(')?,
        None => name.rsplit_once([':', '-'])?,
    };
    Some((base.trim_end(), Effort::parse(word)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::list::Source;
    use super::*;

    fn list() -> List {
        let body = br#"{"models": [
            {"slug": "gpt-9", "visibility": "list", "priority": 1},
            {"slug": "gpt-8-max", "visibility": "list", "priority": 2},
            {"slug": "gpt-8", "visibility": "list", "priority": 3},
            {"slug": "openai/gpt-oss", "visibility": "list", "priority": 4},
            {"slug": "hidden", "visibility": "hide", "priority": 0}]}"#;
        List::parse(body, Source::Backend).unwrap()
    }

    fn settings(aliases: &[(&str, &str)], unknown: Policy) -> Models {
        let owned = |(alias, model): &(&str, &str)| ((*alias).to_owned(), (*model).to_owned());
        Models { aliases: aliases.iter().map(owned).collect(), unknown }
    }

    #[test]
    fn names_lead_to_models_and_efforts() {
        let settings = settings(
            &[
                ("gpt-4o", "gpt-8"),
                ("quick", "openai/gpt-9-low"),
                ("loop", "loop"),
                ("chain", "quick"),
                ("gpt-8", "gpt-9"),
                ("mine", "default"),
                ("openai/odd", "hidden"),
            ],
            Policy::Reject,
        );
        let cases = [
            ("gpt-9", Some(("gpt-9", None))),
            ("  gpt-9\n", Some(("gpt-9", None))),
            ("openai/gpt-9", Some(("gpt-9", None))),
            ("codex/gpt-9", Some(("gpt-9", None))),
            ("openai/gpt-oss", Some(("openai/gpt-oss", None))),
            ("openai/gpt-oss-low", Some(("openai/gpt-oss", Some(Effort::Low)))),
            ("gpt-9-high", Some(("gpt-9", Some(Effort::High)))),
            ("gpt-9-none", Some(("gpt-9", Some(Effort::None)))),
            ("gpt-9-minimal", Some(("gpt-9", Some(Effort::Minimal)))),
            ("gpt-9:xhigh", Some(("gpt-9", Some(Effort::Xhigh)))),
            ("openai/gpt-9(medium)", Some(("gpt-9", Some(Effort::Medium)))),
            ("gpt-9 (low)", Some(("gpt-9", Some(Effort::Low)))),
            // A model's own name wins over the suffix, and may carry another.
            ("gpt-8-max", Some(("gpt-8-max", None))),
            ("gpt-8-max-low", Some(("gpt-8-max", Some(Effort::Low)))),
            // Aliases go first, even before models of the same name.
            ("gpt-8", Some(("gpt-9", None))),
            ("gpt-4o", Some(("gpt-8", None))),
            ("openai/gpt-4o", Some(("gpt-8", None))),
            ("gpt-4o-high", Some(("gpt-8", Some(Effort::High)))),
            ("quick", Some(("gpt-9", Some(Effort::Low)))),
            ("quick:max", Some(("gpt-9", Some(Effort::Max)))),
            ("mine", Some(("gpt-9", None))),
            ("openai/odd", Some(("hidden", None))),
            ("hidden", Some(("hidden", None))),
            ("default", Some(("gpt-9", None))),
            ("default-high", Some(("gpt-9", Some(Effort::High)))),
            // Tags and dates
            ("gpt-9:latest", Some(("gpt-9", None))),
            ("openai/gpt-9:latest", Some(("gpt-9", None))),
            ("gpt-9-2026-04-23", Some(("gpt-9", None))),
            ("gpt-9-2026-04-23:latest", Some(("gpt-9", None))),
            ("gpt-9-2026-04-23-high", Some(("gpt-9", Some(Effort::High)))),
            ("gpt-9-high:latest", Some(("gpt-9", Some(Effort::High)))),
            ("gpt-4o:latest", Some(("gpt-8", None))),
            ("gpt-4o-2024-08-06", Some(("gpt-8", None))),
            ("default:latest", Some(("gpt-9", None))),
            ("gpt-9-2026-04", None),
            ("gpt-9-26-04-23", None),
            ("gpt-9:newest", None),
            (":latest", None),
            ("-2026-04-23", None),
            ("loop", None),
            ("chain", None),
            ("gpt-9-ultra", Some(("gpt-9", Some(Effort::Ultra)))),
            ("gpt-9-low-high", None),
            ("GPT-9", None),
            ("anthropic/gpt-9", None),
            ("-high", None),
            ("(high)", None),
            ("", None),
        ];
        for (name, expected) in cases {
            let found = resolve(name, &list(), true, &settings, &|| None).ok();
            let found = found.as_ref().map(|model| (&*model.slug, model.effort));
            assert_eq!(found, expected, "{name:?}");
        }
    }

    #[test]
    fn the_default_is_that_of_the_codex_cli_even_if_it_is_not_listed() {
        let settings = settings(&[], Policy::Reject);
        let known =
            resolve("default", &list(), true, &settings, &|| Some("gpt-8".to_owned())).unwrap();
        assert_eq!((&*known.slug, known.info.is_some()), ("gpt-8", true));
        assert!(!known.by_place);
        let first = find("default-high", &list(), &settings, &|| None).unwrap();
        assert_eq!((&*first.slug, first.by_place), ("gpt-9", true));
        assert!(!find("gpt-9", &list(), &settings, &|| None).unwrap().by_place);
        let unlisted =
            resolve("default", &list(), true, &settings, &|| Some("gpt-7".to_owned())).unwrap();
        assert_eq!((&*unlisted.slug, unlisted.info), ("gpt-7", None));
    }

    #[test]
    fn an_unknown_model_is_refused_with_the_models_there_are() {
        let error = resolve(" gpt-3 ", &list(), true, &settings(&[], Policy::Reject), &|| None)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "The model 'gpt-3' does not exist. Available models: gpt-9, gpt-8-max, gpt-8, \
             openai/gpt-oss."
        );
    }

    #[test]
    fn an_unknown_model_can_mean_the_default_one() {
        let settings = settings(&[("lost", "gone")], Policy::Default);
        for name in ["gpt-3", "gpt-3-high", "lost", ""] {
            let model =
                resolve(name, &list(), true, &settings, &|| Some("gpt-8".to_owned())).unwrap();
            assert_eq!((&*model.slug, model.effort), ("gpt-8", None), "{name:?}");
        }
    }

    #[test]
    fn a_list_that_is_not_current_turns_no_name_down() {
        let aliases = [("new", "gpt-10"), ("quick", "gpt-10-low"), ("gpt-4o", "gpt-8")];
        for (name, expected) in [
            ("gpt-10", Some(("gpt-10", None))),
            (" openai/gpt-10", Some(("gpt-10", None))),
            ("gpt-10-high", Some(("gpt-10", Some(Effort::High)))),
            ("gpt-10 (ultra)", Some(("gpt-10", Some(Effort::Ultra)))),
            ("codex/gpt-10:max", Some(("gpt-10", Some(Effort::Max)))),
            ("new", Some(("gpt-10", None))),
            ("new-high", Some(("gpt-10", Some(Effort::High)))),
            ("quick", Some(("gpt-10", Some(Effort::Low)))),
            // What is listed goes before it.
            ("gpt-8-max", Some(("gpt-8-max", None))),
            ("gpt-9-high", Some(("gpt-9", Some(Effort::High)))),
            ("gpt-4o", Some(("gpt-8", None))),
            ("default", Some(("gpt-9", None))),
            // No names.
            ("", None),
            ("(high)", None),
            ("two words", None),
            ("gpt\u{7}", None),
        ] {
            let settings = settings(&aliases, Policy::Reject);
            let found = resolve(name, &list(), false, &settings, &|| None).ok();
            let found = found.as_ref().map(|model| (&*model.slug, model.effort));
            assert_eq!(found, expected, "{name:?}");
        }
        let long = "g".repeat(MAX_NAME + 1);
        assert!(resolve(&long, &list(), false, &settings(&[], Policy::Reject), &|| None).is_err());
        // What the owner has chosen stays.
        let settings = settings(&[], Policy::Default);
        let model = resolve("gpt-10", &list(), false, &settings, &|| None).unwrap();
        assert_eq!(model.slug, "gpt-9");
    }

    proptest! {
        #[test]
        fn no_name_makes_it_panic(name in "\\PC{0,20}[-:(]?(high|none|é)?\\)?") {
            let _ = resolve(&name, &list(), true, &settings(&[], Policy::Reject), &|| None);
        }
    }
}
