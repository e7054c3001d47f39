//! Where the settings file is, and reading it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::source::{Error, File};
use crate::plain_file;

/// Larger files are no settings.
const LIMIT: u64 = 4 << 20;

/// Where the settings file is looked for when none is named: `codex-proxy/config.toml` in the
/// system's folder for settings.
pub fn default_file() -> Option<PathBuf> {
    Some(dirs::config_dir()?.join("codex-proxy").join("config.toml"))
}

/// Where this program's own login is: `codex-proxy/auth.json` in the system's folder for local
/// data. Not beside the settings, since people keep those in repositories.
pub fn own_login_file() -> Option<PathBuf> {
    Some(dirs::data_local_dir()?.join("codex-proxy").join("auth.json"))
}

/// Reads the named file, which must be there, or else the default one, which need not.
pub fn read(named: Option<&Path>) -> Result<Option<File>, Error> {
    let Some(path) = named.map(Path::to_owned).or_else(default_file) else { return Ok(None) };
    match plain_file::read_text(&path, LIMIT) {
        Ok(text) => Ok(Some(File { path, text })),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Unreadable { path, source }),
    }
}
