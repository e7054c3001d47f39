//! The thread that writes. Everything that waits for a disk, or takes long, is done here.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Instant;

use jiff::Timestamp;

use super::exchange::{Exchange, FORM, Heading};
use super::{MAX_FILE, Progress, StartError, Switch};

/// An exchange that has ended. What may be written of it is made when it is asked for.
pub(super) type Finished = Box<dyn FnOnce() -> Exchange + Send>;

/// How much of exchanges that have ended may wait to be written. The content of one that comes when
/// the disk or redacting does not keep up is left out.
const MAX_WAITING: usize = 64 << 20;

/// The way to the writer. Clones lead to the same one.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: Sender<(usize, Finished)>,
    /// How many bytes of content wait.
    waiting: Arc<AtomicUsize>,
    /// How many may.
    most: usize,
}

/// The writer's end of it.
pub(super) struct Received {
    receiver: Receiver<(usize, Finished)>,
    waiting: Arc<AtomicUsize>,
}

/// One in which so many bytes of content may wait.
pub(super) fn queue(most: usize) -> (Queue, Received) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Queue { sender, waiting: Arc::clone(&waiting), most }, Received { receiver, waiting })
}

impl Queue {
    /// Takes room for so many bytes of content; false if too much waits already.
    pub(super) fn take_room(&self, bytes: usize) -> bool {
        let add = |waiting: usize| waiting.checked_add(bytes).filter(|&sum| sum <= self.most);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Hands over an exchange, with the room that was taken for it.
    pub(super) fn send(&self, room: usize, finished: Finished) {
        // Without a writer there is nothing to do about it.
        let _ = self.sender.send((room, finished));
    }
}

impl Received {
    /// The next exchange. What it gives has to be dropped when the exchange is.
    pub(super) fn next(
        &self,
        deadline: Option<Instant>,
    ) -> Result<(Room, Finished), RecvTimeoutError> {
        let (bytes, finished) = match deadline {
            Some(deadline) => {
                self.receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))?
            }
            None => self.receiver.recv()?,
        };
        Ok((Room { bytes, waiting: Arc::clone(&self.waiting) }, finished))
    }
}

/// Room in the queue, given back when this is dropped.
pub(super) struct Room {
    bytes: usize,
    waiting: Arc<AtomicUsize>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

const NOTE: &str = "This file contains prompts and answers. Tokens, keys, account ids and e-mail \
                    addresses of the login have been removed; review it before you share it.";

pub(super) struct Writer {
    file: File,
    path: PathBuf,
    progress: Arc<Progress>,
    size: u64,
}

impl Writer {
    /// Writes the first line.
    pub(super) fn new(
        file: File,
        path: PathBuf,
        begun: Timestamp,
        progress: Arc<Progress>,
    ) -> Result<Self, StartError> {
        let mut writer = Self { file, path, progress, size: 0 };
        let heading = Heading {
            codex_proxy_capture: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            begun: begun.to_string(),
            note: NOTE.to_owned(),
        };
        let line = serde_json::to_vec(&heading).map_err(io::Error::from);
        line.and_then(|line| writer.line(line)).map_err(StartError::Unwritable)?;
        Ok(writer)
    }

    /// Starts the thread. It ends when the session and all of its exchanges have.
    pub(super) fn start(
        self,
        deadline: Instant,
        switch: Weak<Switch>,
    ) -> Result<Queue, StartError> {
        let (queue, received) = queue(MAX_WAITING);
        std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || self.run(&received, deadline, &switch))
            .map_err(StartError::Thread)?;
        Ok(queue)
    }

    fn run(mut self, queue: &Received, deadline: Instant, switch: &Weak<Switch>) {
        let mut is_over = false;
        loop {
            match queue.next((!is_over).then_some(deadline)) {
                Ok((_room, finished)) if !self.progress.is_stopped.load(Ordering::Acquire) => {
                    if let Err(error) = self.exchange(&finished()) {
                        let file = self.path.display();
                        tracing::error!(%file, %error, "capture failed and was stopped");
                        self.end(switch);
                        return;
                    }
                }
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    is_over = true;
                    self.end(switch);
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let written = self.progress.written.load(Ordering::Relaxed);
        tracing::warn!(file = %self.path.display(), written, "capture ended");
    }

    fn end(&self, switch: &Weak<Switch>) {
        if let Some(switch) = switch.upgrade() {
            switch.end(&self.progress);
        }
    }

    fn exchange(&mut self, exchange: &Exchange) -> io::Result<()> {
        let line = serde_json::to_vec(exchange)?;
        if self.size + line.len() as u64 > MAX_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "the file would become too large",
            ));
        }
        self.line(line)?;
        self.progress.written.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A line at once, so that a file that is read meanwhile has whole lines.
    fn line(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        self.size += line.len() as u64;
        self.file.write_all(&line)
    }
}
