//! The file of a capture.
//!
//! Whoever asks for a capture makes the file, empty and for nobody else, and the daemon only takes
//! it over. So nobody can have the daemon write what they could not write themselves: a file that
//! belongs to the daemon's user, and that nobody else can open, was made by that user.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::exchange::{Exchange, FORM, Heading};

/// Why a file will not do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The daemon cannot open it.
    #[error(
        "the daemon cannot open {}: {source}; it has to run as the same user and see the same \
         files as this command",
        path.display()
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is not what `capture on` makes.
    #[error(
        "{} will not do: {problem}; leave it to `codex-proxy capture on` to make the file",
        path.display()
    )]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: &'static str,
    },
}

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
    /// It is something else.
    #[error("{}:{line}: this is not a line of a capture: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It holds no exchange.
    #[error("{} holds no exchange: nothing was asked while it was written", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Where captures are when nobody says where: in the system's folder for what programs keep.
pub fn default_file(name: &str) -> Option<PathBuf> {
    let folder = dirs::state_dir().or_else(dirs::data_local_dir)?;
    Some(folder.join("codex-proxy").join("captures").join(format!("{name}.jsonl")))
}

/// Makes a new file for this user alone, and the folders that it is in.
pub fn create(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        let mut folders = DirBuilder::new();
        folders.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
        folders.create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Opens a file that [`create`] has made, and that nothing has been written to.
pub(super) fn take(path: &Path) -> Result<File, FileError> {
    let unusable = |source| FileError::Unusable { path: path.to_owned(), source };
    let unfit = |problem| FileError::Unfit { path: path.to_owned(), problem };
    if !path.is_absolute() {
        return Err(unfit("its path is not whole"));
    }
    let named = std::fs::symlink_metadata(path).map_err(unusable)?;
    // Nothing else is opened: a pipe would have it wait.
    if !named.is_file() {
        return Err(unfit("it is not a file"));
    }
    let file = OpenOptions::new().append(true).open(path).map_err(unusable)?;
    let opened = file.metadata().map_err(unusable)?;
    if opened.len() > 0 {
        return Err(unfit("it is not empty"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) || !opened.is_file() {
            return Err(unfit("it has been replaced"));
        }
        if opened.uid() != rustix::process::geteuid().as_raw() {
            return Err(unfit("it does not belong to the user of the daemon"));
        }
        if opened.mode() & 0o077 != 0 {
            return Err(unfit("others can open it"));
        }
    }
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
            "it is of the form {}, and this version of codex-proxy reads {FORM}",
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
