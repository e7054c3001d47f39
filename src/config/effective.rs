//! The effective settings as `codex-proxy config` prints them.

use std::fmt;

use toml::Value;

use super::source::Provenance;

/// What is in force and where each value came from; prints as TOML that can be a settings file.
#[derive(Debug, Clone, Default)]
pub struct Effective {
    sections: Vec<Section>,
}

#[derive(Debug, Clone)]
struct Section {
    name: String,
    entries: Vec<Entry>,
}

/// One value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    /// Already masked if it is a secret.
    pub(super) value: Value,
    pub(super) origin: Provenance,
}

impl Effective {
    /// What is not as it is by default: each setting, as in `[server] listen`, and who set it.
    pub fn changed(&self) -> impl Iterator<Item = (String, &Provenance)> {
        self.sections.iter().flat_map(|Section { name: section, entries }| {
            let set = entries.iter().filter(|entry| entry.origin != Provenance::Default);
            set.map(move |entry| (format!("[{section}] {}", entry.name), &entry.origin))
        })
    }

    /// The entries of `[name]`.
    pub(super) fn section(&mut self, name: &str) -> &mut Vec<Entry> {
        let at = self.sections.iter().position(|section| section.name == name);
        let at = at.unwrap_or_else(|| {
            self.sections.push(Section { name: name.to_owned(), entries: Vec::new() });
            self.sections.len() - 1
        });
        &mut self.sections[at].entries
    }

    /// The entries of `[section.key]`.
    pub(super) fn table(&mut self, section: &str, key: &str) -> &mut Vec<Entry> {
        self.section(&format!("{section}.{key}"))
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Section { name, entries }) in self.sections.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(f, "{gap}[{name}]")?;
            for Entry { name, value, origin } in entries {
                // A table of one entry, so that the key is quoted where TOML wants that.
                let line = toml::Table::from_iter([(name.clone(), value.clone())]).to_string();
                writeln!(f, "{}  # {origin}", line.trim_end())?;
            }
        }
        Ok(())
    }
}
