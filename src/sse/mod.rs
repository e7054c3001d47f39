//! Server-sent events: bytes to events, and the few that are written.

mod decode;
pub mod encode;

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;

use decode::Decoder;

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
    Events { body, decoder: Decoder::new(limits), is_over: false }
}

/// See [`events`].
///
/// As a stream it gives texts of their own; [`Events::poll_event`] lends them.
#[derive(Debug)]
pub struct Events<S> {
    body: S,
    decoder: Decoder,
    is_over: bool,
}

impl<S, B, E> Events<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
{
    /// The data of the next event, borrowed until the next call.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<&str, Error<E>>>> {
        match ready!(self.poll_end(cx)) {
            Ok(true) => {}
            Ok(false) => return Poll::Ready(None),
            Err(error) => {
                self.is_over = true;
                return Poll::Ready(Some(Err(error)));
            }
        }
        let data = self.decoder.data();
        self.is_over |= data.is_err();
        Poll::Ready(Some(data))
    }

    /// Reads to the end of an event; false if there is none any more.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, Error<E>>> {
        if self.is_over {
            return Poll::Ready(Ok(false));
        }
        while !self.decoder.advance()? {
            match ready!(Pin::new(&mut self.body).poll_next(cx)) {
                Some(Ok(read)) => self.decoder.feed(read.into())?,
                Some(Err(error)) => return Poll::Ready(Err(Error::Body(error))),
                None => {
                    self.is_over = true;
                    return Poll::Ready(Ok(self.decoder.finish()));
                }
            }
        }
        Poll::Ready(Ok(true))
    }
}

impl<S, B, E> Stream for Events<S>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Into<Bytes>,
{
    type Item = Result<String, Error<E>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(cx).map(|event| event.map(|data| data.map(str::to_owned)))
    }
}

#[cfg(test)]
mod tests;
