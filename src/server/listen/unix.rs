//! A Unix socket for this user only.
//!
//! It is created in a private folder and moved into place when its mode is set: at no moment can
//! another user connect.

use std::fs::{self, DirBuilder, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use uuid::Uuid;

use super::BindError;
use crate::plain_file::{self, Links};

/// How long a daemon may take to accept a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// A listening socket. It is removed on drop, if the file is still the same.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    id: FileId,
    /// A lock next to the socket, so that only one of two starting daemons gets it. `None` where
    /// locks are not supported.
    _lock: Option<File>,
}

/// The identity of the file.
#[derive(Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

impl Socket {
    /// Starts to listen and replaces the socket of a dead daemon. A live daemon's socket, and any
    /// other file, is left alone.
    pub(super) async fn bind(path: &Path) -> Result<Self, BindError> {
        let fault = |cause| BindError::Socket { path: path.to_owned(), cause };
        // A socket with a path that is too long could be created, but nobody could connect.
        SocketAddr::from_pathname(path).map_err(fault)?;
        let lock = lock(path)?;
        clear(path).await?;
        let folder = PrivateFolder::beside(path).map_err(fault)?;
        let inside = folder.0.join("s");
        let listener = UnixListener::bind(&inside).map_err(fault)?;
        fs::set_permissions(&inside, Permissions::from_mode(0o600)).map_err(fault)?;
        let id = FileId::of(&fs::symlink_metadata(&inside).map_err(fault)?);
        fs::rename(&inside, path).map_err(fault)?;
        Ok(Self { listener, path: path.to_owned(), id, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) async fn accept(&self) -> io::Result<UnixStream> {
        Ok(self.listener.accept().await?.0)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| FileId::of(&file) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A lock that the daemon holds while it listens. Its file is kept: a removed one could still be
/// locked by another process.
fn lock(path: &Path) -> Result<Option<File>, BindError> {
    let fault = |cause| BindError::Socket { path: path.to_owned(), cause };
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600);
    let file = plain_file::open(Path::new(&name), &mut options, Links::Refused).map_err(fault)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(BindError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
        Err(TryLockError::Error(error)) => Err(fault(error)),
    }
}

/// Removes the socket of a dead daemon.
async fn clear(path: &Path) -> Result<(), BindError> {
    let fault = |cause| BindError::Socket { path: path.to_owned(), cause };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(error)),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(BindError::Occupied { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    match timeout(PROBE_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(fault)
        }
        // It is in use, or cannot be connected to: left alone in any case.
        _ => Err(BindError::InUse { path: path.to_owned() }),
    }
}

/// A private folder, removed on drop.
struct PrivateFolder(PathBuf);

impl PrivateFolder {
    fn beside(path: &Path) -> io::Result<Self> {
        // Short, since socket paths must be short.
        let name = &Uuid::new_v4().simple().to_string()[..8];
        let folder = path.with_file_name(format!(".{name}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // The folder is empty, unless a step has failed.
        let _ = fs::remove_file(self.0.join("s"));
        let _ = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn it_is_for_its_owner_and_goes_with_its_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let socket = Socket::bind(&path).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["api.sock", "api.sock.lock"]);
        let (_client, _server) =
            tokio::try_join!(UnixStream::connect(&path), socket.accept()).unwrap();
        drop(socket);
        assert_eq!(names(folder.path()), ["api.sock.lock"]);
    }

    #[tokio::test]
    async fn a_dead_daemons_socket_is_replaced_and_a_live_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "closing a socket does not remove it");
        let ours = Socket::bind(&path).await.unwrap();
        assert!(matches!(Socket::bind(&path).await, Err(BindError::InUse { .. })));
        drop(ours);

        // That of a program which knows nothing of the lock.
        let other = UnixListener::bind(&path).unwrap();
        assert!(matches!(Socket::bind(&path).await, Err(BindError::InUse { .. })));
        drop(other);
        Socket::bind(&path).await.unwrap();
    }

    #[tokio::test]
    async fn whatever_else_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        fs::write(&path, "mine").unwrap();
        assert!(matches!(Socket::bind(&path).await, Err(BindError::Occupied { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Socket::bind(&link).await, Err(BindError::Occupied { .. })));
        assert!(link.is_symlink());
        let inside = folder.path().join("folder");
        fs::create_dir(&inside).unwrap();
        assert!(matches!(Socket::bind(&inside).await, Err(BindError::Occupied { .. })));

        // What has taken its place meanwhile is not removed either.
        let path = folder.path().join("api.sock");
        let socket = Socket::bind(&path).await.unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "mine").unwrap();
        drop(socket);
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    }

    #[tokio::test]
    async fn what_cannot_be_made_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("api.sock");
        let error = Socket::bind(&path).await.unwrap_err().to_string();
        assert!(error.contains("its folder must exist"), "{error}");
        let path = folder.path().join("x".repeat(120));
        assert!(matches!(Socket::bind(&path).await, Err(BindError::Socket { .. })));
        assert!(names(folder.path()).is_empty());
    }
}
