//! The files of a service: written whole, or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::cli::exit::{Exit, Failure};
use crate::plain_file;

/// A file and what is to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) content: String,
}

/// Where all paths are below: the system itself, or a folder that stands in for it.
#[derive(Debug, Clone)]
pub(super) struct Root(Option<PathBuf>);

impl Root {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self(folder)
    }

    /// Whether nothing of the system itself may be touched.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.0.is_some()
    }

    /// Where a path is.
    pub(super) fn at(&self, path: &Path) -> PathBuf {
        match &self.0 {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// Writes a file, unless it is there already; true if it was not.
    pub(super) fn write(&self, file: &File) -> Result<bool, Failure> {
        let path = self.at(&file.path);
        let fault = |error| failure("write", &path, &error);
        if read(&path).is_ok_and(|content| content == file.content) {
            return Ok(false);
        }
        replace(&path, &file.content).map_err(fault)?;
        Ok(true)
    }

    pub(super) fn read(&self, path: &Path) -> Option<String> {
        read(&self.at(path)).ok()
    }

    /// Removes a file; true if there was one.
    pub(super) fn remove(&self, path: &Path) -> Result<bool, Failure> {
        let path = self.at(path);
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failure("remove", &path, &error)),
        }
    }

    /// Makes a folder for this user alone, unless it is there already.
    pub(super) fn make_private(&self, folder: &Path) -> Result<(), Failure> {
        let folder = self.at(folder);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| failure("make", &folder, &error))
    }
}

/// Nobody ever sees half of it.
/// No unit is larger.
const LIMIT: u64 = 1 << 20;

fn read(path: &Path) -> io::Result<String> {
    plain_file::read_text(path, LIMIT)
}

fn replace(path: &Path, content: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let spare = folder.join(format!(".codex-proxy-{}", Uuid::new_v4().simple()));
    let written = fs::File::create_new(&spare).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    let replaced = written.and_then(|()| fs::rename(&spare, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&spare);
    }
    replaced
}

fn failure(verb: &str, path: &Path, error: &io::Error) -> Failure {
    let mut message = format!("cannot {verb} {}: {error}", path.display());
    if error.kind() == io::ErrorKind::PermissionDenied {
        message.push_str("; a system service (--system) needs sudo");
    }
    Failure::new(Exit::Unwritable, message)
}
