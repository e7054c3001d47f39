//! The writer thread. Everything that blocks on the disk, or takes long, is done here.

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

/// A finished exchange. It is redacted when it is written.
pub(super) type Finished = Box<dyn FnOnce() -> Exchange + Send>;

/// The limit of the queue, in bytes of content. If the writer does not keep up, the content of
/// further exchanges is dropped.
const MAX_WAITING: usize = 64 << 20;

/// The queue to the writer. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    sender: Sender<(usize, Finished)>,
    /// How many bytes of content are queued.
    waiting: Arc<AtomicUsize>,
    /// The limit.
    most: usize,
}

/// The receiving end.
pub(super) struct Received {
    receiver: Receiver<(usize, Finished)>,
    waiting: Arc<AtomicUsize>,
}

/// A queue for so many bytes of content.
pub(super) fn queue(most: usize) -> (Queue, Received) {
    let (sender, receiver) = channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    (Queue { sender, waiting: Arc::clone(&waiting), most }, Received { receiver, waiting })
}

impl Queue {
    /// Reserves room for so many bytes of content; false if the queue is full.
    pub(super) fn take_room(&self, bytes: usize) -> bool {
        let add = |waiting: usize| waiting.checked_add(bytes).filter(|&sum| sum <= self.most);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    /// Sends an exchange, with its reserved room.
    pub(super) fn send(&self, room: usize, finished: Finished) {
        // Without a writer there is nothing to do about it.
        let _ = self.sender.send((room, finished));
    }
}

impl Received {
    /// The next exchange. The returned guard must live as long as the exchange.
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

/// Reserved room in the queue, released on drop.
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

    /// Starts the thread. It stops after the session and all of its exchanges have ended.
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

    /// Writes whole lines, so that a concurrent reader sees no partial ones.
    fn line(&mut self, mut line: Vec<u8>) -> io::Result<()> {
        line.push(b'\n');
        self.size += line.len() as u64;
        self.file.write_all(&line)
    }
}
