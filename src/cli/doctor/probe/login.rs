//! The login and the place that it is in.

use std::path::Path;

use jiff::Timestamp;

use super::super::facts::{Login, State, Writable};
use crate::cli::serve::store;
use crate::config::{Billing, CodexConfig, Config, LoginStore};
use crate::credentials::{Location, Store, Summary, api_key};
use crate::platform::Platform;

pub(super) async fn look(config: &Config) -> Login {
    let location = Location::of(&config.auth);
    // Where links lead; what is not there leads nowhere.
    let path = std::fs::canonicalize(&location.path).unwrap_or_else(|_| location.path.clone());
    Login {
        is_shared: location.keeper == LoginStore::Codex,
        state: state(config, &location).await,
        mode: super::mode(&path),
        writable: writable(&path),
        is_mounted_alone: is_mounted(&path),
        codex_store: CodexConfig::read(&config.auth.codex_home).credentials_store,
        now: Timestamp::now(),
        path: location.path,
    }
}

async fn state(config: &Config, location: &Location) -> State {
    if let Billing::ApiKey { variable, file } = &config.upstream.mode {
        let value = std::env::var_os(variable);
        return match api_key(variable, value, file.as_deref(), &location.path) {
            Ok(_) => State::Key,
            Err(error) => State::NoKey(error.to_string()),
        };
    }
    let store: Store = match store(config, location.clone()) {
        Ok(store) => store,
        // Only for want of usable certificates, which have a finding of their own; the login is
        // not to blame.
        Err(failure) => return State::NoKey(failure.to_string()),
    };
    match store.status().await {
        Err(error) => State::None(error),
        Ok(status) if status.login.platform == Platform::OpenAiApi => State::Key,
        Ok(status) => State::Plan {
            account: Summary::from(&*status.login).email,
            plan: status.login.plan.clone(),
            ends: status.login.expires_at.and_then(|at| Timestamp::from_second(at).ok()),
            has_expired: status.has_expired,
            is_renewable: status.is_renewable,
            clock_skew: status.clock_skew,
        },
    }
}

/// Asks the system, and writes nothing.
#[cfg(unix)]
fn writable(file: &Path) -> Writable {
    use rustix::fs::{Access, access};
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    if access(folder, Access::WRITE_OK | Access::EXEC_OK).is_ok() {
        Writable::Folder
    } else if access(file, Access::WRITE_OK).is_ok() {
        Writable::FileOnly
    } else {
        Writable::Nothing
    }
}

/// Whether a file may be made in a folder, only trying tells here.
#[cfg(not(unix))]
fn writable(_: &Path) -> Writable {
    Writable::Folder
}

/// Whether something is mounted right there. Only Linux tells.
fn is_mounted(file: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    file.is_file() && is_mount_point(&mounts, file)
}

/// Whether a table of mounts has this place. Spaces and the like are written in octal there.
fn is_mount_point(mounts: &str, path: &Path) -> bool {
    const PLACE: usize = 4;
    let Some(path) = path.to_str() else { return false };
    let written = [('\\', "\\134"), (' ', "\\040"), ('\t', "\\011"), ('\n', "\\012")]
        .into_iter()
        .fold(path.to_owned(), |path, (plain, written)| path.replace(plain, written));
    mounts.lines().any(|line| line.split(' ').nth(PLACE) == Some(written.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_mounted_is_told_from_its_folder() {
        let mounts = "\
22 1 0:21 / / rw - overlay overlay rw
36 22 8:1 /home/jo/.codex/auth.json /root/.codex/auth.json rw,relatime - ext4 /dev/sda1 rw
37 22 8:1 /x /with\\040space/auth.json rw - ext4 /dev/sda1 rw
";
        for (path, expected) in [
            ("/root/.codex/auth.json", true),
            ("/with space/auth.json", true),
            ("/root/.codex", false),
            ("/home/jo/.codex/auth.json", false),
        ] {
            assert_eq!(is_mount_point(mounts, Path::new(path)), expected, "{path}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_can_be_written_is_asked_and_not_tried() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("auth.json");
        assert_eq!(writable(&file), Writable::Folder);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(writable(&folder.path().join("none/auth.json")), Writable::Nothing);
    }
}
