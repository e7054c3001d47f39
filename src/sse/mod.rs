//! Server-sent events: bytes to events.
//!
//! The parsing is the crate `eventsource-stream`'s. What it is fed is this module's: the private
//! `lines` hands it one complete line per poll, which keeps the work linear in the bytes read.

pub mod encode;
mod lines;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use eventsource_stream::{EventStream, EventStreamError};
use futures_util::Stream;

use lines::Lines;

/// Why a body is not a stream of events.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The body itself failed.
    #[error("{0}")]
    Body(E),
    /// An event outgrew the limit.
    #[error("an event is larger than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The whole body outgrew the limit.
    #[error("it is longer than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// The text of an event is not UTF-8.
    #[error("an event is not valid UTF-8")]
    NotUtf8,
    /// The parser refused a line.
    #[error("an event cannot be parsed")]
    Malformed,
}

/// How much a body may have, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// One event; no more of it is held.
    pub event: usize,
    /// All events together, with everything else in the body.
    pub body: usize,
}

/// The `data` of each event of `body`, in order.
///
/// Reads what the standard allows: lines ending in LF, CR LF, CR or any mixture, wherever the body
/// is split; several `data` lines, joined with LF; a leading byte order mark; comments and other
/// fields, which are dropped. A last event without its blank line counts, because backends do
/// close without one.
///
/// The first error ends the stream.
pub fn events<S, B, E>(body: S, limits: Limits) -> Events<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
{
    Events { parser: EventStream::new(Lines::new(body, limits)) }
}

/// See [`events`].
pub struct Events<S> {
    parser: EventStream<Lines<S>>,
}

impl<S> std::fmt::Debug for Events<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl<S, B, E> Stream for Events<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
{
    type Item = Result<String, Error<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let event = ready!(Pin::new(&mut self.parser).poll_next(cx));
        Poll::Ready(event.map(|event| match event {
            Ok(event) => Ok(event.data),
            Err(EventStreamError::Transport(error)) => Err(error),
            Err(EventStreamError::Utf8(_)) => Err(Error::NotUtf8),
            Err(EventStreamError::Parser(_)) => Err(Error::Malformed),
        }))
    }
}

#[cfg(test)]
mod tests;
