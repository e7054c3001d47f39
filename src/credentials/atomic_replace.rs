//! Atomic replacement of the login: a complete login is on disk at any moment.
//!
//! A refresh token can be redeemed once. From the answer of the sign-in service until its
//! successor is on disk, a crash loses the login for the Codex CLI too. Everything that can be
//! done or can fail is therefore done before the token is redeemed: [`AtomicReplace::prepare`]
//! creates the new file with room in it, [`AtomicReplace::write_ahead`] fills it, and
//! [`AtomicReplace::commit`] puts it in place. Only the last is done under the Codex CLI's locks.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek as _, Write as _};
use std::path::Path;

use secrecy::zeroize::Zeroizing;

use super::location::Places;
use super::login_file::LIMIT;
use crate::plain_file;

/// The reserved size: more than any login needs.
const RESERVED_BYTES: usize = 64 << 10;

/// A prepared replacement of the login.
#[derive(Debug)]
pub(super) struct AtomicReplace {
    places: Places,
    /// The new file; `None` if none can be created in the folder.
    temp: Option<File>,
    /// Its content before the padding.
    noted: Zeroizing<Vec<u8>>,
    /// Whether exactly that is on disk.
    is_synced: bool,
    rename: Rename,
}

type Rename = fn(&Path, &Path) -> io::Result<()>;

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)
}

/// How a login was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// By a rename: readers see the old file or the new one.
    Replaced,
    /// The file was overwritten, as for a single file that is mounted into a container.
    InPlace,
}

impl AtomicReplace {
    /// Makes sure that a new login can be written. The caller holds the lock.
    pub(super) fn prepare(places: Places) -> io::Result<Self> {
        Self::prepare_with(places, rename)
    }

    fn prepare_with(places: Places, rename: Rename) -> io::Result<Self> {
        let spare = match make_room(&places) {
            Ok(file) => Some(file),
            // No new file can be created here, but perhaps the old one is writable.
            Err(error) if is_forbidden(&error) => {
                File::options().write(true).open(&places.target)?;
                None
            }
            Err(error) => {
                let _ = fs::remove_file(&places.temp);
                return Err(error);
            }
        };
        Ok(Self { places, temp: spare, noted: Zeroizing::default(), is_synced: false, rename })
    }

    /// Writes the new login to the temporary file: from then on [`unfinished`] finds it if this
    /// process is killed. Takes microseconds, since the space is reserved. Padding with spaces
    /// keeps it valid JSON.
    pub(super) fn write_ahead(&mut self, content: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.temp else { return Ok(()) };
        // Also overwrites the end of earlier content, which may have been longer.
        let length = content.len().max(self.noted.len());
        let mut padded = Zeroizing::new(Vec::with_capacity(length));
        padded.extend_from_slice(content);
        padded.resize(length, b' ');
        self.is_synced = false;
        file.rewind()?;
        file.write_all(&padded)?;
        padded.truncate(content.len());
        self.noted = padded;
        Ok(())
    }

    /// Syncs what was written ahead to the disk, so that [`AtomicReplace::commit`] need not wait.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.temp else { return Ok(()) };
        file.set_len(self.noted.len() as u64)?;
        file.sync_all()?;
        self.is_synced = true;
        Ok(())
    }

    /// Puts the new login in place: if it was written ahead and synced, this is only a rename. It
    /// survives a crash of the system after [`sync_folder`].
    pub(super) fn commit(mut self, content: &[u8]) -> io::Result<Written> {
        if self.temp.is_none() {
            overwrite(&self.places.target, content)?;
            return Ok(Written::InPlace);
        }
        if *self.noted != content {
            self.write_ahead(content)?;
        }
        if !self.is_synced {
            self.sync()?;
        }
        put_in_place(&self.places, content, self.rename)
    }

    /// Discards the replacement.
    pub(super) fn abandon(self) {
        discard(&self.places);
    }
}

/// A login that a killed process has written ahead but not put in place.
pub(super) fn unfinished(places: &Places) -> Option<Vec<u8>> {
    plain_file::read(&places.temp, LIMIT).ok()
}

/// Puts it in place now.
pub(super) fn finish(places: &Places, content: &[u8]) -> io::Result<Written> {
    put_in_place(places, content, rename)
}

/// Removes it.
pub(super) fn discard(places: &Places) {
    // If it cannot be removed, it is overwritten or ignored the next time.
    let _ = fs::remove_file(&places.temp);
}

/// Creates the new file: private, with the owner of the old one, and filled with spaces.
fn make_room(places: &Places) -> io::Result<File> {
    discard(places);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&places.temp)?;
    keep_owner(&file, &places.target)?;
    file.write_all(&vec![b' '; RESERVED_BYTES])?;
    file.sync_all()?;
    Ok(file)
}

/// Keeps the owner, and the group if the owner shares the file with it, in case the daemon runs as
/// another user. World-readable files are not considered shared on purpose.
#[cfg(unix)]
fn keep_owner(new: &File, old: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
    let Ok(old) = fs::metadata(old) else { return Ok(()) };
    let mine = new.metadata()?;
    let changed = |old: u32, mine: u32| (old != mine).then_some(old);
    match (changed(old.uid(), mine.uid()), changed(old.gid(), mine.gid())) {
        (None, None) => {}
        (uid, gid) => fchown(new, uid, gid)?,
    }
    let (group, others) = (old.mode() & 0o060, old.mode() & 0o007);
    if group == 0 || others != 0 {
        return Ok(());
    }
    new.set_permissions(fs::Permissions::from_mode(0o600 | group))
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

fn put_in_place(places: &Places, content: &[u8], rename: Rename) -> io::Result<Written> {
    match rename(&places.temp, &places.target) {
        Ok(()) => Ok(Written::Replaced),
        Err(error) if cannot_be_replaced(&error) => {
            // Meanwhile the new file is the backup: `unfinished` finds it if this is interrupted.
            sync_folder(places);
            overwrite(&places.target, content)?;
            discard(places);
            Ok(Written::InPlace)
        }
        Err(error) => Err(error),
    }
}

/// Overwrites a file in one go. Spaces at the end keep it valid until it has its new length.
fn overwrite(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).open(path)?;
    let old = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(RESERVED_BYTES);
    let mut padded = Zeroizing::new(Vec::with_capacity(old.max(content.len())));
    padded.extend_from_slice(content);
    padded.resize(old.max(content.len()), b' ');
    file.write_all(&padded)?;
    file.sync_all()?;
    file.set_len(content.len() as u64)?;
    file.sync_all()
}

/// A rename is durable only after its folder is synced. Not every system can open folders; errors
/// are ignored.
pub(super) fn sync_folder(places: &Places) {
    if let Ok(folder) = File::open(places.folder()) {
        let _ = folder.sync_all();
    }
}

fn is_forbidden(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

fn cannot_be_replaced(error: &io::Error) -> bool {
    is_forbidden(error)
        || matches!(error.kind(), ErrorKind::ResourceBusy | ErrorKind::CrossesDevices)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::super::location::Location;
    use super::*;

    fn folder() -> (TempDir, Places) {
        let folder = tempfile::tempdir().unwrap();
        let places = Location::shared(folder.path()).places();
        fs::write(&places.target, "old, and quite a bit longer").unwrap();
        (folder, places)
    }

    fn names(folder: &TempDir) -> Vec<String> {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_file_is_replaced() {
        let (folder, places) = folder();
        for noted in ["new, at first", "new"] {
            let mut slot = AtomicReplace::prepare(places.clone()).unwrap();
            slot.write_ahead(noted.as_bytes()).unwrap();
            assert!(unfinished(&places).unwrap().starts_with(format!("{noted}  ").as_bytes()));
            slot.sync().unwrap();
            assert_eq!(unfinished(&places).unwrap(), noted.as_bytes());
            assert_eq!(slot.commit(b"new").unwrap(), Written::Replaced);
            assert_eq!(fs::read(&places.target).unwrap(), b"new");
            assert_eq!(names(&folder), ["auth.json"]);
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_new_file_is_for_its_owner_and_for_the_group_that_could_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        for (before, after) in
            [(0o600, 0o600), (0o640, 0o640), (0o660, 0o660), (0o644, 0o600), (0o777, 0o600)]
        {
            let (_folder, places) = folder();
            fs::set_permissions(&places.target, fs::Permissions::from_mode(before)).unwrap();
            let slot = AtomicReplace::prepare(places.clone()).unwrap();
            assert_eq!(slot.commit(b"new").unwrap(), Written::Replaced);
            let mode = fs::metadata(&places.target).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, after, "{before:o}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_overwritten() {
        for kind in
            [ErrorKind::ResourceBusy, ErrorKind::CrossesDevices, ErrorKind::PermissionDenied]
        {
            let (folder, places) = folder();
            let rename: Rename = match kind {
                ErrorKind::ResourceBusy => |_, _| Err(ErrorKind::ResourceBusy.into()),
                ErrorKind::CrossesDevices => |_, _| Err(ErrorKind::CrossesDevices.into()),
                _ => |_, _| Err(ErrorKind::PermissionDenied.into()),
            };
            for content in ["new", "much longer than whatever was there before"] {
                let slot = AtomicReplace::prepare_with(places.clone(), rename).unwrap();
                assert_eq!(slot.commit(content.as_bytes()).unwrap(), Written::InPlace);
                assert_eq!(fs::read(&places.target).unwrap(), content.as_bytes());
                assert_eq!(names(&folder), ["auth.json"]);
            }
        }
    }

    #[test]
    fn other_failures_leave_the_new_login_for_later() {
        let (_folder, places) = folder();
        let slot =
            AtomicReplace::prepare_with(places.clone(), |_, _| Err(ErrorKind::Interrupted.into()))
                .unwrap();
        slot.commit(b"new").unwrap_err();
        assert_eq!(unfinished(&places).unwrap(), b"new");
        assert_eq!(finish(&places, b"new").unwrap(), Written::Replaced);
        assert_eq!(fs::read(&places.target).unwrap(), b"new");
        assert_eq!(unfinished(&places), None);
    }

    #[test]
    fn an_abandoned_slot_leaves_no_trace() {
        let (folder, places) = folder();
        AtomicReplace::prepare(places.clone()).unwrap().abandon();
        assert_eq!(names(&folder), ["auth.json"]);
        assert_eq!(fs::read(&places.target).unwrap(), b"old, and quite a bit longer");
    }

    #[test]
    fn a_folder_that_is_not_there_fails_before_anything_is_spent() {
        let folder = tempfile::tempdir().unwrap();
        let places = Location::shared(&folder.path().join("none")).places();
        assert_eq!(AtomicReplace::prepare(places).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
