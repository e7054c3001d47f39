//! The daemon's address: who is there, or whether one could be.

use std::net::TcpListener;
use std::path::Path;

use super::super::facts::{Address, Found};
use super::process;
use crate::cli::daemon::{Daemon, Error};
use crate::config::{self, Listen};

pub(super) async fn look(server: &config::Server) -> Address {
    let daemon = match Daemon::of(server) {
        Ok(daemon) => daemon,
        Err(error) => {
            let found = match error {
                Error::AnyPort => Found::AnyPort,
                error => Found::Unusable(error.to_string()),
            };
            return Address { place: server.listen.to_string(), found, holder: None };
        }
    };
    let found = match daemon.health().await {
        Ok(health) => Found::Daemon(health),
        Err(Error::NotRunning { .. }) => vacant(&server.listen),
        Err(Error::Stranger { found, .. }) => Found::Stranger(found),
        Err(Error::Silent { cause, .. }) => Found::Silent(cause),
        Err(error) => Found::Silent(error.to_string()),
    };
    let is_held = matches!(found, Found::Daemon(_) | Found::Stranger(_) | Found::Silent(_));
    let place = daemon.place();
    let holder = if is_held { process::listening(place) } else { None };
    Address { place: place.to_string(), found, holder }
}

/// Whether a daemon could listen where nobody answers. An address is tried for a moment, a socket
/// is not.
fn vacant(listen: &Listen) -> Found {
    match listen {
        Listen::Tcp(address) => match TcpListener::bind(address) {
            Ok(_) => Found::Free,
            Err(error) => Found::Unusable(error.to_string()),
        },
        Listen::Unix(path) => {
            if path.symlink_metadata().is_ok_and(|file| !is_socket(&file)) {
                return Found::Unusable("the path exists and is not a socket".to_owned());
            }
            if folder_of(path).is_dir() {
                Found::Free
            } else {
                Found::Unusable("its folder does not exist".to_owned())
            }
        }
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(unix)]
fn is_socket(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    file.file_type().is_socket()
}

#[cfg(not(unix))]
fn is_socket(_: &std::fs::Metadata) -> bool {
    false
}
