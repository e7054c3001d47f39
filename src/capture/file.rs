//! The file of a capture.
//!
//! The client that starts a capture creates the file, private and with a secret in it, and the
//! daemon only uses it if the request contains the same secret. So only the daemon's own user can
//! start captures: nobody else can create a file that belongs to that user, or read the secret. The
//! reason for rejecting a file is not reported, or the daemon would reveal which files exist.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Proof;
use super::exchange::{Exchange, FORM, Heading};
use crate::plain_file::{self, Links};

/// The file was not just created for a capture by the daemon's user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this file was not just created for a capture by the daemon's user; run `codex-proxy \
     capture` as that user, on the same file system"
)]
pub struct FileError;

/// Why a capture cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line is invalid.
    #[error("{}:{line}: not a valid line of a capture file: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It holds no exchange.
    #[error("{} contains no exchange: no request was made during the capture", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// The default path of a capture file: in the system's state folder.
pub fn default_file(name: &str) -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?;
    Some(folder.join("codex-proxy").join("captures").join(format!("{name}.jsonl")))
}

/// How long a secret is, in bytes before it is written in hexadecimal.
const SECRET: usize = 32;

/// The marker before the secret, which no other file has.
const MARK: &str = "file for a capture of codex-proxy, made by its user: ";

/// Creates a new private file and its folders. Returns the secret in it, which proves to the daemon
/// that the request comes from the file's creator.
pub fn create(path: &Path) -> io::Result<String> {
    if let Some(folder) = path.parent() {
        let mut folders = DirBuilder::new();
        folders.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
        folders.create(folder)?;
    }
    let mut bytes = [0; SECRET];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let secret = bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    options.open(path)?.write_all([MARK, &secret].concat().as_bytes())?;
    Ok(secret)
}

/// Opens a file that [`create`] has made with this secret, and empties it.
pub(super) fn take(Proof { file: path, secret }: &Proof) -> Result<File, FileError> {
    if !path.is_absolute() || secret.len() != 2 * SECRET {
        return Err(FileError);
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true);
    let mut file = plain_file::open(path, &mut options, Links::Refused).map_err(|_| FileError)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let opened = file.metadata().map_err(|_| FileError)?;
        let is_own = opened.uid() == rustix::process::geteuid().as_raw();
        if !is_own || opened.mode() & 0o077 != 0 {
            return Err(FileError);
        }
    }
    let mut content = Vec::new();
    let length = (MARK.len() + 2 * SECRET) as u64 + 1;
    (&mut file).take(length).read_to_end(&mut content).map_err(|_| FileError)?;
    // Compared as a digest, so that timing reveals nothing about a guess.
    let digest = |bytes: &[u8]| Sha256::digest(bytes);
    if digest(&content) != digest([MARK, secret].concat().as_bytes()) {
        return Err(FileError);
    }
    file.set_len(0).map_err(|_| FileError)?;
    Ok(file)
}

/// The exchanges in a file.
pub fn read(path: &Path) -> Result<Vec<Exchange>, ReadError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ReadError::Unreadable { path: path.to_owned(), source })?;
    let malformed = |line: usize, problem: String| ReadError::Malformed {
        path: path.to_owned(),
        line: line + 1,
        problem,
    };
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let Some((at, first)) = lines.next() else {
        return Err(ReadError::Empty { path: path.to_owned() });
    };
    let heading: Heading =
        serde_json::from_str(first).map_err(|error| malformed(at, error.to_string()))?;
    if heading.codex_proxy_capture != FORM {
        let problem = format!(
            "its format is {}, but this version of codex-proxy reads format {FORM}",
            heading.codex_proxy_capture
        );
        return Err(malformed(at, problem));
    }
    let exchanges = lines
        .map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| malformed(at, error.to_string()))
        })
        .collect::<Result<Vec<Exchange>, _>>()?;
    if exchanges.is_empty() {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    Ok(exchanges)
}
