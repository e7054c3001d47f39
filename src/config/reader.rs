//! Finds each setting in its sources, notes where it was found, and collects what is wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::document::Document;
use super::effective::{Effective, Entry};
use super::source::{Error, Problem, Provenance, Sources, variable};
use super::value::{FromSource, TableEntry, ToToml};

/// The setting was refused; why is among the reader's problems.
#[derive(Debug, Clone, Copy)]
pub(super) struct Invalid;

/// A setting's name and what it may be.
#[derive(Clone, Copy)]
pub(super) struct Key<'a> {
    section: &'static str,
    name: &'static str,
    allowed: &'a str,
}

/// A key, in words for messages: what values it may have.
pub(super) fn key<'a>(section: &'static str, name: &'static str, allowed: &'a str) -> Key<'a> {
    Key { section, name, allowed }
}

/// Reads one setting after the other; a refused one does not stop the next.
pub(super) struct SettingsReader<'a> {
    sources: &'a Sources,
    file: Option<Document<'a>>,
    known: BTreeMap<&'static str, Vec<&'static str>>,
    effective: Effective,
    problems: Vec<Problem>,
}

impl<'a> SettingsReader<'a> {
    /// Parses the file; what is wrong with its syntax is kept for [`SettingsReader::finish`].
    pub(super) fn new(sources: &'a Sources) -> Self {
        let (file, problems) = sources.file.as_ref().map(Document::parse).unzip();
        Self {
            sources,
            file,
            known: BTreeMap::new(),
            effective: Effective::default(),
            problems: problems.unwrap_or_default(),
        }
    }

    /// A variable that is not one of ours.
    pub(super) fn foreign_variable(&self, name: &str) -> Option<String> {
        self.sources.environment.get(name)?.to_str().map(str::to_owned)
    }

    /// What `~` stands for.
    pub(super) fn home(&self) -> Option<PathBuf> {
        self.sources.home.clone()
    }

    /// Reads a setting.
    pub(super) fn take<F: FromSource, T: ToToml>(
        &mut self,
        key: Key<'_>,
        default: F,
        check: impl FnOnce(F) -> Result<T, String>,
    ) -> Result<T, Invalid> {
        self.take_or(key, (Provenance::Default, default), check)
    }

    /// Reads a setting whose default comes from somewhere.
    pub(super) fn take_or<F: FromSource, T: ToToml>(
        &mut self,
        key: Key<'_>,
        default: (Provenance, F),
        check: impl FnOnce(F) -> Result<T, String>,
    ) -> Result<T, Invalid> {
        let (origin, written) = self.find(key).unwrap_or((default.0, Ok(default.1)));
        match written.and_then(check) {
            Ok(value) => {
                let entry = Entry { name: key.name.to_owned(), value: value.show(), origin };
                self.effective.section(key.section).push(entry);
                Ok(value)
            }
            Err(reason) => Err(self.refuse(origin, key, None, &reason)),
        }
    }

    /// Reads a setting that is one of several words; the first is the default.
    pub(super) fn choose<T: Copy>(
        &mut self,
        section: &'static str,
        name: &'static str,
        words: &[(&'static str, T)],
    ) -> Result<T, Invalid> {
        let quoted: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let meaning = |word: &str| words.iter().find(|known| known.0 == word).map(|known| known.1);
        let default = words.first().map_or("", |known| known.0).to_owned();
        let known = |word: String| match meaning(&word) {
            Some(_) => Ok(word),
            None => Err(format!("\"{word}\" is not known")),
        };
        let word = self.take(key(section, name, &quoted.join(", ")), default, known)?;
        meaning(&word).ok_or(Invalid)
    }

    /// Reads a table with free keys; entries named by `secret` are printed masked. A variable
    /// replaces the file's table as a whole.
    pub(super) fn entries<T>(
        &mut self,
        key: Key<'_>,
        secret: fn(&str) -> bool,
        check: impl Fn(&str, &str) -> Result<T, String>,
    ) -> Result<Vec<T>, Invalid> {
        let (origin, written) = self.find(key).unwrap_or((Provenance::Default, Ok(Vec::new())));
        let pairs: Vec<TableEntry> =
            written.map_err(|reason| self.refuse(origin.clone(), key, None, &reason))?;
        self.effective.table(key.section, key.name);
        let mut taken = Ok(Vec::new());
        for TableEntry { name, text, offset } in pairs {
            let origin = self
                .file
                .as_ref()
                .zip(offset)
                .map_or_else(|| origin.clone(), |(file, offset)| file.origin(offset));
            let text = text.ok_or_else(|| format!("expected {}", String::NAME));
            match text.and_then(|text| check(&name, &text).map(|value| (text, value))) {
                Ok((text, value)) => {
                    let shown = if secret(&name) { "***".to_owned() } else { text };
                    let entry = Entry { name, value: shown.show(), origin };
                    self.effective.table(key.section, key.name).push(entry);
                    if let Ok(taken) = &mut taken {
                        taken.push(value);
                    }
                }
                Err(reason) => taken = Err(self.refuse(origin, key, Some(&name), &reason)),
            }
        }
        taken
    }

    /// What was read, or all that was wrong, unknown names included.
    pub(super) fn finish<T>(mut self, read: Result<T, Invalid>) -> Result<(T, Effective), Error> {
        self.refuse_unknown_keys();
        self.refuse_unknown_variables();
        match read {
            Ok(value) if self.problems.is_empty() => Ok((value, self.effective)),
            _ => Err(Error::Invalid(without_echoes(self.problems))),
        }
    }

    /// The first source that has a say, and what it says if that has the right form.
    fn find<F: FromSource>(&mut self, key: Key<'_>) -> Option<(Provenance, Result<F, String>)> {
        self.known.entry(key.section).or_default().push(key.name);
        let read = |text: &str| F::from_text(text).ok_or_else(|| format!("expected {}", F::NAME));
        if let Some((name, text)) = self.sources.flags.get(key.section, key.name) {
            return Some((Provenance::Flag { name }, read(text)));
        }
        let name = variable(key.section, key.name);
        if let Some(value) = self.sources.environment.get(&name) {
            let text = value.to_str().ok_or_else(|| "it is not UTF-8".to_owned());
            return Some((Provenance::Environment { name }, text.and_then(read)));
        }
        let file = self.file.as_ref()?;
        let spanned = file.get(key.section, key.name)?;
        let (origin, value) = (file.origin(spanned.span().start), spanned.get_ref());
        let read = F::from_toml(value)
            .ok_or_else(|| format!("expected {}, found {}", F::NAME, value.type_str()));
        Some((origin, read))
    }

    fn refuse(
        &mut self,
        origin: Provenance,
        key: Key<'_>,
        entry: Option<&str>,
        why: &str,
    ) -> Invalid {
        let setting = match entry {
            Some(entry) => format!("[{}.{}] {entry}", key.section, key.name),
            None => format!("[{}] {}", key.section, key.name),
        };
        let message = format!("{why}; allowed: {}", key.allowed);
        self.problems.push(Problem { origin, setting, message });
        Invalid
    }

    fn refuse_unknown_keys(&mut self) {
        let Some(file) = &self.file else { return };
        let all =
            || self.known.keys().map(|name| format!("[{name}]")).collect::<Vec<_>>().join(", ");
        for (section, origin, contents) in file.sections() {
            let setting = format!("[{section}]");
            match (self.known.get(section), contents) {
                (None, _) => {
                    let message = format!("unknown section; allowed: {}", all());
                    self.problems.push(Problem { origin, setting, message });
                }
                (Some(known), Err(found)) => {
                    let keys = known.join(", ");
                    let message = format!("expected a table, found {found}; allowed in it: {keys}");
                    self.problems.push(Problem { origin, setting, message });
                }
                (Some(known), Ok(keys)) => {
                    for (key, origin) in keys {
                        if !known.contains(&key) {
                            let setting = format!("[{section}] {key}");
                            let message = format!("unknown key; allowed: {}", known.join(", "));
                            self.problems.push(Problem { origin, setting, message });
                        }
                    }
                }
            }
        }
    }

    /// Variables that start like one of our sections. Others that start with our name are not
    /// ours to judge: tests and containers set some.
    fn refuse_unknown_variables(&mut self) {
        for (section, keys) in &self.known {
            let names: Vec<_> = keys.iter().map(|key| variable(section, key)).collect();
            for name in self.sources.environment.names_with(&variable(section, "")) {
                if !names.iter().any(|known| known == name) {
                    self.problems.push(Problem {
                        origin: Provenance::Environment { name: name.to_owned() },
                        setting: String::new(),
                        message: format!("unknown setting; allowed: {}", names.join(", ")),
                    });
                }
            }
        }
    }
}

/// The problems without those about the value of a line that is not even TOML.
fn without_echoes(problems: Vec<Problem>) -> Vec<Problem> {
    let (syntax, rest): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.setting.is_empty());
    let is_echo = |problem: &Problem| syntax.iter().any(|other| other.origin == problem.origin);
    let rest: Vec<_> = rest.into_iter().filter(|problem| !is_echo(problem)).collect();
    syntax.into_iter().chain(rest).collect()
}
