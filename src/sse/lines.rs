//! The framing that makes `eventsource-stream` linear and safe.
//!
//! Fed raw reads, that parser starts again at the beginning of an unfinished line with every read
//! and moves the rest of its buffer after every line; it waits when a CR ends a read, keeps what
//! is not UTF-8 for ever, and panics on a byte order mark. Fed one complete line at a time, ending
//! in LF, it does none of that, however the body was split and however many lines an event has.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Stream;

use super::{Error, Limits};

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The lines of a body that matter: `data` fields, and the blank line after them.
///
/// Every item is complete, valid UTF-8 and ends in LF. Only `data` reaches the parser: the type of
/// an event of the backend stands in its data, and ids would be kept and copied with every event.
pub(super) struct Lines<S> {
    body: S,
    state: State,
    /// What was read and not looked at yet.
    unread: Bytes,
    /// The start of a line whose end was not read yet.
    partial: Vec<u8>,
    /// The last line ended in CR: an LF that follows belongs to it, in whichever read it comes.
    after_cr: bool,
    /// How many bytes the `data` lines of the current event have, without their ends.
    event_bytes: usize,
    /// How many bytes were read.
    body_bytes: usize,
    limits: Limits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was handed out. The first item is a lone LF, which means nothing: the parser looks
    /// for a byte order mark in its first item only, and this keeps it from finding one.
    Unopened,
    /// In front of the first line, which may start with a byte order mark.
    FirstLine,
    Open,
    Ended,
}

impl<S> Lines<S> {
    pub(super) fn new(body: S, limits: Limits) -> Self {
        Self {
            body,
            state: State::Unopened,
            unread: Bytes::new(),
            partial: Vec::new(),
            after_cr: false,
            event_bytes: 0,
            body_bytes: 0,
            limits,
        }
    }

    /// Takes what was read.
    fn take<E>(&mut self, read: Bytes) -> Result<(), Error<E>> {
        self.body_bytes = self.body_bytes.saturating_add(read.len());
        if self.body_bytes > self.limits.body {
            return Err(Error::TooLong { max: self.limits.body });
        }
        self.unread = read;
        Ok(())
    }

    /// The next complete line, its end made LF; `None` when more must be read.
    fn line<E>(&mut self) -> Result<Option<Bytes>, Error<E>> {
        if self.after_cr && !self.unread.is_empty() {
            self.after_cr = false;
            if self.unread[0] == b'\n' {
                self.unread.advance(1);
            }
        }
        let end = memchr::memchr2(b'\n', b'\r', &self.unread);
        let length = end.unwrap_or(self.unread.len());
        if self.event_bytes + self.partial.len() + length > self.limits.event {
            return Err(Error::TooLarge { max: self.limits.event });
        }
        let Some(end) = end else {
            self.partial.extend_from_slice(&self.unread);
            self.unread.clear();
            return Ok(None);
        };
        let line = self.unread.split_to(end + 1);
        self.after_cr = line[end] == b'\r';
        if self.partial.is_empty() && !self.after_cr {
            return Ok(Some(line));
        }
        self.partial.extend_from_slice(&line[..end]);
        self.partial.push(b'\n');
        Ok(Some(mem::take(&mut self.partial).into()))
    }

    /// The line if the parser has to see it.
    fn keep<E>(&mut self, mut line: Bytes) -> Result<Option<Bytes>, Error<E>> {
        if self.state == State::FirstLine {
            self.state = State::Open;
            if line.starts_with(BYTE_ORDER_MARK) {
                line.advance(BYTE_ORDER_MARK.len());
            }
        }
        if line[..] == *b"\n" {
            let ends_event = mem::take(&mut self.event_bytes) > 0;
            return Ok(ends_event.then_some(line));
        }
        if !line.strip_prefix(b"data").is_some_and(|rest| rest.starts_with(b":") || rest == b"\n") {
            return Ok(None);
        }
        self.event_bytes += line.len() - 1;
        match std::str::from_utf8(&line) {
            Ok(_) => Ok(Some(line)),
            Err(_) => Err(Error::NotUtf8),
        }
    }

    /// The end of the body: the line that it cut, then the blank line that it left out.
    fn finish<E>(&mut self) -> Result<Option<Bytes>, Error<E>> {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
            let line = mem::take(&mut self.partial).into();
            if let Some(line) = self.keep(line)? {
                return Ok(Some(line));
            }
        }
        self.state = State::Ended;
        self.keep(Bytes::from_static(b"\n"))
    }
}

impl<S, B, E> Stream for Lines<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
{
    type Item = Result<Bytes, Error<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.state {
            State::Unopened => {
                this.state = State::FirstLine;
                return Poll::Ready(Some(Ok(Bytes::from_static(b"\n"))));
            }
            State::Ended => return Poll::Ready(None),
            State::FirstLine | State::Open => {}
        }
        loop {
            let next = match this.line() {
                Ok(Some(line)) => this.keep(line),
                Ok(None) => match ready!(Pin::new(&mut this.body).poll_next(cx)) {
                    Some(Ok(read)) => match this.take(read.into()) {
                        Ok(()) => continue,
                        Err(error) => Err(error),
                    },
                    Some(Err(error)) => Err(Error::Body(error)),
                    None => this.finish(),
                },
                Err(error) => Err(error),
            };
            match next {
                Ok(Some(line)) => return Poll::Ready(Some(Ok(line))),
                Ok(None) if this.state == State::Ended => return Poll::Ready(None),
                Ok(None) => {}
                Err(error) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}
