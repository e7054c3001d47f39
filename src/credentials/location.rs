//! Which file the login is in, and what is beside it.

use std::path::{Path, PathBuf};

use crate::config::{self, Keeper};

/// Which file the login is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The file, as it was named: perhaps a link to it.
    pub path: PathBuf,
    /// Whose it is.
    pub keeper: Keeper,
    /// The folder of the Codex CLI.
    pub codex_home: PathBuf,
}

impl Location {
    /// The file that the settings choose.
    pub fn of(settings: &config::Auth) -> Self {
        let path = match settings.store {
            Keeper::Codex => settings.codex_home.join("auth.json"),
            // Without a home directory it is here, or the folder could not be named.
            Keeper::Own => {
                config::own_login_file().unwrap_or_else(|| "codex-proxy-auth.json".into())
            }
        };
        Self { path, keeper: settings.store, codex_home: settings.codex_home.clone() }
    }

    /// The file that the Codex CLI uses.
    pub fn shared(codex_home: &Path) -> Self {
        Self {
            path: codex_home.join("auth.json"),
            keeper: Keeper::Codex,
            codex_home: codex_home.to_owned(),
        }
    }

    /// The places to work on, after following links.
    pub(super) fn places(&self) -> Places {
        Places::of(followed(&self.path))
    }
}

/// The file itself and its companions in the same folder.
#[derive(Debug, Clone)]
pub(super) struct Places {
    /// The file; not a link.
    pub(super) target: PathBuf,
    /// Where its successor is written first.
    pub(super) spare: PathBuf,
    /// What is locked while it is replaced.
    pub(super) lock: PathBuf,
}

impl Places {
    fn of(target: PathBuf) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            spare: target.with_file_name(format!(".{name}.new")),
            lock: target.with_file_name(format!("{name}.lock")),
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
    const MOST: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST {
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
        assert_eq!(places.spare, at("deep/.third.new"));
        assert_eq!(places.lock, at("deep/third.lock"));
        symlink("loop", at("loop")).unwrap();
        assert_eq!(followed(&at("loop")), at("loop"), "ends");
    }
}
