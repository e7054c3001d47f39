//! The settings file as TOML that knows on which line everything stands.

use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::source::{File, Problem, Provenance};

/// A parsed settings file.
pub(super) struct Document<'a> {
    path: Arc<Path>,
    text: &'a str,
    root: DeTable<'a>,
}

impl<'a> Document<'a> {
    /// Parses what can be parsed and reports the rest.
    pub(super) fn parse(file: &'a File) -> (Self, Vec<Problem>) {
        let (root, errors) = DeTable::parse_recoverable(&file.text);
        let path = Arc::from(file.path.as_path());
        let document = Self { path, text: &file.text, root: root.into_inner() };
        let problem = |error: toml::de::Error| Problem {
            origin: document.origin(error.span().map_or(0, |span| span.start)),
            setting: String::new(),
            // Only the message: the error's full text quotes the line, which may hold a secret.
            message: format!("invalid TOML: {}", error.message()),
        };
        let problems = errors.into_iter().map(problem).collect();
        (document, problems)
    }

    /// `[section] key`, if the file has it.
    pub(super) fn get(&self, section: &str, key: &str) -> Option<&Spanned<DeValue<'a>>> {
        member(member(&self.root, section)?.get_ref().as_table()?, key)
    }

    /// The line of a byte, as an origin.
    pub(super) fn origin(&self, offset: usize) -> Provenance {
        let line = 1 + self.text.get(..offset).unwrap_or_default().matches('\n').count();
        Provenance::File { path: Arc::clone(&self.path), line }
    }

    /// The sections: name, place, and the keys within or what stands there instead of a table.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&str, Provenance, Contents<'_>)> {
        self.root.iter().map(|(name, value)| {
            let contents = match value.get_ref().as_table() {
                Some(table) => Ok(table.keys().map(|key| self.place(key)).collect()),
                None => Err(value.get_ref().type_str()),
            };
            let (name, origin) = self.place(name);
            (name, origin, contents)
        })
    }

    fn place<'t>(&self, name: &'t Spanned<DeString<'a>>) -> (&'t str, Provenance) {
        (name.get_ref().as_ref(), self.origin(name.span().start))
    }
}

/// The keys of a section with their places, or the type of what is not a section.
pub(super) type Contents<'t> = Result<Vec<(&'t str, Provenance)>, &'static str>;

fn member<'t, 'a>(table: &'t DeTable<'a>, key: &str) -> Option<&'t Spanned<DeValue<'a>>> {
    table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
}
