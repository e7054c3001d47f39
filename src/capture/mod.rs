//! Recording exchanges to a file, on demand and for a limited time, for bug reports.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | the switch: on or off, and until when |
//! | `recording.rs` | what is recorded of one exchange while it is in progress |
//! | `redact/` | what of that may be written; pure |
//! | `exchange.rs` | what is written: lines of JSON |
//! | `file.rs` | making the file, taking it over, reading it |
//! | `writer.rs` | the thread that writes |
//!
//! While it is off, a request costs one atomic load. While it is on, requests only keep what they
//! see; a separate thread does the rest.

mod exchange;
mod file;
mod recording;
pub mod redact;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::exchange::{Answer, Call, End, Event, Exchange, Headers, Message, Response};
pub use self::file::{FileError, ReadError, create, default_file, read};
pub use self::recording::{CallRecording, Recording};
pub use self::redact::Secrets;
use self::writer::{Queue, Writer};

/// How many requests one file may take.
pub const MAX_REQUESTS: u32 = 1000;
/// The longest time of one capture.
pub const MAX_MINUTES: u32 = 24 * 60;
/// The largest file; the capture stops before it gets larger.
const MAX_FILE: u64 = 256 << 20;

/// The switch. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Capture(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    /// Whether there is a session, readable without the lock.
    is_on: AtomicBool,
    session: Mutex<Option<Session>>,
}

/// A running capture.
#[derive(Debug)]
struct Session {
    file: PathBuf,
    until: String,
    deadline: Instant,
    left: u32,
    begun: u32,
    shared: Arc<Progress>,
    finished: Queue,
}

/// The state that a session shares with its writer.
#[derive(Debug, Default)]
struct Progress {
    written: AtomicU32,
    /// Nothing more may be written.
    is_stopped: AtomicBool,
}

/// The options of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOptions {
    /// The file, and the proof that the request comes from the daemon's user.
    #[serde(flatten)]
    pub proof: Proof,
    /// After so many requests it ends.
    pub requests: u32,
    /// After so long it ends.
    pub minutes: u32,
}

/// A file that [`create`] has created, and the secret in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Its whole path.
    pub file: PathBuf,
    /// What is in it.
    pub secret: String,
}

/// The status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// Off: nothing is recorded.
    Off,
    /// On: the content of requests is written.
    On {
        /// Where to.
        file: PathBuf,
        /// Until when, at the latest.
        until: String,
        /// How many more requests.
        requests_left: u32,
        /// How many are in the file.
        written: u32,
    },
}

/// Why a capture could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A capture is already running.
    #[error(
        "a capture is already running, into {}; stop it with `codex-proxy capture off`",
        file.display()
    )]
    AlreadyOn {
        /// Where it writes.
        file: PathBuf,
    },
    /// A limit is out of range.
    #[error("a capture takes 1 to {MAX_REQUESTS} requests and 1 to {MAX_MINUTES} minutes")]
    Limits,
    /// The file is not accepted.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file cannot be written.
    #[error("cannot write to the capture file: {0}; free disk space")]
    Unwritable(std::io::Error),
    /// The writer thread cannot be started.
    #[error("cannot start the writer thread: {0}")]
    Thread(std::io::Error),
}

impl Capture {
    /// Starts a capture. Accesses the file system and may block.
    pub fn start(&self, wanted: &StartOptions) -> Result<Status, StartError> {
        let (requests, minutes) = (wanted.requests, wanted.minutes);
        if !(1..=MAX_REQUESTS).contains(&requests) || !(1..=MAX_MINUTES).contains(&minutes) {
            return Err(StartError::Limits);
        }
        let time = Duration::from_secs(u64::from(minutes) * 60);
        // Before taking the lock, which requests need: the file system may block.
        let file = file::take(&wanted.proof)?;
        let (begins, path) = (Timestamp::now(), wanted.proof.file.clone());
        let shared = Arc::new(Progress::default());
        let writer = Writer::new(file, path.clone(), begins, Arc::clone(&shared))?;
        let mut session = self.0.lock();
        if let Some(Session { file, .. }) = &*session {
            return Err(StartError::AlreadyOn { file: file.clone() });
        }
        let deadline = Instant::now() + time;
        let until = begins.saturating_add(time).unwrap_or(Timestamp::MAX);
        let finished = writer.start(deadline, Arc::downgrade(&self.0))?;
        let new = Session {
            file: path,
            until: until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            deadline,
            left: requests,
            begun: 0,
            shared,
            finished,
        };
        let status = new.status();
        tracing::warn!(
            file = %new.file.display(),
            until = %new.until,
            requests,
            "CAPTURE IS ON: the content of requests and answers is written to a file"
        );
        *session = Some(new);
        self.0.is_on.store(true, Ordering::Release);
        Ok(status)
    }

    /// [`Capture::stop`] for a request that must prove that it comes from the daemon's user.
    /// Accesses the file system.
    pub fn stop_by(&self, proof: &Proof) -> Result<Status, FileError> {
        file::take(proof)?;
        Ok(self.stop())
    }

    /// Stops the capture: nothing more is written, not even of exchanges in progress. Returns the
    /// previous status.
    pub fn stop(&self) -> Status {
        let mut session = self.0.lock();
        let status = session.as_ref().map_or(Status::Off, Session::status);
        if let Some(session) = &*session {
            session.shared.is_stopped.store(true, Ordering::Release);
            tracing::warn!(file = %session.file.display(), "capture turned off");
        }
        self.0.close(&mut session);
        status
    }

    /// The status.
    pub fn status(&self) -> Status {
        let mut session = self.0.lock();
        self.0.close_if_over(&mut session);
        session.as_ref().map_or(Status::Off, Session::status)
    }

    /// Whether a new request would be recorded.
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
    }

    /// Starts the recording of a new request; `None` if capture is off, which needs no lock.
    pub fn begin(&self, secrets: Secrets) -> Option<Recording> {
        if !self.is_on() {
            return None;
        }
        let mut slot = self.0.lock();
        self.0.close_if_over(&mut slot);
        let session = slot.as_mut()?;
        session.left -= 1;
        session.begun += 1;
        let recording = Recording::new(session.begun, secrets, session.finished.clone());
        if session.left == 0 {
            tracing::warn!(
                file = %session.file.display(),
                "capture takes no more requests: the request limit is reached"
            );
            self.0.close(&mut slot);
        }
        Some(recording)
    }
}

impl Switch {
    fn lock(&self) -> MutexGuard<'_, Option<Session>> {
        // The state is consistent after every step, so a poisoned lock does not matter.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session: no more requests are recorded. Its writer stops after the last exchange.
    fn close(&self, session: &mut Option<Session>) {
        self.is_on.store(false, Ordering::Release);
        *session = None;
    }

    fn close_if_over(&self, session: &mut Option<Session>) {
        if session.as_ref().is_some_and(|session| session.deadline <= Instant::now()) {
            tracing::warn!("capture takes no more requests: the time limit is reached");
            self.close(session);
        }
    }

    /// Ends the session of this writer, if it is still running.
    fn end(&self, of: &Arc<Progress>) {
        let mut session = self.lock();
        if session.as_ref().is_some_and(|session| Arc::ptr_eq(&session.shared, of)) {
            self.close(&mut session);
        }
    }
}

impl Session {
    fn status(&self) -> Status {
        Status::On {
            file: self.file.clone(),
            until: self.until.clone(),
            requests_left: self.left,
            written: self.shared.written.load(Ordering::Relaxed),
        }
    }
}

/// The default file of a new capture, named after the time.
pub fn fresh_file(now: Timestamp) -> Option<PathBuf> {
    default_file(&now.strftime("%Y-%m-%dT%H-%M-%S.%3fZ").to_string())
}

#[cfg(test)]
mod tests;
