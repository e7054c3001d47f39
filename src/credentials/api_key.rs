//! An API key of the OpenAI platform instead of a login.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

use super::file;
use super::login::Login;
use crate::plain_file;

/// The largest file that is read.
const LIMIT: u64 = 1 << 20;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    /// No source has one.
    #[error(
        "no API key: set the variable {variable}, or `[upstream] api_key_file`, or sign in to \
         Codex with a key"
    )]
    Nowhere {
        /// The variable that was asked.
        variable: String,
    },
    /// The named file cannot be read.
    #[error("cannot read the API key in {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// The key as a login: of the variable's value if there is one, else of the named file, else of
/// `auth_file`. Read once, at the start.
pub fn api_key(
    variable: &str,
    value: Option<OsString>,
    named_file: Option<&Path>,
    auth_file: &Path,
) -> Result<Arc<Login>, NoKey> {
    let nowhere = || NoKey::Nowhere { variable: variable.to_owned() };
    let from_variable = value.and_then(|value| text(&value.into_string().ok()?));
    let key = match (from_variable, named_file) {
        (Some(key), _) => key,
        (None, Some(path)) => {
            let content = plain_file::read_text(path, LIMIT)
                .map_err(|source| NoKey::Unreadable { path: path.to_owned(), source })?;
            text(&Zeroizing::new(content)).ok_or_else(nowhere)?
        }
        (None, None) => {
            let content = Zeroizing::new(plain_file::read(auth_file, LIMIT).unwrap_or_default());
            file::api_key(&content).ok_or_else(nowhere)?
        }
    };
    Ok(Arc::new(Login::api_key(key)))
}

fn text(text: &str) -> Option<SecretString> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn the_variable_goes_before_the_file_and_that_before_the_login() {
        let folder = tempfile::tempdir().unwrap();
        let (named, auth) = (folder.path().join("key"), folder.path().join("auth.json"));
        std::fs::write(&named, "sk-file\n").unwrap();
        std::fs::write(&auth, r#"{"OPENAI_API_KEY": "sk-auth"}"#).unwrap();
        let key = |value: Option<&str>, file: Option<&Path>| {
            let login = api_key("KEY", value.map(Into::into), file, &auth)?;
            Ok::<_, NoKey>(login.access_token.expose_secret().to_owned())
        };
        assert_eq!(key(Some(" sk-variable"), Some(&named)).unwrap(), "sk-variable");
        assert_eq!(key(Some(" "), Some(&named)).unwrap(), "sk-file");
        assert_eq!(key(None, None).unwrap(), "sk-auth");
        std::fs::write(&named, " ").unwrap();
        assert!(matches!(key(None, Some(&named)), Err(NoKey::Nowhere { .. })));
        let none = folder.path().join("none");
        assert!(matches!(key(None, Some(&none)), Err(NoKey::Unreadable { .. })));
        std::fs::remove_file(&auth).unwrap();
        assert!(key(None, None).unwrap_err().to_string().contains("the variable KEY"));
    }
}
