//! One renewal at a time, across processes.
//!
//! The lock is on a file of its own beside `auth.json`: a lock on `auth.json` itself would be on
//! the file that the next renewal replaces. It is advisory. The Codex CLI does not know it, which
//! is why [`renew`](super::renew) is careful even while it holds it.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long to wait for others, who may be waiting for the sign-in service.
const PATIENCE: Duration = Duration::from_secs(75);

/// How often to look whether the lock is free. A wait inside the system could not be given up.
const PAUSE: Duration = Duration::from_millis(10);

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// Somebody else has held it all the time.
    Busy,
    /// The file cannot be made.
    Io(io::Error),
}

/// The lock, until it is dropped. Empty where there can be no locks.
#[derive(Debug)]
pub(super) struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Waits for the lock on the file `path`, which is made if need be and never removed: a
    /// removed one could still be locked by somebody.
    pub(super) async fn acquire(path: &Path) -> Result<Self, NoLock> {
        Self::acquire_within(path, PATIENCE).await
    }

    async fn acquire_within(path: &Path, patience: Duration) -> Result<Self, NoLock> {
        let file = match open(path) {
            Ok(file) => file,
            // Where nobody can make the file, nobody holds it.
            Err(error) if is_forbidden(&error) => return Ok(Self { _file: None }),
            Err(error) => return Err(NoLock::Io(error)),
        };
        let deadline = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE).await,
                Err(TryLockError::WouldBlock) => return Err(NoLock::Busy),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(
                        path = %path.display(),
                        "this file system knows no locks: run only one codex-proxy on this login"
                    );
                    return Ok(Self { _file: None });
                }
                Err(TryLockError::Error(error)) => return Err(NoLock::Io(error)),
            }
        }
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn only_one_holds_it_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("auth.json.lock");
        let first = Lock::acquire(&path).await.unwrap();
        assert!(matches!(Lock::acquire_within(&path, SHORT).await, Err(NoLock::Busy)));
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { Lock::acquire(&path).await }
        });
        drop(first);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("lock");
        assert!(matches!(Lock::acquire(&path).await, Err(NoLock::Io(_))));
    }
}
