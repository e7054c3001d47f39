//! An exchange with the backend: admission, the call, retries before output, the fallback without
//! replayed turns, the end, and the memory of the turn. Generic over what reads the events, so that
//! every endpoint shares it.
//!
//! ```text
//!            permit              accepted             last event
//! Waiting ──────────► Opening ──────────────► Open ───────────────► Closed
//!                      ▲  │                    │ ▲                    ▲
//!                      │  │ failed             │ │ read               │ failed after output,
//!                      │  ▼                    ▼ │                    │ or no retry is left
//!                      ├── retry, after a pause  Reading (an event that takes long, on another
//!                      │                         thread)
//!                      └── Rebuilding: the request is made again without replayed turns, once, if
//!                          the backend refuses them
//! ```
//!
//! Nothing is retried once output went to the client ([`Delivery::Streaming`]); an answer that is
//! collected first ([`Delivery::Buffered`]) is retried until its end. Dropping an exchange cancels
//! its call. Events are lent by [`Events`](crate::upstream::Events): each poll hands the next one
//! to the reader without a copy, which is why these are poll functions rather than a stream.

#[expect(clippy::module_inception, reason = "the state machine is what the module is about")]
mod exchange;
mod reader;
mod spec;

pub(crate) use self::exchange::{Delivery, Exchange, Step};
pub(crate) use self::reader::{AnswerReader, ReadInto};
pub(crate) use self::spec::{CallSpec, ReplayContext, RetryableBody, WithoutReplay};
