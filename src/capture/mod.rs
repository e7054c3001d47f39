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
/// For how long one file may be written.
pub const MAX_MINUTES: u32 = 24 * 60;
/// How large a file becomes; what would make it larger ends it.
const MAX_FILE: u64 = 256 << 20;

/// The switch. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Capture(Arc<Switch>);

#[derive(Debug, Default)]
struct Switch {
    /// Whether there is a session, to be looked at without the lock.
    is_on: AtomicBool,
    session: Mutex<Option<Session>>,
}

/// One file's time.
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

/// What a session shares with its writer.
#[derive(Debug, Default)]
struct Progress {
    written: AtomicU32,
    /// Nothing more is to be written.
    is_stopped: AtomicBool,
}

/// What is wanted of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartOptions {
    /// Where to write, and that the order is this user's own.
    #[serde(flatten)]
    pub proof: Proof,
    /// After so many requests it ends.
    pub requests: u32,
    /// After so long it ends.
    pub minutes: u32,
}

/// A file that was made by [`create`], which shows that whoever names it is this user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Its whole path.
    pub file: PathBuf,
    /// What is in it.
    pub secret: String,
}

/// How things stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// Nothing is noted.
    Off,
    /// The content of requests is being written.
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

/// Why it was not turned on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is a session already.
    #[error(
        "a capture is already running, into {}; stop it with `codex-proxy capture off`",
        file.display()
    )]
    AlreadyOn {
        /// Where it writes.
        file: PathBuf,
    },
    /// No end, or one that is too far away.
    #[error("a capture takes 1 to {MAX_REQUESTS} requests and 1 to {MAX_MINUTES} minutes")]
    Limits,
    /// The file will not do.
    #[error(transparent)]
    File(#[from] FileError),
    /// Nothing can be written to it.
    #[error("cannot write to the capture file: {0}; free disk space")]
    Unwritable(std::io::Error),
    /// The system has no thread for it.
    #[error("cannot start the writer thread: {0}")]
    Thread(std::io::Error),
}

impl Capture {
    /// Turns it on. This looks at the file system and may wait for it.
    pub fn start(&self, wanted: &StartOptions) -> Result<Status, StartError> {
        let (requests, minutes) = (wanted.requests, wanted.minutes);
        if !(1..=MAX_REQUESTS).contains(&requests) || !(1..=MAX_MINUTES).contains(&minutes) {
            return Err(StartError::Limits);
        }
        let time = Duration::from_secs(u64::from(minutes) * 60);
        // Before the lock, which requests take: a file system may take its time.
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

    /// [`Capture::stop`] on the order of somebody who has to show that they are this user. Looks at
    /// the file system.
    pub fn stop_by(&self, proof: &Proof) -> Result<Status, FileError> {
        file::take(proof)?;
        Ok(self.stop())
    }

    /// Turns it off: from here on nothing is written, of exchanges under way neither. Gives how it
    /// stood until then.
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

    /// How things stand.
    pub fn status(&self) -> Status {
        let mut session = self.0.lock();
        self.0.close_if_over(&mut session);
        session.as_ref().map_or(Status::Off, Session::status)
    }

    /// Whether a request that begins now would be noted.
    pub fn is_on(&self) -> bool {
        self.0.is_on.load(Ordering::Relaxed)
    }

    /// Notes a request that begins now; nothing if it is off, which is told without waiting.
    pub fn begin(&self, secrets: Secrets) -> Option<Recording> {
        if !self.is_on() {
            return None;
        }
        let mut slot = self.0.lock();
        self.0.close_if_over(&mut slot);
        let session = slot.as_mut()?;
        session.left -= 1;
        session.begun += 1;
        let tape = Recording::new(session.begun, secrets, session.finished.clone());
        if session.left == 0 {
            tracing::warn!(
                file = %session.file.display(),
                "capture takes no more requests: the request limit is reached"
            );
            self.0.close(&mut slot);
        }
        Some(tape)
    }
}

impl Switch {
    fn lock(&self) -> MutexGuard<'_, Option<Session>> {
        // What is guarded is whole at any time.
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the session: no request is noted any more. Its writer ends with its last exchange.
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

    /// Ends the session that has this writer, if it goes on.
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

/// Where a capture goes when nobody says so, made from the time.
pub fn fresh_file(now: Timestamp) -> Option<PathBuf> {
    default_file(&now.strftime("%Y-%m-%dT%H-%M-%S.%3fZ").to_string())
}

#[cfg(test)]
mod tests;
