//! Locks across processes, on files beside `auth.json`: a lock on `auth.json` itself would be on
//! the file that the next renewal replaces. Lock files are made where missing, readable for their
//! owner alone, and never removed: a removed one could still be locked by somebody.
//!
//! | file | held by | for |
//! |---|---|---|
//! | `auth.json.codex-proxy.lock` | this program | a whole renewal, with its request |
//! | `auth.lock`, then `auth.json.lock` | the Codex CLI and this program | reading, merging and writing `auth.json` |
//!
//! The Codex CLI (seen with 0.171) waits 5 s for `auth.json.lock`, after it has redeemed its
//! refresh token. Then it drops the new tokens and redeems the spent one again. So nothing that
//! waits for the network or for another process may hold that lock.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::issuer;
use crate::plain_file::{self, Links};

/// The timeout for the Codex CLI's locks. It holds them for milliseconds; after this time the
/// holder is considered hung, and the login is written without them.
const CODEX_LOCKS_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest renewal: its request, then the Codex CLI's locks, and some time to write.
pub const LONGEST_RENEWAL: Duration =
    issuer::TIMEOUT.saturating_add(CODEX_LOCKS_TIMEOUT).saturating_add(Duration::from_secs(15));

/// The timeout for another process of this program: the longest renewal.
const RENEWAL_LOCK_TIMEOUT: Duration = LONGEST_RENEWAL;

/// The polling interval for a lock. A blocking lock call could not be cancelled.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum NoLock {
    /// Another process has held it until the timeout.
    Busy,
    /// The file cannot be created.
    Io(io::Error),
}

/// The lock of this program's processes for a renewal, released on drop. `None` where locks are not
/// supported.
#[derive(Debug)]
pub(super) struct RenewalLock {
    _file: Option<File>,
}

impl RenewalLock {
    /// Waits for the lock on the file `path`.
    pub(super) async fn acquire(path: &Path) -> Result<Self, NoLock> {
        Self::acquire_within(path, RENEWAL_LOCK_TIMEOUT).await
    }

    async fn acquire_within(path: &Path, timeout: Duration) -> Result<Self, NoLock> {
        let file = match open(path) {
            Ok(file) => file,
            // If the file cannot be created, nobody holds the lock.
            Err(error) if is_forbidden(&error) => return Ok(Self { _file: None }),
            Err(error) => return Err(NoLock::Io(error)),
        };
        let deadline = Instant::now() + timeout;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    sleep(POLL_INTERVAL).await;
                }
                Err(TryLockError::WouldBlock) => return Err(NoLock::Busy),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    tracing::warn!(
                        path = %path.display(),
                        "this file system does not support locks: run only one codex-proxy with \
                         this login"
                    );
                    return Ok(Self { _file: None });
                }
                Err(TryLockError::Error(error)) => return Err(NoLock::Io(error)),
            }
        }
    }
}

/// The files of the Codex CLI's locks, in its order, open and not locked. Empty where there can be
/// none, and for a login that the Codex CLI does not know.
#[derive(Debug)]
pub(super) struct CodexLocks(Vec<(PathBuf, File)>);

/// The Codex CLI's locks, held until this is dropped. Hold it for milliseconds only.
#[derive(Debug)]
pub(super) struct HeldCodexLocks<'a>(&'a CodexLocks);

impl Drop for HeldCodexLocks<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl CodexLocks {
    /// Opens them, or makes them. What cannot be made is done without: a login that was renewed
    /// must be written whether or not there are locks.
    pub(super) fn open(paths: &[PathBuf]) -> Self {
        let opened = paths.iter().filter_map(|path| match open(path) {
            Ok(file) => Some((path.clone(), file)),
            Err(error) => {
                tracing::debug!(path = %path.display(), %error, "no lock file");
                None
            }
        });
        Self(opened.collect())
    }

    /// Waits for all of them, up to a minute, and then goes on without: only a hung process holds
    /// one that long, and writing replaces the file as a whole. Blocks.
    pub(super) fn acquire(&self) -> HeldCodexLocks<'_> {
        self.acquire_within(CODEX_LOCKS_TIMEOUT)
    }

    fn acquire_within(&self, timeout: Duration) -> HeldCodexLocks<'_> {
        let deadline = std::time::Instant::now() + timeout;
        while !self.try_acquire() {
            if std::time::Instant::now() >= deadline {
                tracing::warn!(
                    files = ?self.0.iter().map(|(path, _)| path).collect::<Vec<_>>(),
                    "another process has held the Codex CLI's locks for too long; the login is \
                     written without them"
                );
                break;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        HeldCodexLocks(self)
    }

    /// Takes all of them or none. One is never held while another is waited for: that would keep
    /// the Codex CLI waiting as well.
    fn try_acquire(&self) -> bool {
        for (index, (_, file)) in self.0.iter().enumerate() {
            match file.try_lock() {
                // File systems without locks have no other holders either.
                Ok(()) | Err(TryLockError::Error(_)) => {}
                Err(TryLockError::WouldBlock) => {
                    unlock(&self.0[..index]);
                    return false;
                }
            }
        }
        true
    }

    fn release(&self) {
        unlock(&self.0);
    }

    /// Whether another process holds one of them now, and so is about to write.
    pub(super) fn are_held_by_others(&self) -> bool {
        let are_free = self.try_acquire();
        if are_free {
            self.release();
        }
        !are_free
    }
}

fn unlock(files: &[(PathBuf, File)]) {
    for (_, file) in files.iter().rev() {
        // It cannot fail for a lock that is held; closing the file releases it in any case.
        let _ = file.unlock();
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Opens a lock file, or makes it. Anything but a regular file in its place is an error, and does
/// not block.
fn open(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    // Also for reading: then a FIFO is told for what it is.
    options.create(true).truncate(false).read(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    plain_file::open(path, &mut options, Links::Followed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn only_one_holds_the_renewal_lock_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = RenewalLock::acquire(&path).await.unwrap();
        let second = RenewalLock::acquire_within(&path, SHORT).await;
        assert!(matches!(second, Err(NoLock::Busy)));
        let waiting = tokio::spawn({
            let path = path.clone();
            async move { RenewalLock::acquire(&path).await }
        });
        drop(first);
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("lock");
        assert!(matches!(RenewalLock::acquire(&path).await, Err(NoLock::Io(_))));
        assert!(CodexLocks::open(&[path]).0.is_empty());
    }

    #[test]
    fn none_is_held_while_the_other_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["auth.lock", "auth.json.lock"].map(|name| folder.path().join(name));
        for held in 0..2 {
            let other = open(&paths[held]).unwrap();
            other.try_lock().unwrap();
            let locks = CodexLocks::open(&paths);
            assert!(locks.are_held_by_others());
            assert!(!locks.try_acquire());
            let free = open(&paths[1 - held]).unwrap();
            free.try_lock().unwrap();
            free.unlock().unwrap();
            // Given up after a while, since the holder has hung.
            drop(locks.acquire_within(SHORT));
            other.unlock().unwrap();
            let locks = CodexLocks::open(&paths);
            assert!(!locks.are_held_by_others());
            let held = locks.acquire();
            assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
            drop(held);
            other.try_lock().unwrap();
        }
    }

    #[cfg(unix)]
    #[test]
    fn lock_files_are_private_and_regular() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mode = open(&path).unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let fifo = folder.path().join("fifo");
        let status = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(status.success());
        open(&fifo).unwrap_err();
    }
}
