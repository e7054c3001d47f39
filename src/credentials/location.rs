//! The file of the login, and the files next to it.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::config::{self, LoginStore};

pub(super) use crate::config::ACCESS_TOKEN_VARIABLE;

/// The file of the login, or its variable.
#[derive(Debug, Clone)]
pub struct Location {
    /// The file as named: perhaps a symbolic link.
    pub path: PathBuf,
    /// Who owns the login.
    pub keeper: LoginStore,
    /// The folder of the Codex CLI.
    pub codex_home: PathBuf,
    /// The value of `CODEX_ACCESS_TOKEN`, which takes precedence over the file.
    pub access_token: Option<SecretString>,
}

impl Location {
    /// The file that the settings choose.
    pub fn of(settings: &config::Auth) -> Self {
        let path = match settings.store {
            LoginStore::Codex => settings.codex_home.join("auth.json"),
            // Without a home directory it is here, or the folder could not be named.
            LoginStore::Own => {
                config::own_login_file().unwrap_or_else(|| "codex-proxy-auth.json".into())
            }
        };
        Self {
            path,
            keeper: settings.store,
            codex_home: settings.codex_home.clone(),
            // It is the Codex CLI's, as its file is.
            access_token: settings
                .access_token
                .clone()
                .filter(|_| settings.store == LoginStore::Codex),
        }
    }

    /// The location for messages.
    pub fn place(&self) -> String {
        match self.access_token {
            Some(_) => format!("the variable {ACCESS_TOKEN_VARIABLE}"),
            None => self.path.display().to_string(),
        }
    }

    /// The file that the Codex CLI uses.
    pub fn shared(codex_home: &Path) -> Self {
        Self {
            path: codex_home.join("auth.json"),
            keeper: LoginStore::Codex,
            codex_home: codex_home.to_owned(),
            access_token: None,
        }
    }

    /// The paths to work on, after following links.
    pub(super) fn places(&self) -> Places {
        let codex_locks = match self.keeper {
            // Beside the name, and not beside what it links to: that is where the Codex CLI has them.
            LoginStore::Codex => {
                CODEX_LOCKS.iter().map(|name| self.path.with_file_name(name)).collect()
            }
            LoginStore::Own => Vec::new(),
        };
        Places::of(followed(&self.path), codex_locks)
    }
}

/// The files that the Codex CLI locks while it writes `auth.json`, in its order (0.171).
const CODEX_LOCKS: [&str; 2] = ["auth.lock", "auth.json.lock"];

/// The file itself and its companions.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The file; not a link.
    pub(super) target: PathBuf,
    /// The temporary file.
    pub(super) temp: PathBuf,
    /// The lock of this program's processes for a whole renewal.
    pub(super) renewal_lock: PathBuf,
    /// What the Codex CLI and this program lock around reading, merging and writing, in this order.
    pub(super) codex_locks: Vec<PathBuf>,
}

impl Places {
    fn of(target: PathBuf, codex_locks: Vec<PathBuf>) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            temp: target.with_file_name(format!(".{name}.new")),
            renewal_lock: target.with_file_name(format!("{name}.codex-proxy.lock")),
            codex_locks,
            target,
        }
    }

    pub(super) fn folder(&self) -> &Path {
        match self.target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

/// Where links lead, also when nothing is there yet.
fn followed(path: &Path) -> PathBuf {
    /// As many as Linux follows.
    const MAX_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = std::fs::read_link(&path) else { break };
        path = path.parent().unwrap_or(Path::new("")).join(next);
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn links_are_followed_even_to_nothing() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("deep")).unwrap();
        symlink("deep/second", at("auth.json")).unwrap();
        symlink(at("deep/third"), at("deep/second")).unwrap();
        let places = Location::shared(folder.path()).places();
        assert_eq!(places.target, at("deep/third"));
        assert_eq!(places.temp, at("deep/.third.new"));
        assert_eq!(places.renewal_lock, at("deep/third.codex-proxy.lock"));
        assert_eq!(places.codex_locks, [at("auth.lock"), at("auth.json.lock")]);
        symlink("loop", at("loop")).unwrap();
        assert_eq!(followed(&at("loop")), at("loop"), "ends");
    }
}
