//! The little that matters here of the Codex CLI's own `config.toml`.

use std::path::Path;

use toml::de::DeTable;

use crate::plain_file;

/// Larger files are no settings.
const LIMIT: u64 = 4 << 20;

/// Settings of the Codex CLI.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodexConfig {
    /// `model`: what the person uses by default.
    pub model: Option<String>,
    /// `cli_auth_credentials_store`: `file` (also if absent), `keyring`, `auto` or `ephemeral`.
    pub credentials_store: Option<String>,
}

impl CodexConfig {
    /// Reads `config.toml` in `codex_home`; whatever is missing or unreadable is absent. It is a
    /// small local file: this blocks for as long as reading one takes.
    pub fn read(codex_home: &Path) -> Self {
        let text =
            plain_file::read_text(&codex_home.join("config.toml"), LIMIT).unwrap_or_default();
        Self::parse(&text)
    }

    /// Takes what can be made out, even of a file that is not valid TOML: complaining about it is
    /// the Codex CLI's part.
    fn parse(text: &str) -> Self {
        let (root, _) = DeTable::parse_recoverable(text);
        let string = |key: &str| {
            let value = root.get_ref().iter().find(|(name, _)| name.get_ref() == key)?.1;
            let text = value.get_ref().as_str()?.trim();
            (!text.is_empty()).then(|| text.to_owned())
        };
        Self { model: string("model"), credentials_store: string("cli_auth_credentials_store") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_can_be_made_out_is_taken() {
        let cases = [
            ("", None, None),
            ("model = \"gpt-5.5\"", Some("gpt-5.5"), None),
            ("model = 5\ncli_auth_credentials_store = \"keyring\"", None, Some("keyring")),
            ("model = \" \"", None, None),
            ("[profiles.x]\nmodel = \"gpt-5.2\"", None, None),
            ("model = \"gpt-5.5\"\nbroken = = 1\n[a", Some("gpt-5.5"), None),
        ];
        for (text, model, store) in cases {
            let config = CodexConfig::parse(text);
            let found = (config.model.as_deref(), config.credentials_store.as_deref());
            assert_eq!(found, (model, store), "{text:?}");
        }
    }

    #[test]
    fn a_missing_file_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(CodexConfig::read(folder.path()), CodexConfig::default());
    }
}
